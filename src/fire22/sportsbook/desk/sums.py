"""What one person has done alone: the sum of a command's amounts over the last 24 hours.

Without it, many small amounts would need nobody's approval. The rows stand in a table of the book, written in the
command's own transaction; approved commands are not in it, a second person has seen those. The same name is the same
person, whatever it signs in as; a machine is another one. The time is that of recording, which no command says.
"""

from typing import Final

import apsw

from fire22.core.role import Grant
from fire22.sportsbook.desk.permits import Actor

TABLE: Final = """
CREATE TABLE IF NOT EXISTS fire22_alone(
  person TEXT NOT NULL, command TEXT NOT NULL, at_ms INTEGER NOT NULL, amount INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS fire22_alone_person ON fire22_alone(person, command, at_ms);
CREATE INDEX IF NOT EXISTS fire22_alone_at ON fire22_alone(at_ms);
"""
WINDOW_MS: Final = 86_400_000
_FORGOTTEN_MAX: Final = 3  # with each command


def may_alone(
    connection: apsw.Connection, actor: Actor, name: str, grant: Grant, amount_minor: int, now_ms: int
) -> bool:
    """Whether an actor may do this without a second person; if so, it counts from now on.

    Args:
        amount_minor: that the command is about.
    """
    alone, day = grant.alone_max_minor, grant.day_minor
    if day is None or amount_minor == 0:
        return True
    person = _person(actor)
    sql = "SELECT coalesce(sum(amount), 0) FROM fire22_alone WHERE person = ? AND command = ? AND at_ms > ?"
    before = connection.execute(sql, (person, name, now_ms - WINDOW_MS)).get
    if (alone is not None and amount_minor > alone) or before + amount_minor > day:
        return False
    connection.execute("INSERT INTO fire22_alone VALUES(?, ?, ?, ?)", (person, name, now_ms, amount_minor))
    connection.execute(
        "DELETE FROM fire22_alone WHERE rowid IN"
        " (SELECT rowid FROM fire22_alone WHERE at_ms <= ? ORDER BY at_ms LIMIT ?)",
        (now_ms - WINDOW_MS, _FORGOTTEN_MAX),
    )
    return True


def _person(actor: Actor) -> str:
    kind = "machine" if actor.kind == "machine" else "person"
    return f"{kind}:{actor.subject.casefold()}"
