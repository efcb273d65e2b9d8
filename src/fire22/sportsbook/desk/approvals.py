"""What waits for a second person: commands whose amount is above what their role may do alone.

A held command stands in a table of the book, beside what it would change: it is decided, performed and answered in one
transaction, and survives whatever the server does not. The table is the desk's own; no trigger and no figure knows it.
"""

from typing import Final, Literal, cast

import apsw
import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import Details, RequestError
from fire22.core.message import Json
from fire22.core.role import Kind
from fire22.core.times import to_text
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.desk.case import Done
from fire22.sportsbook.desk.permits import Actor, People

TABLE: Final = """
CREATE TABLE IF NOT EXISTS fire22_approvals(
  id TEXT PRIMARY KEY, status TEXT NOT NULL, command TEXT NOT NULL, body TEXT NOT NULL, digest TEXT NOT NULL,
  owner TEXT NOT NULL, key TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL, role TEXT NOT NULL,
  scope TEXT NOT NULL, may TEXT NOT NULL, entity TEXT NOT NULL, customer TEXT NOT NULL, amount INTEGER NOT NULL,
  "before" TEXT NOT NULL, "after" TEXT NOT NULL, asked_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
  decided_by TEXT NOT NULL DEFAULT '', decided_ms INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS fire22_approvals_key ON fire22_approvals(owner, key);
CREATE INDEX IF NOT EXISTS fire22_approvals_open ON fire22_approvals(asked_ms) WHERE status = 'pending';
"""
EACH_MAX: Final = 100  # that one user may have pending
LIST_MAX: Final = 500
FORGOTTEN_MAX: Final = 3  # with each command
_COLUMNS: Final = (
    "id, status, command, body, digest, owner, key, subject, kind, role, scope, may, entity, customer, amount,"
    ' "before", "after", asked_ms, expires_ms'
)
Status = Literal["pending", "approved", "rejected", "expired"]


class Asker(Struct, frozen=True):
    """Who asked for a held command, as its token said it then."""

    subject: str
    kind: Kind
    role: str
    scope: str
    may: tuple[str, ...] = ()

    @property
    def user(self) -> str:
        """The user among all, such as `agent:M1`."""
        return f"{self.kind}:{self.subject}"


class Held(Struct, frozen=True):
    """A held command.

    Args:
        owner, key, digest: by which its answer will be remembered.
        customer: whose it is about; empty is the whole book.
        amount_minor: that is above what the asker may do alone.
        before, after: what it would change, as JSON.
    """

    id: str
    status: Status
    command: str
    body: str
    digest: str
    owner: str
    key: str
    asker: Asker
    entity: str
    customer: str
    amount_minor: int
    before: str
    after: str
    asked_ms: int
    expires_ms: int

    def as_of(self, now_ms: int) -> Status:
        """How it is now: one that nobody decided in time has expired."""
        return "expired" if self.status == "pending" and self.expires_ms <= now_ms else self.status

    def result(self) -> dict[str, Json]:
        """What its asker is answered with."""
        return {
            "status": "pending",
            "approvalId": self.id,
            "amountMinor": self.amount_minor,
            "expiresAt": to_text(self.expires_ms),
        }

    def shown(self) -> dict[str, Json]:
        """For those who may decide about it, and its asker."""
        return {
            "approvalId": self.id,
            "command": self.command,
            "body": msgspec.json.decode(self.body),
            "entity": self.entity,
            "customer": self.customer,
            "amountMinor": self.amount_minor,
            "before": msgspec.json.decode(self.before),
            "after": msgspec.json.decode(self.after),
            "askedBy": self.asker.user,
            "role": self.asker.role,
            "scope": self.asker.scope,
            "askedAt": to_text(self.asked_ms),
            "expiresAt": to_text(self.expires_ms),
        }


def hold(
    connection: apsw.Connection,
    *,
    id: str,
    command: str,
    body: bytes,
    digest: str,
    owner: str,
    key: str,
    actor: Actor,
    done: Done,
    now_ms: int,
    expires_ms: int,
) -> Held:
    """Have a command wait for another person.

    Args:
        done: what it would have done; that has been undone.

    Raises:
        RequestError: `overloaded`, this user has too many that wait.
    """
    asker = Asker(actor.subject, actor.kind, actor.role, actor.scope, actor.may)
    sql = (
        "SELECT count(*) FROM fire22_approvals WHERE status = 'pending' AND expires_ms > ? AND kind = ? AND subject = ?"
    )
    if connection.execute(sql, (now_ms, asker.kind, asker.subject)).get >= EACH_MAX:
        message = f"{EACH_MAX} commands of this user wait for an approval, and no more may."
        raise RequestError(codes.OVERLOADED, message, retry_after_s=60)
    before, after = (msgspec.json.encode(each).decode() for each in (done.before, done.after))
    # What it is about has no number yet that would hold: it was made, and unmade.
    entity = f"customer:{done.customer}" if not done.before else done.entity
    held = Held(
        id, "pending", command, body.decode(), digest, owner, key, asker, entity, done.customer, done.amount_minor,
        before, after, now_ms, expires_ms,
    )  # fmt: skip
    connection.execute(
        f"INSERT INTO fire22_approvals({_COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # nosec B608  # columns are constant, values are bound
        (
            id, "pending", command, held.body, digest, owner, key, asker.subject, asker.kind, asker.role, asker.scope,
            msgspec.json.encode(asker.may).decode(), entity, done.customer, done.amount_minor, before, after, now_ms,
            expires_ms,
        ),
    )  # fmt: skip
    return held


def by_key(connection: apsw.Connection, owner: str, key: str) -> Held | None:
    """The held command that a key was used for."""
    return _one(connection, "owner = ? AND key = ?", owner, key)


def by_id(connection: apsw.Connection, id: str) -> Held | None:
    """A held command, however it is by now."""
    return _one(connection, "id = ?", id)


def pending(connection: apsw.Connection, now_ms: int) -> list[Held]:
    """All that wait, the oldest first."""
    sql = f"SELECT {_COLUMNS} FROM fire22_approvals WHERE status = 'pending' AND expires_ms > ? ORDER BY asked_ms, id"  # nosec B608  # columns are constant, values are bound
    return [_held(row) for row in connection.execute(sql, (now_ms,))]


def check_not_over(held: Held, digest: str, now_ms: int) -> None:
    """Whether the same command may still be answered as pending.

    Raises:
        RequestError: `id_conflict`, the key is another command's; `approval_rejected` or `approval_expired`.
    """
    if held.digest != digest:
        raise RequestError(codes.ID_CONFLICT, f"The key {held.key[:64]} was used for another command.")
    status = held.as_of(now_ms)
    details: Details = {"approvalId": held.id}
    if status == "rejected":
        raise RequestError(betting_codes.APPROVAL_REJECTED, "Another person has rejected it.", details=details)
    if status == "expired":
        raise RequestError(betting_codes.APPROVAL_EXPIRED, "Nobody decided about it in time.", details=details)


def check_open(held: Held, now_ms: int) -> None:
    """Whether a held command can be decided about.

    Raises:
        RequestError: `approval_expired`, or `transition_illegal` where it is decided.
    """
    status = held.as_of(now_ms)
    if status == "expired":
        raise RequestError(betting_codes.APPROVAL_EXPIRED, "It waited too long; it must be asked for anew.")
    if status != "pending":
        message = f"It is {status} already."
        raise RequestError(betting_codes.TRANSITION_ILLEGAL, message, details={"before": status})


def check_second(held: Held, actor: Actor, people: People | None) -> None:
    """Whether an actor is another person than the asker.

    The same name is the same person, whatever it signs in as; a machine is nobody. So may be two users of whom one has
    made the other, or reset how it signs in, from as long before it was asked for as it waits.

    Raises:
        RequestError: `forbidden`.
    """
    since_ms = 2 * held.asked_ms - held.expires_ms
    if (
        actor.kind == "machine"
        or actor.subject.casefold() == held.asker.subject.casefold()
        or (people is not None and people.may_be_one(held.asker.user, actor.user, since_ms))
    ):
        raise RequestError(codes.FORBIDDEN, "It takes another person than the one who asked for it.")


def check_asker(held: Held, people: People | None) -> None:
    """Whether the asker still has the rights that it asked with.

    Raises:
        RequestError: `asker_changed`.
    """
    if people is not None and not people.stands(held.asker.user, held.asked_ms):
        message = f"{held.asker.user} was removed or disabled since, or has other rights; it must be asked for anew."
        raise RequestError(betting_codes.ASKER_CHANGED, message)


def decide(connection: apsw.Connection, held: Held, status: Status, actor: Actor, note: str, now_ms: int) -> None:
    """Write down what was decided."""
    connection.execute(
        "UPDATE fire22_approvals SET status = ?, decided_by = ?, decided_ms = ?, note = ? WHERE id = ?",
        (status, actor.user, now_ms, note, held.id),
    )


def forget(connection: apsw.Connection, before_ms: int) -> None:
    """Forget the oldest, a few at each command."""
    connection.execute(
        "DELETE FROM fire22_approvals WHERE id IN"
        " (SELECT id FROM fire22_approvals WHERE expires_ms < ? ORDER BY expires_ms LIMIT ?)",
        (before_ms, FORGOTTEN_MAX),
    )


def _one(connection: apsw.Connection, where: str, *values: str) -> Held | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM fire22_approvals WHERE {where}", values).fetchone()  # nosec B608  # columns are constant, values are bound
    return None if row is None else _held(row)


def _held(row: tuple[object, ...]) -> Held:
    texts = cast("tuple[str, ...]", row)
    id, status, command, body, digest, owner, key, subject, kind, role, scope, may, entity, customer = texts[:14]
    amount, before, after, asked_ms, expires_ms = row[14:]
    asker = Asker(subject, cast(Kind, kind), role, scope, msgspec.json.decode(may, type=tuple[str, ...]))
    return Held(
        id, cast(Status, status), command, body, digest, owner, key, asker, entity, customer, cast(int, amount),
        cast(str, before), cast(str, after), cast(int, asked_ms), cast(int, expires_ms),
    )  # fmt: skip
