"""Whether a peer is still there, as the kernel knows it from TCP's acknowledgements.

A peer that is gone leaves what it is sent unacknowledged, and the kernel sends it again and again. One that is there
and does not read acknowledges all the same, and says that its window is zero; what the kernel then sends are probes,
not retransmissions. So the two are told apart without a ping. The offsets are those of Linux's `struct tcp_info`, which
only ever grows at its end.
"""

import socket
import struct
from typing import Final, Protocol

INFO_BYTES: Final = 60
RETRANSMITS_MIN: Final = 3  # what was sent a moment ago cannot be acknowledged yet, however long the silence before
_INFO: Final = struct.Struct("=2xB21xI28xI")  # tcpi_retransmits, tcpi_unacked, tcpi_last_ack_recv in milliseconds


class HasOptions(Protocol):
    """A socket, or what a transport shows of one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """An option's value."""
        ...


def tcp_info(sock: HasOptions) -> bytes:
    """The beginning of the kernel's `struct tcp_info` of a connection."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)


def is_gone(info: bytes, silence_ms: float) -> bool:
    """Whether nothing was acknowledged for so long, while something that was sent repeatedly waits for it."""
    retransmits, unacknowledged, last_acknowledged_ms = _INFO.unpack_from(info)
    return bool(unacknowledged and retransmits >= RETRANSMITS_MIN and last_acknowledged_ms >= silence_ms)
