"""Whether a mirror is of a book, by its rows: the book has another id than it had."""

from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from fire22.core.outbox import BookChange, Domain, RowChange, Values
from fire22.sources.mirror.rows import CLOCK
from fire22.sources.mirror.statements import Statements

ROWS: Final = 1_000  # of each table of the book that are looked at


def resembles(mirror: Path, domain: Domain, scan: Callable[[str, tuple[str, ...]], Iterable[Values]]) -> bool:
    """Whether at least half of a book's rows are in a mirror as they are; of a large book, of its first ones."""
    columns = {need.name: need.columns for need in domain.outbox.tables}
    same = seen = 0
    with closing(apsw.Connection(str(mirror), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.set_busy_timeout(5_000)
        for table in domain.tables:
            if table.name == CLOCK:
                continue
            select = Statements(table).select  # the seal comes last
            for source in domain.sources(table.name):
                for values in islice(scan(source, columns[source]), ROWS):
                    for made in domain.rows(BookChange(0, "", source, "insert", (), values), table.name):
                        if isinstance(made, RowChange):
                            try:
                                found = connection.execute(select, made.key).fetchall()
                            except apsw.SQLError:
                                return False  # of another domain, or of another version
                            seen += 1
                            same += bool(found) and found[0][:-1] == made.row
    return seen > 0 and 2 * same >= seen
