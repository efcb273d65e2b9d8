"""What the server and the process that reads a book say to each other, over a socket that only these two have.

A message is four bytes with its length (big-endian), and MessagePack. The reader asks and the server answers in the
same order; at most one batch of events is on its way, so neither side ever holds more than one.
"""

import msgspec
from msgspec import Struct

from fire22.core import codes, errors
from fire22.core.errors import Details, Fire22Error
from fire22.sources.base import SourceStatus
from fire22.sources.kinds import BookAt
from fire22.sources.reading import Pace

LENGTH_BYTES = 4


class Failure(Struct, frozen=True):
    """An error, on its way.

    Args:
        kind: the name of its class in `core/errors.py`.
        code: its name.
    """

    kind: str
    code: str
    message: str
    temporary: bool
    details: Details | None = None

    @classmethod
    def of(cls, error: Fire22Error) -> "Failure":
        """How an error is sent."""
        return cls(type(error).__name__, error.code.name, error.message, error.temporary, error.details)

    def error(self) -> Fire22Error:
        """The error again."""
        found = getattr(errors, self.kind, Fire22Error)
        kind = found if isinstance(found, type) and issubclass(found, Fire22Error) else Fire22Error
        code = codes.ALL.get(self.code) or codes.Code(self.code, self.temporary, "")
        return kind(code, self.message, details=self.details, temporary=self.temporary)


# From the server.


class Begin(Struct, frozen=True, tag=True):
    """What to read; the first message.

    Args:
        folder: where the mirror lies.
        keys: of the encryption at rest, where what is personal is to be sealed; None where it is not.
    """

    book: BookAt
    folder: str
    pace: Pace
    keys: tuple[bytes, ...] | None = None

    def __repr__(self) -> str:
        return f"Begin({self.book!r})"


class Answer(Struct, frozen=True, tag=True):
    """The answer to `Ask`, `Append` or `LetGo`.

    Args:
        position: to an `Ask`.
    """

    failure: Failure | None = None
    position: int | None = None


class Stop(Struct, frozen=True, tag=True):
    """The reader shall end."""


# From the reader.


class Ask(Struct, frozen=True, tag=True):
    """Up to which fact does the log have a book?"""

    book_id: str


class Append(Struct, frozen=True, tag=True):
    """Events for the log: (id, JSON). The answer says that they are durable."""

    events: list[tuple[str, bytes]]
    book_id: str
    position: str


class LetGo(Struct, frozen=True, tag=True):
    """A book is about to be opened."""


class Tell(Struct, frozen=True, tag=True):
    """How the source is from now on, and which file is open."""

    status: SourceStatus
    file: tuple[int, int] | None


class Failed(Struct, frozen=True, tag=True):
    """A failure that is tried again."""

    failure: Failure


class Rejected(Struct, frozen=True, tag=True):
    """A row that is no event."""

    number: int
    why: str


class Ended(Struct, frozen=True, tag=True):
    """The last message: why it ends; None where it was told to."""

    failure: Failure | None


ToReader = Begin | Answer | Stop
ToServer = Ask | Append | LetGo | Tell | Failed | Rejected | Ended

_encode = msgspec.msgpack.Encoder().encode
_to_reader = msgspec.msgpack.Decoder(ToReader)
_to_server = msgspec.msgpack.Decoder(ToServer)


def frame(message: ToReader | ToServer) -> bytes:
    """A message as it goes over the socket."""
    body = _encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def length(head: bytes) -> int:
    """How many bytes follow."""
    return int.from_bytes(head, "big")


def to_reader(body: bytes) -> ToReader:
    """What the server says."""
    said: ToReader = _to_reader.decode(body)
    return said


def to_server(body: bytes) -> ToServer:
    """What the reader says."""
    said: ToServer = _to_server.decode(body)
    return said
