"""The process that reads a book: `python -m fire22.sources.child BOOK`, started by the server (`process.py`).

It has nothing but the book, its mirror and the socket on its standard input, and it ends when that is closed, however
the server ended. The mirror's lock keeps it from writing beside the one that the next server starts.
"""

import os
import queue
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Final

from fire22.core.errors import Fire22Error
from fire22.core.event import EncodedEvent
from fire22.log.base import SourcePosition
from fire22.log.cipher import Cipher
from fire22.sources import wire
from fire22.sources.base import SourceStatus
from fire22.sources.reading import BookReader
from fire22.sources.sealing import sealed_book

TELL_S: Final = 0.1  # how often it is told how far an idle book was read


class Socket:
    """Messages to and from the server."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb")

    def send(self, message: wire.ToServer) -> None:
        """Send a message; the process ends where nobody is there any more."""
        try:
            self._sock.sendall(wire.frame(message))
        except OSError:
            _end()

    def receive(self) -> wire.ToReader:
        """The next message; the process ends where none will come."""
        try:
            head = self._stream.read(wire.LENGTH_BYTES)
            if len(head) == wire.LENGTH_BYTES and len(body := self._stream.read(wire.length(head))) == wire.length(
                head
            ):
                return wire.to_reader(body)
        except OSError:
            pass
        _end()
        raise AssertionError("the process has ended")


class RemoteHost:
    """The server, seen from here: a `Host`.

    Args:
        stop: set when the server wants the reader to end.
    """

    def __init__(self, sock: Socket, stop: threading.Event) -> None:
        self._socket = sock
        self._stop = stop
        self._answers: queue.SimpleQueue[wire.Answer] = queue.SimpleQueue()
        self._is_appending = False
        self._told: tuple[SourceStatus, tuple[int, int] | None] | None = None
        self._next_tell_s = 0.0

    def listen(self) -> None:
        """Take what the server says, for ever."""
        while True:
            match self._socket.receive():
                case wire.Answer() as answer:
                    self._answers.put(answer)
                case wire.Stop():
                    self._stop.set()
                case wire.Begin():
                    raise AssertionError("a reader begins once")

    def _answer(self) -> wire.Answer:
        answer = self._answers.get()
        if answer.failure is not None:
            raise answer.failure.error()
        return answer

    def position(self, book_id: str) -> int | None:
        """See `Host`."""
        self._socket.send(wire.Ask(book_id))
        return self._answer().position

    def append(self, events: list[EncodedEvent], position: SourcePosition) -> None:
        """See `Host`."""
        self._socket.send(wire.Append([(each.id, each.body) for each in events], position.source, position.position))
        self._is_appending = True

    def settle(self) -> None:
        """See `Host`."""
        if self._is_appending:
            self._is_appending = False
            self._answer()

    def tell(self, status: SourceStatus, file: tuple[int, int] | None) -> None:
        """See `Host`. Of time that passes and of rows that are on their way it is told now and then: each message wakes
        the server."""
        now_s = time.monotonic()
        if self._told is not None and now_s < self._next_tell_s:
            known, known_file = self._told
            if (known.name, known.problem, known.recorded, known_file) == (
                status.name,
                status.problem,
                status.recorded,
                file,
            ):
                return
        self._told = status, file
        self._next_tell_s = now_s + TELL_S
        self._socket.send(wire.Tell(status, file))

    def failed(self, error: Fire22Error) -> None:
        """See `Host`."""
        self._socket.send(wire.Failed(wire.Failure.of(error)))

    def rejected(self, number: int, why: str) -> None:
        """See `Host`."""
        self._socket.send(wire.Rejected(number, why))

    def let_go(self) -> None:
        """See `Host`."""
        self._socket.send(wire.LetGo())
        self._answer()


def main() -> None:
    """Read until the server is gone or says stop."""
    # The server ends it: a signal that is meant for both would end it before its time.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sock = Socket(socket.socket(fileno=os.dup(0)))
    begin = sock.receive()
    if not isinstance(begin, wire.Begin):
        raise AssertionError("the first message says what to read")
    stop = threading.Event()
    host = RemoteHost(sock, stop)
    threading.Thread(target=host.listen, name="server", daemon=True).start()
    failure: wire.Failure | None = None
    try:
        cipher = None if begin.keys is None else Cipher(begin.keys)
        database, domain = sealed_book(begin.book, Path(begin.folder), cipher)
        BookReader(database, domain, Path(begin.folder), host, begin.pace, stop, _now_ms).run()
    except Fire22Error as error:
        failure = wire.Failure.of(error)
    sock.send(wire.Ended(failure))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _end() -> None:
    """End at once: what is not committed is done again by the next reader."""
    os._exit(0)


if __name__ == "__main__":
    main()
