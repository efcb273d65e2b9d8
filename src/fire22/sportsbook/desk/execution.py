"""The desk: takes a command, and answers once it is durable in the book.

One thread has the one connection that commands are written by. A command is one transaction: its key is looked up, the
book is read and checked, the change, its audit and the answer are written. So a command that was cut off between its
commit and its answer gives the first answer again, and one that was refused has left nothing. Keys are forgotten after
a time, the oldest ones with each new command.

SQLite goes on writing to a file that was renamed or removed, where nobody would read it: a command is answered only if
the file that it was written to is still the one at the book's path.
"""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.errors import BookError, RequestError
from fire22.core.message import Json
from fire22.core.outbox import META
from fire22.core.scope import ROOT
from fire22.core.times import to_text
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.book import database
from fire22.sportsbook.book.schema import OUTBOX
from fire22.sportsbook.desk import accounts, alerts, commands, markets, wagers
from fire22.sportsbook.desk.case import Case, Done
from fire22.sportsbook.desk.commands import COMMANDS, Command
from fire22.sportsbook.desk.permits import Actor, Grant, check_whole, is_permitted, permit
from fire22.sportsbook.desk.reads import Reader
from fire22.sportsbook.desk.settings import DeskSettings

KEY_MAX: Final = 200
RETRY_S: Final = 0.5
DAY_MS: Final = 86_400_000
FORGOTTEN_MAX: Final = 3  # keys, with each command
_NO_FILE: Final = (0, 0)
ALERTS: Final = "alerts"  # the view that says how each alert is

# The document of a view now, by topic, scope and key; None where there is none.
View = Callable[[str, str, str], Mapping[str, Json] | None]

_PERFORMERS: Final[dict[type[Command], Callable[[Case, Any], Done]]] = {
    commands.PlaceWager: wagers.place,
    commands.AcceptWager: wagers.accept,
    commands.RejectWager: wagers.reject,
    commands.SettleWager: wagers.settle,
    commands.CashOutWager: wagers.cash_out,
    commands.VoidWager: wagers.void,
    commands.CancelWager: wagers.cancel,
    commands.ModifyWager: wagers.modify,
    commands.ReopenWager: wagers.reopen,
    commands.SettleMarket: markets.settle,
    commands.SetMarketStatus: markets.set_status,
    commands.SetLimit: accounts.set_limit,
    commands.SetCustomerStatus: accounts.set_status,
    commands.RequestPayment: accounts.request,
    commands.DecidePayment: accounts.decide,
    commands.AdjustBalance: accounts.adjust,
    commands.DecideAlert: alerts.decide,
}


class _Answer(Struct, frozen=True, rename="camel"):
    command: str
    key: str
    repeat: bool
    result: Raw


class Desk:
    """Commands on one book.

    Attributes:
        problem: the code of what keeps it from writing to the book, as of the last command or look; else empty.

    Args:
        path: of the book, with the demo schema and its triggers.
        settings: the platform's rules, and how commands wait.
        currency: the book's.
        view: finds the documents that clients see; asked in the caller's thread.
        now_ms: the book's time; asked in the desk's own thread.
        read_file: device and inode of the book that this process reads now, None for none; another one at the path is
            not opened before that has been let go (see `Host.let_go`, `sources/reading.py`).
    """

    def __init__(
        self,
        path: Path,
        *,
        settings: DeskSettings,
        currency: str,
        view: View,
        now_ms: Callable[[], int],
        read_file: Callable[[], tuple[int, int] | None] = lambda: None,
    ) -> None:
        self._path = path
        self._settings = settings
        self._currency = currency
        self._view = view
        self._now_ms = now_ms
        self._read_file = read_file
        self._pending = 0
        self.problem = ""
        self._connection: apsw.Connection | None = None
        self._file = _NO_FILE  # that the connection writes to
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="desk")

    def act(self, actor: Actor, name: str, body: bytes, key: str) -> Awaitable[bytes]:
        """Perform a command once; the answer as JSON, once the book has it on disk.

        Args:
            name: one of `COMMANDS`.
            key: the caller's own; the same key with the same content gives the same answer again.

        Raises:
            RequestError: `command_unknown`, `command_invalid`, `forbidden`, `scope_forbidden` or `overloaded`. In the
                future, why the book does not allow it, or `id_conflict`.
            BookError: in the future; `book_locked` where another program writes the book.
        """
        kind = COMMANDS.get(name)
        if kind is None:
            known = ", ".join(COMMANDS)
            raise RequestError(codes.COMMAND_UNKNOWN, f"There is no command {name[:64]}; there are: {known}.")
        grant = permit(actor, kind.action)
        if kind.of == "book":
            check_whole(actor, name)
        if not 0 < len(key) <= KEY_MAX or not key.isprintable():
            raise RequestError(codes.COMMAND_INVALID, f"A key has 1 to {KEY_MAX} printable characters.")
        command, digest = _read(name, kind.body, body)
        status = self._status_of(actor, command)
        if self._pending >= self._settings.pending_max:
            raise RequestError(codes.OVERLOADED, "The desk has no room for more commands now.", retry_after_s=RETRY_S)
        self._pending += 1
        future = asyncio.wrap_future(
            self._thread.submit(self._perform, actor, name, grant, command, key, digest, status)
        )
        future.add_done_callback(self._left)
        return future

    def commands(self, actor: Actor) -> tuple[str, ...]:
        """The commands that an actor may give; whose they may be about is seen when it does."""
        return tuple(
            name
            for name, kind in COMMANDS.items()
            if is_permitted(actor, kind.action) and (kind.of == "customer" or actor.scope == ROOT)
        )

    async def look(self) -> None:
        """See whether commands could be written now; `problem` says it."""

        def try_out() -> None:
            with contextlib.suppress(BookError), self._writing() as connection, database.transaction(connection):
                pass

        await asyncio.wrap_future(self._thread.submit(try_out))

    def let_go(self) -> None:
        """Close a book that is no longer at its path; waits for the command that is at work. For another thread."""

        def close_replaced() -> None:
            if self._file != _file(self._path):
                self._close()

        self._thread.submit(close_replaced).result()

    def close(self) -> None:
        """End, after the command that is at work."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._close()

    def _left(self, _: object) -> None:
        self._pending -= 1

    def _status_of(self, actor: Actor, command: Command) -> str:
        """The status of the alert that a command is about, or nothing.

        Raises:
            RequestError: `alert_unknown`; outside the actor's scope as if there were none.
        """
        if not isinstance(command, commands.DecideAlert):
            return ""
        # A scope has the documents of exactly those alerts of which it covers all evidence.
        alert = self._view(ALERTS, actor.scope, command.alert_id)
        if alert is None:
            raise RequestError(betting_codes.ALERT_UNKNOWN, f"There is no alert {command.alert_id[:64]}.")
        return str(alert["status"])

    # In the desk's own thread.

    def _perform(
        self, actor: Actor, name: str, grant: Grant, command: Command, key: str, digest: bytes, alert_status: str
    ) -> bytes:
        with self._writing() as connection:
            now_ms = self._now_ms()
            with database.transaction(connection):
                known = _answered(connection, actor.subject, key, digest)
                if known is not None:
                    return msgspec.json.encode(_Answer(name, key, True, Raw(known)))
                read = Reader(connection, actor.scope)
                case = Case(
                    name=name,
                    actor=actor,
                    grant=grant,
                    house=self._settings,
                    currency=self._currency,
                    now_ms=now_ms,
                    new_id=partial(new_id, now_ms),
                    connection=connection,
                    read=read,
                    alert_status=alert_status,
                )
                done = _PERFORMERS[type(command)](case, command)
                result = msgspec.json.encode(done.result)
                _record(connection, actor.subject, name, done, now_ms)
                _remember(connection, actor.subject, key, digest, result, now_ms)
                _forget(connection, now_ms - self._settings.keys_days * DAY_MS)
            return msgspec.json.encode(_Answer(name, key, False, Raw(result)))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        """The connection to the book that is at its path, and still is in the end.

        Raises:
            BookError: it cannot be written, which may pass; `book_missing` also where it was replaced meanwhile.
        """
        try:
            with database.book_errors(self._path):
                yield self._open()
                if _file(self._path) != self._file:
                    message = f"{self._path.name} was replaced while the command was performed; ask again by its key."
                    raise BookError(codes.BOOK_MISSING, message)
        except BookError as error:
            # Another writer's lock passes by itself.
            self.problem = "" if error.code is codes.BOOK_LOCKED else error.code.name
            raise BookError(error.code, error.message, temporary=True) from error
        except RequestError:
            self.problem = ""
            raise
        self.problem = ""

    def _open(self) -> apsw.Connection:
        file = _file(self._path)
        if self._connection is not None and file == self._file:
            return self._connection
        self._close()
        if self._read_file() not in (None, file):
            raise BookError(codes.BOOK_MISSING, f"{self._path.name} was replaced, and is opened again in a moment.")
        connection = database.connect(self._path)
        try:
            if not is_demo(self._path):
                raise BookError(codes.BOOK_SCHEMA, f"{self._path.name} is no longer a book that commands can write to.")
            connection.set_busy_timeout(int(self._settings.busy_timeout_s * 1000))
            # An answer says that it is on disk, also after a loss of power.
            connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
        self._connection, self._file = connection, file
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _file(path: Path) -> tuple[int, int]:
    """What is at a path now: device and inode."""
    try:
        found = path.stat()
    except OSError:
        return _NO_FILE
    return found.st_dev, found.st_ino


def is_demo(path: Path) -> bool:
    """Whether a book has the demo schema and its triggers, as they are now; only then commands can write to it."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(database.BUSY_TIMEOUT_MS)
            found = dict(connection.execute(f"SELECT key, value FROM {META} WHERE key IN ('schema', 'version')"))
        finally:
            connection.close()
    except apsw.Error:
        return False
    return found == {"schema": OUTBOX.name, "version": str(OUTBOX.version)}


def new_id(at_ms: int) -> str:
    """A UUID of version 7: in order of time, so that tables and indexes grow at their end."""
    bits = secrets.randbits(74)
    value = at_ms << 80 | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _read(name: str, type: type[Command], body: bytes) -> tuple[Command, bytes]:
    """A command and the digest of its content, however it is written.

    Raises:
        RequestError: `json_invalid` or `command_invalid`.
    """
    try:
        raw: Json = msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise RequestError(codes.COMMAND_INVALID, f"The body of {name} is not valid: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RequestError(codes.JSON_INVALID, "The body is not JSON in UTF-8.") from None
    except RecursionError:
        raise RequestError(codes.COMMAND_INVALID, f"The body of {name} is nested too deep.") from None
    try:
        command = msgspec.convert(raw, type)
    except msgspec.ValidationError as error:
        raise RequestError(codes.COMMAND_INVALID, f"The body of {name} is not valid: {error}.") from None
    content = msgspec.json.encode([name, _said(command)], order="sorted")
    return command, hashlib.sha256(content).digest()


def _said(value: Any) -> Any:
    """What a command says beyond its defaults, so that the same is the same however it is written."""
    if isinstance(value, Struct):
        fields = ((each, getattr(value, each.name)) for each in msgspec.structs.fields(value))
        return {each.encode_name: _said(given) for each, given in fields if given != each.default}
    return [_said(each) for each in value] if isinstance(value, tuple) else value


def _answered(connection: apsw.Connection, principal: str, key: str, digest: bytes) -> bytes | None:
    """The result that a key was answered with, or None.

    Raises:
        RequestError: `id_conflict`, it was another command's.
    """
    row = connection.execute("SELECT digest, answer FROM commands WHERE principal = ? AND key = ?", (principal, key))
    known = row.fetchone()
    if known is None:
        return None
    if known[0] != digest.hex():
        raise RequestError(codes.ID_CONFLICT, f"The key {key[:64]} was used for another command.")
    return str(known[1]).encode()


def _remember(connection: apsw.Connection, principal: str, key: str, digest: bytes, result: bytes, now_ms: int) -> None:
    connection.execute(
        "INSERT INTO commands(principal, key, digest, answer, at) VALUES(?, ?, ?, ?, ?)",
        (principal, key, digest.hex(), result.decode(), to_text(now_ms)),
    )


def _forget(connection: apsw.Connection, before_ms: int) -> None:
    """Forget the oldest keys, a few at each command: more than it adds, and never many at once."""
    connection.execute(
        "DELETE FROM commands WHERE (principal, key) IN"
        " (SELECT principal, key FROM commands WHERE at < ? ORDER BY at LIMIT ?)",
        (to_text(before_ms), FORGOTTEN_MAX),
    )


def _record(connection: apsw.Connection, actor: str, name: str, done: Done, now_ms: int) -> None:
    before, after = (msgspec.json.encode(each).decode() for each in (done.before, done.after))
    connection.execute(
        'INSERT INTO audit_log(actor_id, action, entity, "before", "after", at) VALUES(?, ?, ?, ?, ?, ?)',
        (actor, name, done.entity, before, after, to_text(now_ms)),
    )
