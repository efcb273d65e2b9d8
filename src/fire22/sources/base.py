"""What a source of events is, and what each kind of book's database brings.

A new kind of database is a `Database` and a `Reader`, and a row in the table of `kinds.py`; `tests/contract/` has the
suite that it must pass. What they deliver is the same for all kinds: row changes in commit order (`BookChange`), each
with a number that is never given twice. Everything after that is shared: `follower.py` brings them into the mirror and
judges whether book, mirror and log still meet, `pipeline.py` brings the facts into the log.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from fire22.core.codes import Code
from fire22.core.errors import Fire22Error
from fire22.core.outbox import BookChange, Values
from fire22.sources.mirror.file import Fact


class SourceStatus(Struct, frozen=True):
    """How a source is.

    Args:
        name: unique.
        read_up_to_ms: everything that happened before has been read; 0 before the first complete reading.
        position: the source's own; 0 where it has none.
        waiting: rows seen and not yet in the log.
        recorded: it brings its own clock.
        problem: the code of what keeps it from reading now; empty when it reads.
    """

    name: str
    read_up_to_ms: int = 0
    position: int = 0
    waiting: int = 0
    recorded: bool = False
    problem: str = ""


class Source(Protocol):
    """A source of events."""

    def status(self) -> SourceStatus:
        """How it is now; cheap, from any thread."""

    def check(self) -> None:
        """Whether it can be read, before anything is started on it.

        Raises:
            BookError, SourceError: why not.
        """

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            BookError, SourceError: what trying again cannot mend.
        """


class Standing(Struct, frozen=True):
    """How the changes of a book stand, as of one moment.

    Args:
        book_id: of the installation that is there.
        generation: differs after each installation that changed something: readers then compare the whole book.
        layout: which columns are told of each table, of the changes that come next (`core/outbox.py`, `layout`).
        trimmed_to: the highest number of a change that was trimmed.
        trimmed_fact: up to which fact the log had the book when that was done; -1 where nobody knows.
        last: the highest number ever given; 0 = none.
        empty: whether the book had no rows when it was first connected.
    """

    book_id: str
    generation: str
    layout: str
    trimmed_to: int
    trimmed_fact: int
    last: int
    empty: bool


class Reader(Protocol):
    """An open book. All is called from one thread; database errors may come from anywhere (`Database.errors`).

    Attributes:
        book_id: names the book for ever, also in the ids of its events.
        recorded: whether the book brings its own clock.
        tells_all: whether the rows that are there at the first reading are told.
        file: device and inode, where the book is a file.
        has_former: whether facts that a version up to 4 left in the book may still be unread; SQLite's alone.
    """

    book_id: str
    recorded: bool
    tells_all: bool
    file: tuple[int, int] | None
    has_former: bool

    def close(self) -> None:
        """Let the book go."""

    def changed(self) -> bool:
        """Whether anything may have been written since the last call; cheap, for it is asked every few milliseconds."""

    def replaced(self) -> bool:
        """Whether another book is at the address now, or the same with another id; asked once a second."""

    def missing(self) -> list[str]:
        """What keeps changes from being seen, such as the names of missing triggers; asked once a second."""

    def reading(self) -> AbstractContextManager[None]:
        """One consistent reading: all that is read within it is as of one moment."""

    def standing(self) -> Standing:
        """How the changes stand."""

    def change(self, number: int) -> BookChange | None:
        """A change that is still there."""

    def changes(self, after: int, rows_max: int) -> list[BookChange]:
        """The next changes, of whole transactions where they fit, in commit order, up to the first one that is not
        decided yet."""

    def changes_back(self, after: int) -> Iterator[BookChange]:
        """All changes after a number, the last one first."""

    def last_clock(self, upto: int) -> BookChange | None:
        """The latest change up to a number that says the time of a recorded book."""

    def layouts(self) -> list[tuple[int, str]]:
        """From which change on the columns are which."""

    def unique(self, table: str) -> list[frozenset[str]]:
        """The sets of a table's columns, in small letters, of which no two rows can have the same values."""

    def scan(self, table: str, columns: tuple[str, ...]) -> Iterator[Values]:
        """Every row of a table of the book."""

    def trim(self, upto: int, fact: int) -> int:
        """Delete changes before a number, whose facts are in the log; the change of that number stays, for it shows
        whether the book is still the same. Not now, where a writer would have to wait.

        Args:
            fact: up to which the log has the book.

        Returns:
            Up to where it was trimmed.
        """

    def former_facts(self, after: int, rows_max: int) -> list[Fact]:
        """Facts that a version up to 4 left in the book."""

    def former_last(self) -> int:
        """The highest number of such a fact; 0 = none."""


class Database(Protocol):
    """How a book is reached.

    Attributes:
        name: of the events' source, such as `sqlite:book`; unique, at most 200 characters.
        title: what a person calls the book, such as its file's name.
        again: the command that lets readers take the book as it stands.
        anew: what to run so that the log gets the book anew.
    """

    name: str
    title: str
    again: str
    anew: str

    def errors(self) -> AbstractContextManager[None]:
        """Says what the database's driver reports with our own codes (BookError)."""

    def check(self) -> bool:
        """Whether there is a book with the triggers that are wanted; gives whether it brings its own clock.

        Raises:
            BookError: `book_missing`, `book_locked`, `book_readonly`, `book_corrupt` or `book_schema`.
        """

    def open(self) -> Reader:
        """Open the book.

        Raises:
            BookError: likewise.
        """


class HeldError(Fire22Error):
    """The book cannot be read on for now; it is looked at again."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(code, message, temporary=True)
