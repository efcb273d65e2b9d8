"""A command that was taken: how it is read, whose its key is, and what is written about it once it was performed."""

from typing import Any, Final

import apsw
import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.nesting import why_too_much
from fire22.core.role import Grant
from fire22.core.times import to_text
from fire22.sportsbook.desk import approvals
from fire22.sportsbook.desk.approvals import Held
from fire22.sportsbook.desk.case import Done
from fire22.sportsbook.desk.commands import Command
from fire22.sportsbook.desk.permits import Actor

FORGOTTEN_MAX: Final = 3  # keys, with each command


class Answer(Struct, frozen=True, rename="camel"):
    command: str
    key: str
    repeat: bool
    result: Raw


class Order(Struct, frozen=True):
    """A command that was taken.

    Args:
        digest: of its content, however that was written.
        body: its content in one way of writing.
        alert_status: of the alert that it is about.
    """

    actor: Actor
    name: str
    grant: Grant
    command: Command
    key: str
    digest: str
    body: bytes
    alert_status: str = ""

    @property
    def owner(self) -> str:
        """To whom the key belongs; the name and the scope have no blanks."""
        return f"{self.name} {self.actor.scope} {self.actor.user}"


def read(name: str, type: type[Command], body: bytes) -> tuple[Command, bytes]:
    """A command and its content, the same however it is written.

    Raises:
        RequestError: `json_invalid` or `command_invalid`.
    """
    why = why_too_much(body)
    if why:
        raise RequestError(codes.COMMAND_INVALID, f"The body of {name} cannot be taken: {why}.")
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
    return command, msgspec.json.encode(_said(command), order="sorted")


def _said(value: Any) -> Any:
    """What a command says beyond its defaults, so that the same is the same however it is written."""
    if isinstance(value, Struct):
        fields = ((each, getattr(value, each.name)) for each in msgspec.structs.fields(value))
        return {each.encode_name: _said(given) for each, given in fields if given != each.default}
    return [_said(each) for each in value] if isinstance(value, tuple) else value


def answered(connection: apsw.Connection, order: Order) -> bytes | None:
    """The result that a key was answered with, or None.

    Raises:
        RequestError: `id_conflict`, it was the same command's with other content.
    """
    sql = "SELECT digest, answer FROM commands WHERE principal = ? AND key = ?"
    known = connection.execute(sql, (order.owner, order.key)).fetchone()
    if known is None:
        # An earlier version kept keys by the user's name alone. Of one that answers the same command it is the answer.
        earlier = connection.execute(sql, (order.actor.subject, order.key)).fetchone()
        known = earlier if earlier is not None and earlier[0] == order.digest else None
    if known is None:
        return None
    if known[0] != order.digest:
        raise RequestError(codes.ID_CONFLICT, f"The key {order.key[:64]} was used for another command.")
    return str(known[1]).encode()


def remember(connection: apsw.Connection, order: Order, result: bytes, now_ms: int) -> None:
    connection.execute(
        "INSERT INTO commands(principal, key, digest, answer, at) VALUES(?, ?, ?, ?, ?)",
        (order.owner, order.key, order.digest, result.decode(), to_text(now_ms)),
    )


def pending(held: Held, *, repeat: bool) -> bytes:
    """The answer to who asked for a command that waits."""
    return msgspec.json.encode(Answer(held.command, held.key, repeat, Raw(msgspec.json.encode(held.result()))))


def forget(connection: apsw.Connection, before_ms: int) -> None:
    """Forget the oldest keys, a few at each command: more than it adds, and never many at once."""
    connection.execute(
        "DELETE FROM commands WHERE (principal, key) IN"
        " (SELECT principal, key FROM commands WHERE at < ? ORDER BY at LIMIT ?)",
        (to_text(before_ms), FORGOTTEN_MAX),
    )
    approvals.forget(connection, before_ms)


def record(connection: apsw.Connection, actor: str, name: str, done: Done, now_ms: int) -> None:
    before, after = (msgspec.json.encode(each).decode() for each in (done.before, done.after))
    connection.execute(
        'INSERT INTO audit_log(actor_id, action, entity, "before", "after", at) VALUES(?, ?, ?, ?, ?, ?)',
        (actor, name, done.entity, before, after, to_text(now_ms)),
    )
