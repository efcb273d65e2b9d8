"""The server's own certificate: TLS 1.2 and 1.3, exchanged without a restart.

The context that the server listens with stays. Each handshake is handed the newest one that was loaded whole: loading a
wrong pair into a context that is in use would leave it without a certificate, and refuse everybody.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Final, Protocol

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.observability.logging import get_logger

LOOK_S: Final = 1.0
# Of TLS 1.2: forward secrecy and authenticated encryption alone (RFC 9325). Those of TLS 1.3 are all so.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_Stamp = tuple[int, int, int]  # what changes when a file is written: time in nanoseconds, bytes, inode


class Certificate:
    """A certificate and its key, in files.

    Args:
        certificate: PEM, with those of the authorities between it and the root behind it.
        key: PEM, not encrypted; may be the same file.
        client_ca: PEM, the authorities of client certificates; None asks clients for none.
        client_required: whether who shows none is refused.

    Raises:
        SetupError: `config_invalid`, they cannot be used.
    """

    def __init__(
        self, certificate: Path, key: Path, client_ca: Path | None = None, *, client_required: bool = False
    ) -> None:
        self._files = (certificate, key) if client_ca is None else (certificate, key, client_ca)
        self._client_required = client_required
        self._logger = get_logger()
        self._stamps = self._look()
        try:
            self._newest = self._load()
            self.context = self._load()
        except OSError as error:
            names = "server.tls_certificate and server.tls_key"
            names += "" if client_ca is None else ", with server.tls_client_ca,"
            message = f"{names} cannot be used: {_reason(error)}."
            raise SetupError(codes.CONFIG_INVALID, message) from None
        self.context.sni_callback = self._hand_out  # it is called without a name in the handshake too

    async def run(self) -> None:
        """Load the files again when they change, without end."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Take the files as they are now, where they have changed; those that cannot be used change nothing."""
        stamps = self._look()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._newest = self._load()
        except OSError as error:
            self._logger.warning("the new certificate cannot be used; the one before it stays", reason=_reason(error))
        else:
            self._logger.info("certificate changed", file=str(self._files[0]))

    def _hand_out(self, handshake: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        handshake.context = self._newest

    def _load(self) -> ssl.SSLContext:
        """See `_load`."""
        return _load(*self._files, client_required=self._client_required)

    def _look(self) -> list[_Stamp | None]:
        """What tells whether a file has been written."""
        stamps: list[_Stamp | None] = []
        for path in self._files:
            try:
                stat = path.stat()
            except OSError:
                stamps.append(None)
            else:
                stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return stamps


class Settings(Protocol):
    """Of files, each empty where there is none; see the section `server` of the configuration."""

    # Read only, so that a frozen struct has them.

    @property
    def tls_certificate(self) -> str: ...

    @property
    def tls_key(self) -> str: ...

    @property
    def tls_client_ca(self) -> str: ...

    @property
    def tls_client_required(self) -> bool: ...


def certificate_of(settings: Settings) -> Certificate | None:
    """The certificate of a configuration; None where there is none.

    Raises:
        SetupError: see `Certificate`.
    """
    certificate = settings.tls_certificate
    if not certificate:
        return None
    authorities = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    key = Path(settings.tls_key or certificate)
    return Certificate(Path(certificate), key, authorities, client_required=settings.tls_client_required)


def _load(
    certificate: Path, key: Path, client_ca: Path | None = None, *, client_required: bool = False
) -> ssl.SSLContext:
    """A context of these files.

    Raises:
        OSError: they cannot be read, are no PEM, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key, password=lambda: "")  # else one that is encrypted asks the terminal
    if client_ca is not None:
        # No session is resumed: one would outlive an authority that is no longer trusted. And of TLS 1.3 alone, whose
        # sessions can be left away, and which does not show the certificate to who is on the way.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
    return context


def _reason(error: OSError) -> str:
    """Why, without what was read."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no certificate and key in PEM").replace("_", " ").lower()
    return error.strerror or "they cannot be read"
