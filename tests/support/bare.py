"""The least that a transport can be: messages handed over within the process, one JSON text each.

It is what `gateways/connection.py` asks of a transport, and nothing else; a new one can begin as a copy of it.
"""

from collections import deque

from fire22.core.errors import Fire22Error
from fire22.gateways.connection import Connection
from fire22.hub.codec import Codec


class _Texts:
    """A codec that needs no frames: each message ends with a line feed."""

    name = "texts"
    joins = False
    left_out = 0

    def pack(self, messages: list[bytes]) -> bytes:
        """See Codec."""
        return b"".join([message + b"\n" for message in messages])

    def tick(self, message: bytes, position: str) -> bytes:
        """See Codec."""
        return message + b"\n"

    def answer(self, message: bytes) -> bytes:
        """See Codec."""
        return message + b"\n"


TEXTS: Codec = _Texts()


class BareConnection(Connection):
    """A connection whose peer calls `take`.

    Attributes:
        ended_by: why the server has ended it.
        is_heard: whether the server reads what its peer sends.
    """

    transport = "bare"

    def __init__(self) -> None:
        super().__init__()
        self.codec = TEXTS
        self.ended_by: Fire22Error | None = None
        self.is_heard = True
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._is_ending = False

    def write(self, data: bytes) -> None:
        """Keep it for the peer; more than `outbox_bytes_max` of it pauses the connection."""
        if self._is_ending:
            return
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > self.shared.service.limits.outbox_bytes_max and not self.paused:
            self.pause()

    def take(self) -> list[bytes]:
        """What the peer takes now: the oldest that it was written, as messages."""
        if not self._unsent:
            return []
        data = self._unsent.popleft()
        self._unsent_bytes -= len(data)
        if self.paused and not self._unsent and not self._is_ending:
            self.resume()
        return data.splitlines()

    @property
    def unsent_bytes(self) -> int:
        """See Connection."""
        return self._unsent_bytes

    @property
    def is_ending(self) -> bool:
        """See Caller."""
        return self._is_ending

    def hear(self, *, on: bool) -> None:
        """The peer calls `perform`, which keeps what has to wait."""
        self.is_heard = on

    def close(self, error: Fire22Error) -> None:
        """See Connection."""
        self.ended_by = error
        self._end()

    def abort(self) -> None:
        """See Connection."""
        self._unsent.clear()
        self._end()

    def hang_up(self) -> None:
        """The peer ends the connection."""
        self.abort()

    def _end(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            self.shared.loop.call_soon(self.leave)
