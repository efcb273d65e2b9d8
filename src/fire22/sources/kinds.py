"""The kinds of databases that a book can lie in. Another kind is one more folder or file, and one more row here."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.outbox import Domain, OutboxSchema
from fire22.sources.base import Database
from fire22.sources.sqlite.reader import SqliteBook


def _postgres(address: str, schema: OutboxSchema) -> Database:
    try:  # its driver is an extra of its own
        from fire22.sources.postgres.reader import PostgresBook
    except ImportError:
        message = "Books in PostgreSQL need a driver; this helps: pip install 'fire22-flows[postgres]'."
        raise SetupError(codes.CONFIG_INVALID, message) from None
    return PostgresBook(address, schema)


# (where the book is, which triggers it must have) → the book
MAKERS: Final[dict[str, Callable[[str, OutboxSchema], Database]]] = {
    "sqlite": lambda address, schema: SqliteBook(Path(address), schema),
    "postgresql": _postgres,
}


class BookAt(Struct, frozen=True):
    """A book and what is made of it, in words that another process understands.

    Args:
        kind: of the database.
        address: where it is.
        domain: what makes the domain: `module:callable`.
        arguments: which that is called with.
    """

    kind: str
    address: str
    domain: str
    arguments: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the address, which may hold a password."""
        return f"BookAt({self.kind!r}, ..., {self.domain!r})"

    def make(self) -> tuple[Database, Domain]:
        """The book's database, and what is made of its rows.

        Raises:
            Fire22Error: as the domain's maker says.
        """
        module, _, name = self.domain.partition(":")
        domain: Domain = getattr(importlib.import_module(module), name)(*self.arguments)
        return MAKERS[self.kind](self.address, domain.outbox), domain
