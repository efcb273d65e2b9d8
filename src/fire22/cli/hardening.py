"""What `fire22 check --security` says: what an operator left open, and what closes it."""

import asyncio
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.x509 import load_pem_x509_certificate
from msgspec import Struct

from fire22 import app as application
from fire22.app import Settings
from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.log.cipher import VARIABLE as ENCRYPTION_KEYS
from fire22.log.cipher import read_cipher
from fire22.security.access import Access
from fire22.security.key_files import VARIABLE as TOKEN_KEY
from fire22.security.key_files import read_folder
from fire22.security.keys import SECRET_BYTES_MIN
from fire22.security.users import Users
from fire22.sportsbook.domain import roles
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import SqliteStore

SESSION_HOURS_MAX: Final = 24 * 7
IDLE_HOURS_MAX: Final = 24
AUTHORITIES_MAX: Final = 2  # of client certificates
ENDS_DAYS: Final = 14  # within which a certificate that ends is told
DISTINCT_MIN: Final = 8  # characters of a key: 64 random hexadecimal digits have fewer once in 10^20 keys
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH
_OTHERS_ENTER: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class Finding(Struct, frozen=True):
    """Something that is open.

    Args:
        what: is open, and to whom.
        help: what closes it.
    """

    what: str
    help: str


def findings(config: Settings, file: Path | None, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """What is open in a configuration and its files; it changes nothing, and works beside a running server.

    Args:
        file: of the configuration, if any.

    Raises:
        SetupError: `config_invalid`, a key cannot be read.
        StorageError: the store cannot be read.
    """
    return [
        *_transport(config),
        *_networks(config),
        *_permissions(config, file),
        *_keys(config, environment),
        *_sign_in(config, environment),
        *_limits(config),
    ]


def _transport(config: Settings) -> Iterator[Finding]:
    """What passes over the network as plain text."""
    server = config.server
    if not (server.tls_certificate or _is_loopback(server.host) or config.network.trusted_proxies):
        where = server.host or "every address"
        yield Finding(
            f"The server speaks plain HTTP on {where}: passwords and figures can be read on the way.",
            "Set server.tls_certificate, or listen on 127.0.0.1 behind a proxy with TLS (network.trusted_proxies).",
        )
    for file in (server.tls_certificate, server.tls_client_ca):
        if file:
            yield from _certificate(Path(file))
    authorities = _read(Path(server.tls_client_ca)).count("BEGIN CERTIFICATE") if server.tls_client_ca else 0
    if authorities > AUTHORITIES_MAX:
        yield Finding(
            f"server.tls_client_ca has {authorities} authorities: each can vouch for any machine.",
            "Name the one that issues the certificates of the machines here, and during an exchange the next one.",
        )
    for name, url in (
        ("auth.jwks_url", config.auth.jwks_url),
        ("oidc.issuer", config.oidc.issuer),
        ("oidc.url", config.oidc.url),
        *(("network.origins", origin) for origin in config.network.origins),
    ):
        parts = urlsplit(url)
        if url and parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            yield Finding(f"{name} is {url}: who is on the way can change what comes from there.", "Use https://.")


def _certificate(path: Path) -> Iterator[Finding]:
    try:
        ends = load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        raise SetupError(codes.CONFIG_INVALID, f"The certificate {path} cannot be read.") from None
    if ends < datetime.now(UTC) + timedelta(days=ENDS_DAYS):
        yield Finding(f"The certificate {path} ends at {ends:%Y-%m-%d %H:%M} UTC.", "Renew it: no restart is needed.")


def _networks(config: Settings) -> Iterator[Finding]:
    network = config.network
    for each in filter(_is_wide, network.trusted_proxies):
        yield Finding(
            f"network.trusted_proxies has {each}: clients can say themselves where they come from.",
            "Name the addresses of the own proxies alone.",
        )
    for each in filter(_is_wide, network.operators):
        yield Finding(
            f"network.operators has {each}: strangers read /metrics and /readyz.",
            "Name the networks of those who watch the server alone, or give them a token.",
        )
    if config.server.echo:
        yield Finding("server.echo is on: anybody can use /echo.", "Leave it out: it is for the conformance suite.")


def _permissions(config: Settings, file: Path | None) -> Iterator[Finding]:
    """Files that other users of this machine can read or change."""
    folder = config.folder
    if _has(folder, _OTHERS_ENTER):
        yield Finding(f"Others can look into the data folder {folder}.", f"chmod 700 {folder}")
        for path in sorted(folder.iterdir()):
            if path.is_file() and _has(path, _OTHERS_READ):
                yield Finding(f"Others can read {path}.", f"chmod 600 {path}")
    tls_key = config.server.tls_key or config.server.tls_certificate
    for secret in (config.auth.key_file, config.encryption.key_file, config.oidc.client_secret_file, tls_key):
        path = Path(secret)
        if secret and path.parent != folder and _has(path, _OTHERS_READ | _OTHERS_WRITE):
            yield Finding(f"Others can read or change {path}.", f"chmod 600 {path}")
    book = Path(config.domain.book.path)
    if config.domain.book.path and config.domain.book.kind == "sqlite" and _has(book, stat.S_IROTH):
        yield Finding(f"Everybody on this machine can read the book {book}.", f"chmod o-rwx {book}")
    keys = [Path(config.auth.keys_folder)] if config.auth.keys_folder else []
    keys += sorted(keys[0].iterdir()) if keys and keys[0].is_dir() else []
    authorities = [Path(config.server.tls_client_ca)] if config.server.tls_client_ca else []
    for path in (*([file] if file is not None else []), *keys, *authorities):
        if _has(path, _OTHERS_WRITE):
            yield Finding(f"Others can change {path}, and so what may be done here.", f"chmod go-w {path}")
    for path in keys:
        if path.suffix == ".key" and _has(path, _OTHERS_READ):
            yield Finding(f"Others can read {path}, and sign tokens.", f"chmod 600 {path}")


def _keys(config: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Keys that can be guessed, or that are used for two purposes."""
    used: dict[str, str] = {}
    named = [(f"The token key {config.key_file}", _read(config.key_file))]
    if environment.get(TOKEN_KEY, "").strip():
        named = [(TOKEN_KEY, environment[TOKEN_KEY].strip())]
    folder = config.auth.keys_folder
    if folder and Path(folder).is_dir():
        keys, refused = read_folder(Path(folder))
        named += [(f"{folder}/{key.kid}.key", key.secret.decode("latin-1")) for key in keys if key.secret]
        for reason in refused:
            yield Finding(f"A key in {folder} cannot be used: {reason}.", "Exchange or remove it.")
    encryption = environment.get(ENCRYPTION_KEYS, "") or _read(Path(config.encryption.key_file or os.devnull))
    named += [("A key of encryption", key) for key in encryption.replace(",", " ").split()]
    for name, key in named:
        if key and (len(key.encode("latin-1", "replace")) < SECRET_BYTES_MIN or len(set(key)) < DISTINCT_MIN):
            yield Finding(f"{name} can be guessed.", "Make one with `openssl rand -hex 32`.")
        other = used.setdefault(key.lower(), name)
        if key and other != name:
            yield Finding(f"{name} is the same key as: {other}.", "Give each its own: `openssl rand -hex 32`.")
    if not read_cipher(config.encryption.key_file, environment).is_active:
        yield Finding(
            "Nothing is encrypted at rest: who gets the files or a backup reads everything.",
            "Set encryption.key_file, then run `fire22 rekey`.",
        )


def _sign_in(config: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    if not config.oidc.issuer and not _has_password(config, environment):
        yield Finding(
            "No user has a password: people sign in by links alone, which say not who came.",
            "Add users with `fire22 user add`, or set [oidc].",
        )
    for name, hours, most in (
        ("session_hours", config.auth.session_hours, SESSION_HOURS_MAX),
        ("session_idle_hours", config.auth.session_idle_hours, IDLE_HOURS_MAX),
    ):
        if hours > most:
            yield Finding(f"auth.{name} is {hours:g}: a lost browser stays signed in.", f"Set at most {most}.")


def _limits(config: Settings) -> Iterator[Finding]:
    values = {
        "limits.connection_units_per_s": config.limits.connection_units_per_s,
        "limits.user_units_per_s": config.limits.user_units_per_s,
        "limits.scope_units_per_s": config.limits.scope_units_per_s,
        "server.connections_user_max": config.server.connections_user_max,
    }
    for name, value in values.items():
        if not value:
            yield Finding(f"{name} is 0: one who asks for everything gets it.", "Leave out the setting, or set one.")


def _has_password(config: Settings, environment: Mapping[str, str]) -> bool:
    """Whether somebody can sign in by name and password."""

    async def main() -> bool:
        cipher = read_cipher(config.encryption.key_file, environment)
        loop, now_ms = asyncio.get_running_loop(), application.now_ms
        store = SqliteStore(config.folder / STORE, loop, now_ms=now_ms, cipher=cipher)
        try:
            users = Users(store, kind_of=Access(roles(())).kind, now_ms=now_ms)
            await users.load()
            return any(user.password and not user.disabled for user in users.all())
        finally:
            store.close()

    return (config.folder / STORE).exists() and asyncio.run(main())


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_wide(text: str) -> bool:
    """Whether a network holds addresses of strangers: more than 256 public ones, or of IPv6 more than a site's."""
    network = ip_network(text)
    if network.version == 4:
        return network.prefixlen < 8 or (network.prefixlen < 24 and not network.is_private)
    return network.prefixlen < 48 and not (network.prefixlen >= 7 and network.is_private)


def _has(path: Path, bits: int) -> bool:
    """Whether a file or folder is there and has one of these permissions."""
    try:
        return bool(path.stat().st_mode & bits)
    except OSError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:  # the server makes it
        return ""
    except (OSError, UnicodeDecodeError):
        raise SetupError(codes.CONFIG_INVALID, f"The key file {path} cannot be read.") from None
