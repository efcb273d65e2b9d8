"""Follows an open book: brings its changes into the mirror, and judges whether book, mirror and log still meet.

Each reading looks whether the last change that was read is still there as it was: a book that was put back from a
backup under the running server shows itself (`book_gap`), also one that has gone on with the same numbers. A change is
trimmed in the book only when its facts are in the log.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from fire22.core import codes
from fire22.core.errors import BookError
from fire22.core.outbox import BookChange, Domain, RowChange, Unusable, layout
from fire22.core.times import to_text
from fire22.sources.base import Database, HeldError, Reader, Standing
from fire22.sources.mirror.alike import resembles
from fire22.sources.mirror.copy import Mirror
from fire22.sources.mirror.file import Fact, MirrorLock, Position

BATCH_ROWS: Final = 1000
GROUP_ROWS: Final = 50_000  # changes that are put in order together; a larger transaction is taken in parts


class Follower:
    """An open book, and the mirror that it is copied to.

    Args:
        database: the book's.
        folder: where the mirror lies.
        stored_position: up to which fact the log has a book, by the book's id; None where it has never heard of it.

    Attributes:
        position: up to which fact the log has the book; the caller moves it.
        missing: what keeps changes from being seen, as of the last look.
        is_current: whether the last reading came to the end of what was written until then.
    """

    def __init__(
        self, database: Database, domain: Domain, folder: Path, stored_position: Callable[[str], int | None]
    ) -> None:
        self._database = database
        self._layout = layout(domain.outbox.tables).decode()
        self.book: Reader = database.open()
        file = folder / f"mirror-{self.book.book_id}.db"
        try:
            self._lock = MirrorLock(file)
        except BaseException:
            self.book.close()
            raise
        try:
            self.missing = self.book.missing()
            self.is_current = False
            self._trimmed = self.book.standing().trimmed_to
            stored = stored_position(self.book.book_id)
            if stored is None:
                self._refuse_known(folder, domain, stored_position)
            self.position = stored or 0
            if stored is None:
                _remove(file)  # of another log
            self.mirror = Mirror(file, domain, self._ambiguous(domain))
        except BaseException:
            self.book.close()
            self._lock.release()
            raise

    def _ambiguous(self, domain: Domain) -> frozenset[str]:
        """The tables of the mirror of whose key the book may have several rows."""
        keys = {table.name: key for table in domain.tables if (key := domain.key(table.name)) is not None}
        return frozenset(
            name
            for name, key in keys.items()
            if not any(each <= {column.lower() for column in key.columns} for each in self.book.unique(key.name))
        )

    def _refuse_known(self, folder: Path, domain: Domain, stored_position: Callable[[str], int | None]) -> None:
        """Removing the triggers and installing them again gives a book another id: it would be read once more, and
        what is settled in it counted twice.

        Raises:
            HeldError: `book_gap`, the log has this book under another id.
        """
        for file in sorted(folder.glob("mirror-*.db")):
            known = file.stem.removeprefix("mirror-")
            if known == self.book.book_id or stored_position(known) is None:
                continue
            with self.book.reading():
                is_same = resembles(file, domain, self.book.scan)
            if is_same:
                title, run = self._database.title, f"`{self._database.again} --book-id {known}`"
                raise HeldError(
                    codes.BOOK_GAP,
                    f"The triggers of {title} were installed anew: its id was {known}, and its rows would count"
                    f" twice. Run {run} (with `--mapping` where it has one), which lets the server take the book as it"
                    " stands. Another book, which only looks alike, needs an empty data folder.",
                )

    @property
    def name(self) -> str:
        """The source of the events."""
        return self._database.name

    def close(self) -> None:
        """Let go of book and mirror."""
        self.mirror.close()
        self.book.close()
        self._lock.release()

    def look(self) -> bool:
        """Whether all triggers are there as they should be."""
        self.missing = self.book.missing()
        return not self.missing

    # Facts.

    def facts(self) -> list[Fact]:
        """The next ones that are not in the log."""
        return self.mirror.facts(self.position, BATCH_ROWS)

    def former_facts(self) -> list[Fact]:
        """Those that a version up to 4 left in the book, in an outbox that no trigger fills any more."""
        if not self.book.has_former:
            return []
        facts = self.book.former_facts(self.position, BATCH_ROWS)
        if not self.mirror.fresh:
            return []  # their numbers have gone on in the mirror
        last = self.book.former_last()
        first = facts[0].number if facts else last + 1
        if first > self.position + 1 and last > self.position:
            raise self._gap(f"was told up to {first - 1}, but this log has it only to {self.position}")
        if last < self.position:
            raise BookError(
                codes.BOOK_GAP,
                f"The outbox of {self._database.title} ends at {last}, but this log has read it to {self.position}: "
                f"the book seems to be an older copy; put the newer one back, or run {self._database.anew}.",
            )
        return facts

    # Changes.

    def prepare(self) -> None:
        """Copy the book, where that has not been done; see that log, mirror and book meet."""
        if self.mirror.fresh:
            with self.book.reading():
                self._fill(self.book.standing())
            return
        trimmed_to, last = self.mirror.numbers()
        if trimmed_to > self.position:
            raise self._gap(f"was told up to {trimmed_to}, but this log has it only to {self.position}")
        if last < self.position:
            raise self._gap(f"was told up to {self.position}, but {self.mirror.path.name} knows it only to {last}")

    def _fill(self, standing: Standing) -> None:
        book, mirror = self.book, self.mirror
        at = to_text(_now_ms())
        known = mirror.filled
        empty = False
        clock: BookChange | None = None
        if known:  # by a version with other columns
            position = mirror.position
        elif book.has_former:
            position = Position(0, "", standing.generation)
        elif self.position:
            if standing.trimmed_fact != self.position:
                raise self._gap(
                    f"was told up to {max(standing.trimmed_fact, self.position)}, its copy in the data folder is gone, "
                    f"and this log has it to {self.position}"
                )
            position = Position(standing.trimmed_to, "", standing.generation)
        elif standing.trimmed_to == 0:
            position = Position(0, "", standing.generation)
            first = book.changes(0, 1)
            at = first[0].at if first else at
            # A book that was empty when it was connected is brought in by its changes alone.
            empty = standing.empty
        else:
            position = self._end(standing)
            clock = book.last_clock(standing.last)
        text = msgspec.json.encode(mirror.layout).decode() if known else standing.layout
        former = book.former_last() if book.has_former else 0
        mirror.fill(
            (lambda _table, _columns: ()) if empty else book.scan,
            position,
            at,
            tell=book.tells_all and not (book.has_former or self.position or known),
            first_fact=max(self.position, former) + 1,
            layout=text,
            clock=[clock] if clock is not None else [],
            undone=() if empty else book.changes_back(position.number),
            layouts=book.layouts(),
        )

    def take(self) -> bool:
        """Bring the next changes of the book into the mirror; whether there were any.

        Raises:
            HeldError: `book_gap` or `book_triggers_missing`, until somebody has mended it.
        """
        mirror = self.mirror
        with self.book.reading():
            standing = self.book.standing()
            if standing.book_id != self.book.book_id:
                raise HeldError(codes.BOOK_GAP, f"The triggers of {self._database.title} were installed anew.")
            again = standing.generation != mirror.position.generation
            broken = self._broken(standing)
            if broken and not again:
                raise HeldError(codes.BOOK_GAP, broken)
            if standing.layout != self._layout:
                raise HeldError(codes.BOOK_TRIGGERS_MISSING, "The triggers are those of another mapping or version.")
            if not broken and (changes := self.book.changes(mirror.position.number, GROUP_ROWS)):
                last = changes[-1]
                mirror.apply(changes, Position(last.number, _witness(last), mirror.position.generation))
                self.is_current = len(changes) < GROUP_ROWS and not again
                return True
            self.is_current = True
            if again:
                mirror.compare(self.book.scan, self._end(standing), to_text(_now_ms()), layout=standing.layout)
                return True
        return False

    def differences(self) -> Iterator[RowChange | Unusable]:
        """What the book holds otherwise than the mirror, but for what the next reading brings; nothing is changed."""
        with self.book.reading():
            waiting = self._waiting()
            for each in self.mirror.differences(self.book.scan, to_text(_now_ms())):
                if (each.table, each.key) not in waiting:
                    yield each

    def _waiting(self) -> set[tuple[str, object]]:
        """The rows that changes are about which have not been read; none where the next reading cannot go on."""
        if self._broken(self.book.standing()):
            return set()
        rows = [
            row
            for change in self.book.changes_back(self.mirror.position.number)
            if change.op != "layout"
            for row in self.mirror.made(change)
        ]
        moved = {(row.table, row.before) for row in rows if isinstance(row, RowChange) and row.before is not None}
        return moved | {(row.table, row.key) for row in rows}

    @property
    def unread(self) -> int:
        """Changes of the book that have not been read."""
        return self.book.standing().last - self.mirror.position.number

    def trim(self) -> None:
        """Delete changes whose facts are in the log, in the book and in the mirror."""
        upto = self.mirror.position.number
        if self._trimmed >= upto and not self.book.has_former:
            return
        if self.mirror.numbers()[0] < self.position:
            self.mirror.trim(self.position)
        self._trimmed = self.book.trim(upto, self.position)

    # Gaps.

    def _broken(self, standing: Standing) -> str:
        """What shows that the book is not the one that was read, but an older copy; empty if nothing does."""
        position, name = self.mirror.position, self._database.title
        again = f"Run `{self._database.again}`, which lets the server take the book as it stands."
        if standing.last < position.number:
            return f"The changes of {name} end at {standing.last}, but were read to {position.number}. {again}"
        if standing.trimmed_to > position.number:
            return f"The changes of {name} were trimmed to {standing.trimmed_to} by another reader. {again}"
        if position.witness:
            found = self.book.change(position.number)
            if found is None or _witness(found) != position.witness:
                return f"The change {position.number} of {name} is not the one that was read. {again}"
        return ""

    def _end(self, standing: Standing) -> Position:
        found = self.book.change(standing.last)
        return Position(standing.last, _witness(found) if found is not None else "", standing.generation)

    def _gap(self, what: str) -> BookError:
        return BookError(
            codes.BOOK_GAP,
            f"{self._database.title} {what}: restore a newer backup of the log, or run {self._database.anew}.",
        )


def _witness(change: BookChange) -> str:
    """What tells a change from any other that could have its number."""
    said = repr((change.at, change.source, change.op, change.old, change.new))
    return hashlib.blake2b(said.encode(errors="replace"), digest_size=16).hexdigest()


def _remove(file: Path) -> None:
    for each in (file, file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")):
        each.unlink(missing_ok=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
