"""The desk: takes a command, and answers once it is durable in the book.

One thread has the one connection that commands are written by. A command is one transaction: its key is looked up, the
book is read and checked, the change, its audit and the answer are written. So a command that was cut off between its
commit and its answer gives the first answer again, and one that was refused has left nothing. Keys are forgotten after
a time, the oldest ones with each new command. A key belongs to its user, scope and command.

A command that its role may not do alone, for its amount or for the person's sum of a day (`sums.py`), is undone, and
held until another person has decided (`approvals.py`); approved, it is performed as its asker's, within what both may
act on.

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
from msgspec import Raw

from fire22.core import codes
from fire22.core.errors import BookError, RequestError
from fire22.core.message import Json
from fire22.core.outbox import META
from fire22.core.scope import ROOT, covers
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.book import database
from fire22.sportsbook.book.schema import OUTBOX
from fire22.sportsbook.desk import accounts, alerts, approvals, commands, markets, orders, sums, wagers
from fire22.sportsbook.desk.approvals import Held
from fire22.sportsbook.desk.case import Case, Done
from fire22.sportsbook.desk.commands import COMMANDS, FREE_PLAY, Command, DecideApproval
from fire22.sportsbook.desk.orders import Order
from fire22.sportsbook.desk.permits import Actor, Grants, People, check_whole, find, permit
from fire22.sportsbook.desk.reads import Reader
from fire22.sportsbook.desk.settings import DeskSettings

KEY_MAX: Final = 200
RETRY_S: Final = 0.5
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
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
        grants: what each role may do now; asked in both threads.
        people: what is known of users; without it users are told apart by their names alone.
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
        grants: Grants,
        people: People | None = None,
        read_file: Callable[[], tuple[int, int] | None] = lambda: None,
    ) -> None:
        self._path = path
        self._settings = settings
        self._currency = currency
        self._view = view
        self._now_ms = now_ms
        self._grants = grants
        self._people = people
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
        grant = permit(actor, self._grants, name, kind.flag)
        if kind.of == "book":
            check_whole(actor, name)
        if not 0 < len(key) <= KEY_MAX or not key.isprintable():
            raise RequestError(codes.COMMAND_INVALID, f"A key has 1 to {KEY_MAX} printable characters.")
        command, content = orders.read(name, kind.body, body)
        digest = hashlib.sha256(msgspec.json.encode([name, msgspec.Raw(content)])).hexdigest()
        order = Order(actor, name, grant, command, key, digest, content, self._status_of(actor, command))
        if self._pending >= self._settings.pending_max:
            raise RequestError(codes.OVERLOADED, "The desk has no room for more commands now.", retry_after_s=RETRY_S)
        self._pending += 1
        future = asyncio.wrap_future(self._thread.submit(self._perform, order))
        future.add_done_callback(self._left)
        return future

    def commands(self, actor: Actor) -> tuple[str, ...]:
        """The commands that an actor may give; whose they may be about is seen when it does."""
        return tuple(
            name
            for name, kind in COMMANDS.items()
            if find(actor, self._grants, name, kind.flag) is not None and (kind.of == "customer" or actor.scope == ROOT)
        )

    async def approvals(self, actor: Actor) -> bytes:
        """The commands that wait for a second person, the oldest first, as JSON: those within the actor's scope
        that the actor may decide about, or has asked for.

        Raises:
            BookError: the book cannot be read.
        """

        def look() -> bytes:
            with self._writing() as connection:
                waiting = approvals.pending(connection, self._now_ms())
                shown = [each.shown() for each in waiting if self._may_see(connection, actor, each)]
            return msgspec.json.encode({"approvals": shown[: approvals.LIST_MAX]})

        return await asyncio.wrap_future(self._thread.submit(look))

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

    def _perform(self, order: Order) -> bytes:
        with self._writing() as connection:
            now_ms = self._now_ms()
            with database.transaction(connection):
                known = orders.answered(connection, order)
                if known is not None:
                    return msgspec.json.encode(orders.Answer(order.name, order.key, True, Raw(known)))
                held = approvals.by_key(connection, order.owner, order.key)
                if held is not None:
                    approvals.check_not_over(held, order.digest, now_ms)
                    return orders.pending(held, repeat=True)
                if isinstance(order.command, DecideApproval):
                    done = self._decide(connection, order, order.command, now_ms)
                else:
                    done = self._carry_out(connection, order, order.actor.scope, now_ms)
                    if not sums.may_alone(connection, order.actor, order.name, order.grant, done.amount_minor, now_ms):
                        return orders.pending(self._hold(connection, order, done, now_ms), repeat=False)
                result = msgspec.json.encode(done.result)
                orders.record(connection, order.actor.user, order.name, done, now_ms)
                orders.remember(connection, order, result, now_ms)
                orders.forget(connection, now_ms - self._settings.keys_days * DAY_MS)
            return msgspec.json.encode(orders.Answer(order.name, order.key, False, Raw(result)))

    def _carry_out(self, connection: apsw.Connection, order: Order, scope: str, now_ms: int) -> Done:
        """Do what a command says; `_hold` undoes it."""
        connection.execute("SAVEPOINT desk_command")
        case = Case(
            name=order.name,
            actor=order.actor,
            grant=order.grant,
            free_play=find(order.actor, self._grants, FREE_PLAY, None) is not None,
            house=self._settings,
            currency=self._currency,
            now_ms=now_ms,
            new_id=partial(new_id, now_ms),
            connection=connection,
            read=Reader(connection, scope),
            alert_status=order.alert_status,
        )
        return _PERFORMERS[type(order.command)](case, order.command)

    def _hold(self, connection: apsw.Connection, order: Order, done: Done, now_ms: int) -> Held:
        """Undo a command that needs a second person, and have it wait for one."""
        connection.execute("ROLLBACK TO desk_command")
        return approvals.hold(
            connection,
            id=new_id(now_ms),
            command=order.name,
            body=order.body,
            digest=order.digest,
            owner=order.owner,
            key=order.key,
            actor=order.actor,
            done=done,
            now_ms=now_ms,
            expires_ms=now_ms + int(self._settings.approval_hours * HOUR_MS),
        )

    def _decide(self, connection: apsw.Connection, order: Order, command: DecideApproval, now_ms: int) -> Done:
        """A second person approves a held command, which is performed by that, or rejects it.

        Raises:
            RequestError: `approval_unknown`, outside the actor's scope as if there were none; `forbidden`,
                `transition_illegal`, `approval_expired`; `fact_conflict`, it is about more money by now; or what
                the held command is refused with.
        """
        actor = order.actor
        held = approvals.by_id(connection, command.approval_id)
        if held is None or not _is_within(connection, actor, held):
            raise RequestError(betting_codes.APPROVAL_UNKNOWN, f"Nothing waits as {command.approval_id[:64]}.")
        approvals.check_second(held, actor, self._people)
        if not self._may_decide(actor, held):
            raise RequestError(codes.FORBIDDEN, f"The role {actor.role[:64]} approves no {held.command}.")
        approvals.check_open(held, now_ms)
        entity = f"approval:{held.id}"
        result: dict[str, Json] = {"approvalId": held.id, "command": held.command, "status": "rejected"}
        before: dict[str, Json] = {"status": "pending"}
        if order.name == "approval.reject":
            approvals.decide(connection, held, "rejected", actor, command.note, now_ms)
            return Done(entity, result, before, {"status": "rejected", "note": command.note}, held.customer)
        approvals.check_asker(held, self._people)
        done = self._approved(connection, held, actor, now_ms)
        approvals.decide(connection, held, "approved", actor, command.note, now_ms)
        result |= {"status": "approved", "result": dict(done.result)}
        return Done(entity, result, before, {"status": "approved", "note": command.note}, held.customer)

    def _approved(self, connection: apsw.Connection, held: Held, actor: Actor, now_ms: int) -> Done:
        """Perform a held command as its asker's, by what its asker may do now, within both scopes."""
        kind, asker = COMMANDS[held.command], held.asker
        grant = permit(asker, self._grants, held.command, kind.flag)
        asked, _ = orders.read(held.command, kind.body, held.body.encode())
        order = Order(asker, held.command, grant, asked, held.key, held.digest, held.body.encode())
        done = self._carry_out(connection, order, _narrower(asker.scope, actor.scope), now_ms)
        if done.amount_minor > held.amount_minor:
            message = f"It is about {done.amount_minor} by now, not {held.amount_minor}; it must be asked for anew."
            raise RequestError(betting_codes.FACT_CONFLICT, message)
        orders.record(connection, asker.user, held.command, done, now_ms)
        orders.remember(connection, order, msgspec.json.encode(done.result), now_ms)
        return done

    def _may_decide(self, actor: Actor, held: Held) -> bool:
        """Whether an actor's role decides about such a command."""
        kind = COMMANDS[held.command]
        grant = find(actor, self._grants, held.command, kind.flag)
        return grant is not None and grant.approve

    def _may_see(self, connection: apsw.Connection, actor: Actor, held: Held) -> bool:
        own = held.asker.user == actor.user
        return (own or self._may_decide(actor, held)) and _is_within(connection, actor, held)

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
            connection.execute(approvals.TABLE)
            connection.execute(sums.TABLE)
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
            found = dict(connection.execute(f"SELECT key, value FROM {META} WHERE key IN ('schema', 'version')"))  # nosec B608  # a constant
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


def _is_within(connection: apsw.Connection, actor: Actor, held: Held) -> bool:
    """Whether what a held command is about lies in an actor's scope, by where its customer belongs now."""
    if not held.customer:
        return actor.scope == ROOT
    try:
        Reader(connection, actor.scope).customer(held.customer)
    except RequestError:
        return False
    return True


def _narrower(one: str, other: str) -> str:
    """What both scopes cover.

    Raises:
        RequestError: `scope_forbidden`, nothing.
    """
    for scope, inner in ((one, other), (other, one)):
        if covers(scope, inner):
            return inner
    raise RequestError(codes.SCOPE_FORBIDDEN, f"{one} and {other} have nothing in common.")
