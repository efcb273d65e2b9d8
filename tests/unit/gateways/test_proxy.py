"""The header of the PROXY protocol, as bytes."""

import random
import struct
from ipaddress import ip_address

import pytest

from fire22.gateways.proxy import BINARY_BYTES_MAX, HEADER_BYTES_MAX, Source, read_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = ip_address("1.2.3.4").packed + ip_address("10.0.0.9").packed + struct.pack("!HH", 4711, 443)
SIX = ip_address("2001:db8::7").packed + ip_address("::1").packed + struct.pack("!HH", 4711, 443)


def binary(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


@pytest.mark.parametrize(
    ("header", "address", "port"),
    [
        (b"PROXY TCP4 1.2.3.4 10.0.0.9 4711 443\r\n", "1.2.3.4", 4711),
        (b"PROXY TCP6 2001:DB8::7 ::1 65535 443\r\n", "2001:db8::7", 65535),
        (b"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 443\r\n", "1.2.3.4", 1),
        (binary(0x21, 0x11, FOUR), "1.2.3.4", 4711),
        (binary(0x21, 0x21, SIX), "2001:db8::7", 4711),
        (binary(0x21, 0x11, FOUR + b"\x04\0\x02no"), "1.2.3.4", 4711),
        (binary(0x20, 0x00, b""), "", 0),
        (binary(0x20, 0x11, FOUR), "", 0),
    ],
)
def test_a_header(header: bytes, address: str, port: int) -> None:
    """The client is read from a whole header however it comes, and nothing of what stands behind it."""
    for end in range(len(header)):
        assert read_header(header[:end]) is None
    for behind in (b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\r\n"):
        assert read_header(header + behind) == Source(len(header), address, port)


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4 1.2.3.4 10.0.0.9 4711 443\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN 1.2.3.4 10.0.0.9 4711 443\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n",
        b"PROXY TCP6 1.2.3.4 10.0.0.9 4711 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 4711 443\r\n",
        b"PROXY TCP4 1.2.3.4  10.0.0.9 4711 443\r\n",
        b"PROXY TCP4 1.2.3 10.0.0.9 4711 443\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.9 65536 443\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.9 -1 443\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.9 \xb2 443\r\n",
        b"PROXY TCP4 1.2.3.4 \xff 4711 443\r\n",
        b"PROXY " + b"a" * 107,
        binary(0x11, 0x11, FOUR),  # of version 1
        binary(0x22, 0x11, FOUR),  # a command that there is not
        binary(0x21, 0x00, b""),  # UNSPEC
        binary(0x21, 0x12, FOUR),  # UDP
        binary(0x21, 0x31, bytes(216)),  # a local socket
        binary(0x21, 0x11, FOUR[:-1]),
        binary(0x21, 0x21, FOUR),
        binary(0x21, 0x11, FOUR, BINARY_BYTES_MAX),
        binary(0x20, 0x00, b"", 0xFFFF),
    ],
)
def test_no_header(header: bytes) -> None:
    """What is malformed, too long or names no TCP client is refused, so that nobody passes by the proxy's address."""
    with pytest.raises(ValueError):
        read_header(header)


def test_any_bytes() -> None:
    """Damaged headers are refused or read; nothing else happens, and none waits for more than the most."""
    seed = random.randrange(1 << 32)
    print(f"seed={seed}")
    chance = random.Random(seed)
    whole = [b"PROXY TCP4 1.2.3.4 10.0.0.9 4711 443\r\n", binary(0x21, 0x21, SIX)]
    for _ in range(20_000):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            found = read_header(bytes(data) + bytes(HEADER_BYTES_MAX))
        except ValueError:
            continue
        assert found is not None and found.size <= HEADER_BYTES_MAX
