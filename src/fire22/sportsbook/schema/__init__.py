"""What a book looks like to this program: its tables, and the triggers that make the facts of `sportsbook/facts.py`.

`demo.sql` has the tables of the demo book, `triggers.sql` and `bootstrap.sql` what is told of them; `statements.py`
reads these. Another book is mapped to the same tables: `foreign.py` is the mapping's file, `columns.py` what can be
mapped, `values.py` and `translate.py` make the triggers, `sample.py` looks at the book's values before anything is
installed.
"""

from typing import Final

from fire22.sportsbook.schema.statements import text
from fire22.sportsbook.schema.translate import outbox

__all__ = ["OUTBOX", "TABLES_SQL", "outbox"]

TABLES_SQL: Final = text("demo.sql")
OUTBOX: Final = outbox(None)
