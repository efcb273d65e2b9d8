"""The certificate that a client has shown in the TLS handshake, and that was checked there."""

import ssl
from typing import Any, Self


class ClientCertificate(str):
    """The common name of its subject, which is a machine's name. It is no token, and no token is one.

    Args:
        expires_ms: when it ends.
    """

    __slots__ = ("expires_ms",)
    expires_ms: int

    def __new__(cls, name: str, expires_ms: int) -> Self:
        made = super().__new__(cls, name)
        made.expires_ms = expires_ms
        return made


def shown_by(connection: ssl.SSLObject | None) -> ClientCertificate | None:
    """What the client has shown; None where it has shown none, or one whose subject has not exactly one common name.

    Args:
        connection: after its handshake; None where there is no TLS.
    """
    found: Any = None if connection is None else connection.getpeercert()
    if not found:
        return None
    names = [value for part in found["subject"] for kind, value in part if kind == "commonName"]
    if len(names) != 1 or not names[0]:
        return None
    return ClientCertificate(names[0], int(ssl.cert_time_to_seconds(found["notAfter"]) * 1000))
