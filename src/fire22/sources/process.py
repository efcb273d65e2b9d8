"""A book that is read in a process of its own (`child.py`), so that its reader and the server do not wait for each
other's use of the interpreter.

The server appends what the reader sends, and answers when it is durable. A reader that dies is said in the source's
status (`book_reader_ended`), and another one is started, later each time.
"""

import asyncio
import os
import socket
import sys
from typing import Final

import msgspec

from fire22.core import codes
from fire22.core.errors import Fire22Error, SourceError
from fire22.core.event import EncodedEvent
from fire22.log.base import Log, SourcePosition
from fire22.sources import wire
from fire22.sources.base import Database
from fire22.sources.pipeline import BookSource, Told

STOP_S: Final = 10.0  # until a reader that was told to end is killed
AGAIN_S: Final = 0.2  # until a reader that has died is replaced, doubled each time ...
AGAIN_S_MAX: Final = 10.0
ALIVE_S: Final = 30.0  # ... until one has lived so long
ENVIRONMENT: Final = "FIRE22_"  # what begins so is for the server, and may be secret


class ProcessBook(BookSource):
    """A book that is read by a process.

    Args:
        database: the book's.
        begin: what the process is told to read.

    Attributes:
        pid: of the process; 0 while none runs.
    """

    def __init__(self, database: Database, log: Log, told: Told, begin: wire.Begin) -> None:
        super().__init__(database, log, told)
        self._begin = begin
        self.pid = 0

    async def run(self) -> None:
        """Read until cancelled."""
        loop = asyncio.get_running_loop()
        wait_s = AGAIN_S
        while True:
            began_s = loop.time()
            await self._run_one()
            if loop.time() > began_s + ALIVE_S:
                wait_s = AGAIN_S
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, AGAIN_S_MAX)

    async def _run_one(self) -> None:
        """Start a process, and serve it until it ends.

        Raises:
            Fire22Error: that it ended for, where trying again cannot mend it.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "fire22.sources.child", self._database.title),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT)},
            )
        self.pid = process.pid
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        serving = asyncio.create_task(self._serve(reader, writer))
        try:
            ended = await asyncio.shield(serving)
        except asyncio.CancelledError:
            writer.write(wire.frame(wire.Stop()))
            await asyncio.wait([serving], timeout=STOP_S)
            raise
        finally:
            serving.cancel()
            writer.close()
            await _reap(process)
            self.pid, self.file = 0, None
        if ended is not None:
            raise ended
        error = SourceError(codes.BOOK_READER_ENDED, f"The process that reads the book ended ({process.returncode}).")
        self._status = msgspec.structs.replace(self._status, problem=error.code.name)
        self._told.failed(error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Fire22Error | None:
        """Do what the process asks for, until it ends; gives why it ended, where it says that."""
        ended: Fire22Error | None = None
        writer.write(wire.frame(self._begin))
        while True:
            try:
                head = await reader.readexactly(wire.LENGTH_BYTES)
                body = await reader.readexactly(wire.length(head))
            except (asyncio.IncompleteReadError, ConnectionError):
                return ended
            match wire.to_server(body):
                case wire.Tell(status, file):
                    self._status, self.file = status, file
                case wire.Failed(failure):
                    self._told.failed(failure.error())
                case wire.Rejected(number, why):
                    self._told.rejected(number, why)
                case wire.Ended(failure):
                    ended = failure.error() if failure is not None else None
                case wire.Append() | wire.Ask() | wire.LetGo() as asked:
                    try:
                        answer = await self._answer(asked)
                    except Fire22Error as error:
                        answer = wire.Answer(wire.Failure.of(error))
                    writer.write(wire.frame(answer))

    async def _answer(self, asked: wire.Append | wire.Ask | wire.LetGo) -> wire.Answer:
        match asked:
            case wire.Append(events, book_id, position):
                made = [EncodedEvent(id, body) for id, body in events]
                await self._log.append(made, SourcePosition(book_id, position))
                return wire.Answer()
            case wire.Ask(book_id):
                return wire.Answer(position=await self._position(book_id))
            case wire.LetGo():
                await asyncio.to_thread(self._told.let_go)
                return wire.Answer()


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Until a process is gone, whose socket is closed: it ends by that."""
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
