"""The kinds of databases that a book can lie in. Another kind is one more folder or file, and one more row here."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from fire22.core.outbox import OutboxSchema
from fire22.sources.base import Database
from fire22.sources.sqlite.reader import SqliteBook

# (where the book is, which triggers it must have) → the book
MAKERS: Final[dict[str, Callable[[str, OutboxSchema], Database]]] = {
    "sqlite": lambda address, schema: SqliteBook(Path(address), schema),
}
