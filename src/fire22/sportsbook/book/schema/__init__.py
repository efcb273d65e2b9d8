"""What a book looks like to this program: its tables, and what makes facts (`betting/facts.py`) of them.

`demo.sql` has the tables of the demo book. Every book is copied to a mirror with these tables (`mirror.py`), whose
`triggers.sql` and `bootstrap.sql` say what is told; `statements.py` reads these. Another book is mapped to the same
tables: `mapping.py` is the mapping's file, `columns.py` what can be mapped, `expression.py` its expressions,
`operations.py` what they compute, `numbers.py` reads values strictly, `rows.py` makes rows, `order.py` puts those of a
transaction in order, `unmapped.py` looks at the book's values before anything is installed. `unchanging.py` knows which
columns must not change, and `upgrade.py` brings an earlier version's demo book up to these tables.
"""

from typing import Final

from fire22.sportsbook.book.schema.mirror import Book, book
from fire22.sportsbook.book.schema.statements import text

__all__ = ["OUTBOX", "TABLES_SQL", "Book", "book"]

TABLES_SQL: Final = text("demo.sql")
OUTBOX: Final = book(None).outbox
