"""The configuration: the server's limits, units and defaults, each once; a domain adds sections of its own.

Read from TOML; `FIRE22_<SECTION>__<KEY>` in the environment overrides a key, and `FIRE22_DATA` the folder. Units are in
the names. Unknown keys and wrong values are one error that names every one of them.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.strict import Problem, parse_toml, problems, sentence
from fire22.flows.letters import LettersSettings
from fire22.flows.relay import RelaySettings
from fire22.gateways.network import NetworkConfig
from fire22.gateways.rates import LimitsConfig
from fire22.security.provider import OidcConfig

Positive = Annotated[int, Meta(gt=0, le=1 << 30)]  # of what memory holds
DiskBytes = Annotated[int, Meta(gt=0, le=1 << 50)]
RetentionHours = Annotated[float, Meta(gt=0, le=1e6)]  # a century
SessionHours = Annotated[float, Meta(gt=0, le=8_760)]  # a year
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
ENVIRONMENT: Final = "FIRE22_"

Domain = TypeVar("Domain", bound=Struct)


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients connect, and what one of them may cost.

    Args:
        host: address to listen on; empty is every address of this machine.
        port: of HTTP and WebSocket alike; 0 takes a free one.
        tls_certificate: file of the certificate (PEM) with which the server itself speaks TLS, and of those between it
            and the root; empty is plain HTTP. The file is read again when it changes.
        tls_key: file of its key (PEM, not encrypted); empty is that of the certificate.
        tls_client_ca: file of the authorities (PEM) whose client certificates machines may show in place of a token.
            The common name (CN) is the machine's name. Empty asks for none; with it TLS is 1.3 alone. The file is read
            again when it changes.
        tls_client_required: whether a client without such a certificate is refused in the handshake.
        connections_max: open WebSockets; 0 derives it from the descriptor limit.
        connections_user_max: open WebSockets with tokens of one user; 0 is no limit of its own.
        connections_address_max: open WebSockets from one network address; 0 is no limit of its own. That is the default
            because everybody has the same address behind a proxy, or in an office behind one router.
        subscriptions_max: of one connection.
        message_bytes_max: of one incoming WebSocket message, also after inflation.
        compression: whether permessage-deflate is agreed on with WebSocket clients that offer it.
        events_bytes_max: of one HTTP body.
        handshake_timeout_s: until a connection must have sent a whole HTTP request; trickling does not extend it. A TLS
            handshake before that, and a PROXY header before both, may each take as long.
        auth_timeout_s: until a connection must have authenticated.
        stall_s: a connection that takes no byte for this long is closed.
        drain_s: over which connections are asked to come back at shutdown.
        echo: whether `/echo` sends every WebSocket message back; for the conformance suite only.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    tls_client_required: bool = False
    connections_max: Annotated[int, Meta(ge=0, le=1 << 30)] = 0
    connections_user_max: Annotated[int, Meta(ge=0, le=1 << 30)] = 1_000
    connections_address_max: Annotated[int, Meta(ge=0, le=1 << 30)] = 0
    subscriptions_max: Positive = 64
    message_bytes_max: Positive = 1 << 20
    compression: bool = True
    events_bytes_max: Positive = 8 << 20
    handshake_timeout_s: Seconds = 10.0
    auth_timeout_s: Seconds = 10.0
    stall_s: Seconds = 120.0
    drain_s: Annotated[float, Meta(ge=0, le=3_600)] = 2.0
    echo: bool = False

    def __post_init__(self) -> None:
        if self.tls_key and not self.tls_certificate:
            raise ValueError("tls_key needs tls_certificate")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_client_ca needs tls_certificate")
        if self.tls_client_required and not self.tls_client_ca:
            raise ValueError("tls_client_required needs tls_client_ca")


class HubConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How messages are delivered.

    Args:
        flush_interval_ms: how long messages gather while they keep coming.
        flush_bytes_max: payload that ends the gathering.
        heartbeat_s: a live connection gets a tick at least this often.
        outbox_bytes_max: unsent bytes of a connection above which it reads on at its own pace.
        outboxes_bytes_max: unsent bytes of all such connections together; above it those end that wait the longest, of
            the user who has the most.
        block_bytes_max: memory for encoded blocks of the past.
        shed_ms: what a flush takes, from which on load is shed: views come less often, then lossy streams are cut, then
            new connections are refused.
    """

    flush_interval_ms: Annotated[float, Meta(gt=0, le=60_000)] = 20.0
    flush_bytes_max: Positive = 256 << 10
    heartbeat_s: Seconds = 25.0
    outbox_bytes_max: Positive = 64 << 10
    outboxes_bytes_max: DiskBytes = 32 << 20
    block_bytes_max: DiskBytes = 32 << 20
    shed_ms: Annotated[float, Meta(gt=0, le=60_000)] = 250.0


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How events become durable.

    Args:
        group_ms: the longest that an append gathers company.
        pending_max: events that may wait for the disk.
        idle_ms: after so long without an event, what waits to be said is said, part by part.
    """

    group_ms: Annotated[float, Meta(ge=0, le=10_000)] = 5.0
    pending_max: Positive = 100_000
    idle_ms: Annotated[float, Meta(gt=0, le=60_000)] = 200.0


class FeedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long messages are kept.

    Args:
        ring_bytes_max: memory for the recent part.
        retention_hours: older messages are deleted.
        retention_bytes: the oldest beyond this are deleted.
    """

    ring_bytes_max: DiskBytes = 64 << 20
    retention_hours: RetentionHours = 24.0 * 7
    retention_bytes: DiskBytes = 8 << 30


class AuthConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is asking.

    Args:
        key_file: holds the HS256 key that the server signs with; empty is `token.key` in the data folder. The variable
            FIRE22_TOKEN_KEY in the environment takes its place.
        keys_folder: of keys that others sign tokens with, one a file: `<kid>.pem` (public: RSA for RS256, P-256 for
            ES256, Ed25519 for EdDSA), `<kid>.jwk`, `<kid>.key` (HS256). Empty is none.
        jwks_url: of an issuer's set of keys (RFC 7517); empty is none. It needs `issuer` and `audience`.
        jwks_refresh_s: how often the set is fetched; one with a new key is, at most every 30 seconds, fetched sooner.
        jwks_stale_s: how long the keys are good while the issuer cannot be reached.
        issuer: which `iss` tokens must have; those by the server's own key may have none. Empty asks for none.
        audience: which `aud` tokens must have; the server's own get it. Empty asks for none.
        leeway_s: how far the clocks of others may be from this one, for `exp`, `nbf` and `iat`.
        key_overlap_s: how long tokens of a key are good after it was replaced or removed; with 0 they end at once.
        session_hours: how long a browser stays signed in at most.
        session_idle_hours: after so long without a request or an open connection it is signed out.
        second_factor_roles: roles whose users may do nothing before they have set up a second factor.
        password_words: of this place (its name, brands, teams), of which no new password may be little more.
        breached_passwords_file: the SHA-1 of passwords that may not be set, sorted, 40 hexadecimal digits a line; empty
            is none.
    """

    key_file: str = ""
    keys_folder: str = ""
    jwks_url: str = ""
    jwks_refresh_s: Seconds = 300.0
    jwks_stale_s: Annotated[float, Meta(gt=0, le=31_536_000)] = 86_400.0
    issuer: str = ""
    audience: str = ""
    leeway_s: Annotated[float, Meta(ge=0, le=300)] = 0.0
    key_overlap_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 0.0
    session_hours: SessionHours = 24.0 * 7
    session_idle_hours: SessionHours = 24.0
    second_factor_roles: tuple[str, ...] = ()
    password_words: tuple[str, ...] = ()
    breached_passwords_file: str = ""


class EncryptionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Encryption at rest of what the log's file holds.

    Args:
        key_file: holds the keys, 64 hexadecimal digits a line, the newest last; empty is no encryption. The variable
            FIRE22_ENCRYPTION_KEYS in the environment takes its place, with spaces or commas between the keys.
    """

    key_file: str = ""


class PersonalConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of people.

    Args:
        erasable: seal each customer's name with a key of its own, and keep pseudonyms in the place of addresses, so
            that `fire22 erase` can destroy what is known of one. It is chosen before the first start on a data folder.
    """

    erasable: bool = False


class Config(Struct, Generic[Domain], frozen=True):
    """All of it.

    Args:
        domain: the domain's own sections. In the file they stand beside the server's.
        data: the folder of the log, the feed and the key.
    """

    domain: Domain
    data: str = "fire22-data"
    server: ServerConfig = ServerConfig()
    hub: HubConfig = HubConfig()
    log: LogConfig = LogConfig()
    feed: FeedConfig = FeedConfig()
    relay: RelaySettings = RelaySettings()
    letters: LettersSettings = LettersSettings()
    auth: AuthConfig = AuthConfig()
    encryption: EncryptionConfig = EncryptionConfig()
    personal: PersonalConfig = PersonalConfig()
    oidc: OidcConfig = OidcConfig()
    limits: LimitsConfig = LimitsConfig()
    network: NetworkConfig = NetworkConfig()

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def storage(self) -> Path:
        """The file of the log and the feed."""
        return self.folder / "flows.db"

    @property
    def key_file(self) -> Path:
        """The file of the token key."""
        return Path(self.auth.key_file) if self.auth.key_file else self.folder / "token.key"

    def raw(self) -> dict[str, Any]:
        """The values as they would stand in a file."""
        said: dict[str, Any] = msgspec.to_builtins(self)
        domain: dict[str, Any] = said.pop("domain")
        return said | domain


class Sections(Struct, Generic[Domain], frozen=True):
    """What a domain adds to a configuration.

    Args:
        kind: a struct with a field for each section, all with defaults; no name is one of the server's.
        problems: says what is wrong with the whole raw configuration beyond the form of each value.
    """

    kind: type[Domain]
    problems: Callable[[dict[str, Any]], list[Problem]] = lambda _: []


def load(path: Path | None, sections: Sections[Domain], environment: Mapping[str, str] = os.environ) -> Config[Domain]:
    """Read a configuration file and the environment.

    Raises:
        SetupError: `config_invalid`, naming every key that is wrong.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = parse_toml(path.read_bytes())
        except OSError as error:
            raise SetupError(codes.CONFIG_INVALID, f"{path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise SetupError(codes.CONFIG_INVALID, f"{path} is not TOML: {error}.") from None
    raw, names = _overlay(raw, environment)
    return convert(raw, sections, names)


def convert(raw: dict[str, Any], sections: Sections[Domain], names: Mapping[str, str] | None = None) -> Config[Domain]:
    """Check raw values.

    Args:
        names: of the variables in the environment that keys come from.

    Raises:
        SetupError: `config_invalid`, naming every key that is wrong.
    """
    found = [*problems(raw, _file(sections.kind)), *sections.problems(raw)]
    if found:
        told = [f"{each} ({names[each.place]})" if names and each.place in names else each for each in found]
        raise SetupError(codes.CONFIG_INVALID, sentence("The configuration", told))
    names_of_domain = sections.kind.__struct_fields__
    own = {name: value for name, value in raw.items() if name not in names_of_domain}
    own["domain"] = {name: value for name, value in raw.items() if name in names_of_domain}
    kind: Any = Config[sections.kind]  # type: ignore[name-defined]
    config: Config[Domain] = msgspec.convert(own, kind, strict=True)
    return config


def _file(kind: type[Struct]) -> type[Struct]:
    """A struct with every key that a file may have at its top."""
    own = [each for each in msgspec.structs.fields(Config) if each.name != "domain"]
    fields = [(each.name, each.type, None) for each in (*own, *msgspec.structs.fields(kind))]
    return msgspec.defstruct("File", fields, frozen=True)


def _overlay(raw: dict[str, Any], environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values with those of the environment over them, and the names of the variables by key."""
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    names: dict[str, str] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT):
            continue
        section, _, key = name.removeprefix(ENVIRONMENT).lower().partition("__")
        if not key:
            if section == "data":
                result[section] = value
            continue
        inner = result.setdefault(section, {})
        if isinstance(inner, dict):
            inner[key] = _value(value)
            names[f"{section}.{key}"] = name
    return result, names


def _value(text: str) -> object:
    """A value from the environment: TOML where it is some, else a string."""
    try:
        return parse_toml(f"value = {text}".encode())["value"]
    except ValueError:
        return text
