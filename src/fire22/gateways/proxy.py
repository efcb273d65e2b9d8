"""The PROXY protocol, versions 1 and 2: the header in which a proxy of TCP connections says whose each one is.

It comes before all else on a connection, also before a TLS handshake, which the server's own TLS then does with the
client. Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from msgspec import Struct

TEXT_BYTES_MAX: Final = 107  # of version 1, with its CR LF
BINARY_BYTES_MAX: Final = 1_024  # of version 2, with what the proxy adds to the addresses
HEADER_BYTES_MAX: Final = max(TEXT_BYTES_MAX, BINARY_BYTES_MAX)

_TEXT: Final = b"PROXY "
_BINARY: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_BYTES: Final = 16  # of version 2, before the addresses
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_FAMILIES: Final = {b"TCP4": 4, b"TCP6": 6}
_LAYOUTS: Final = {0x11: (4, struct.Struct("!4s4sHH")), 0x21: (6, struct.Struct("!16s16sHH"))}


class Source(Struct, frozen=True):
    """Whose a connection is.

    Args:
        size: bytes of the header.
        address: of the client; empty where the proxy has opened the connection for itself (LOCAL).
    """

    size: int
    address: str
    port: int


def read_header(data: bytes) -> Source | None:
    """The header at the beginning of a connection; None while more of it is to come.

    A connection of which the proxy does not tell a TCP client (UNKNOWN, UNSPEC, UDP, a local socket) is refused: by the
    address of the proxy it would be let in where the client may not be.

    Raises:
        ValueError: there is no header, it is too long, or it names no TCP client.
    """
    if data[: len(_BINARY)] == _BINARY[: len(data)]:
        return _read_binary(data)
    if data[: len(_TEXT)] == _TEXT[: len(data)]:
        return _read_text(data)
    raise ValueError("no PROXY header")


def _read_text(data: bytes) -> Source | None:
    end = data.find(b"\r\n", 0, TEXT_BYTES_MAX)
    if end < 0:
        if len(data) >= TEXT_BYTES_MAX:
            raise ValueError("the PROXY header has no end")
        return None
    parts = data[:end].split(b" ")
    if len(parts) != 6 or parts[1] not in _FAMILIES:
        raise ValueError("the PROXY header names no TCP client")
    version = _FAMILIES[parts[1]]
    client, server = (ip_address(each.decode("ascii")) for each in parts[2:4])
    ports = [_port(each) for each in parts[4:]]
    if client.version != version or server.version != version or "%" in str(client):
        raise ValueError("the addresses of the PROXY header are of another family")
    return Source(end + 2, _plain(client), ports[0])


def _port(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > 65_535:
        raise ValueError("a port of the PROXY header is none")
    return int(text)


def _read_binary(data: bytes) -> Source | None:
    if len(data) < _FIXED_BYTES:
        return None
    command, family = data[12], data[13]
    length = int.from_bytes(data[14:16], "big")
    size = _FIXED_BYTES + length
    if command not in (_LOCAL, _PROXY) or size > BINARY_BYTES_MAX:
        raise ValueError("the PROXY header is of another version, or too long")
    if command == _PROXY and (family not in _LAYOUTS or length < _LAYOUTS[family][1].size):
        raise ValueError("the PROXY header names no TCP client")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Source(size, "", 0)
    version, layout = _LAYOUTS[family]
    client, _, port, _ = layout.unpack_from(data, _FIXED_BYTES)
    return Source(size, _plain(IPv4Address(client) if version == 4 else IPv6Address(client)), port)


def _plain(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
