"""Puts what was written in one transaction (or in some whole ones) in the order that the triggers of a mirror need.

A book's own program may write a wager first and then its legs, or its legs first. The facts tell a wager with its legs,
so a leg that was inserted is moved to just before its wager's own insert; likewise a selection and its market, a result
and its market's end, a report of changes and what it reports. A wager that is deleted goes before what belongs to it.
DELETE and INSERT of one row are one update. All else stays in the book's order, and several changes of one row stay
several: a price that moved twice was told twice.

What is read together may be more than one transaction: SQLite does not say where one ends. So as little is moved as the
triggers need; moving a leg of the next transaction would only show a wager a moment earlier as it was a moment later.
"""

from typing import Final

import msgspec

from fire22.core.outbox import RowChange, Unusable
from fire22.sportsbook.book.schema.columns import TABLES

Made = RowChange | Unusable
_HEADERS: Final = {"wager_legs": "wagers", "selections": "markets"}
_OVER: Final = ("resulted", "voided")


def _place(table: str, column: str) -> int:
    stored = [name for name, each in TABLES[table].items() if not each.derived]
    return stored.index(column)


_MARKET: Final = _place("selections", "market_id")
_RESULT: Final = _place("selections", "result")
_MARKET_STATUS: Final = _place("markets", "status")


def ordered(changes: list[Made], versions: dict[str, int]) -> list[Made]:
    """The changes in the order that the triggers need.

    Args:
        versions: the place of a wager's version in its row, and of a report's.
    """
    if len(changes) == 1:
        return changes
    kept = _merged(changes)
    keys: list[tuple[int, int, int]] = [(at, 0, at) for at in range(len(kept))]
    inserted: dict[tuple[str, object], int] = {}
    deleted: dict[object, int] = {}
    over: dict[object, int] = {}
    wagers: dict[object, list[int]] = {}
    for at, change in enumerate(kept):
        if not isinstance(change, RowChange):
            continue
        if change.table in ("wagers", "markets"):
            if change.row is not None and change.fresh:
                inserted.setdefault((change.table, change.key[0]), at)
            if change.table == "wagers":
                wagers.setdefault(change.key[0], []).append(at)
                if change.row is None:
                    deleted[change.key[0]] = at
            elif change.row is not None and change.row[_MARKET_STATUS] in _OVER:
                over.setdefault(change.key[0], at)
    for at, change in enumerate(kept):
        if not isinstance(change, RowChange):
            continue
        header = _HEADERS.get(change.table)
        if header is not None and change.row is not None:
            of = change.key[0] if header == "wagers" else change.row[_MARKET]
            first = inserted.get((header, of), at) if change.fresh else at
            if change.table == "selections" and change.row[_RESULT] is not None:
                first = min(first, over.get(of, at))
            if first < at:
                keys[at] = (first, -1, at)
        elif change.table in ("wager_legs", "settlements") and change.row is None:
            last = deleted.get(change.key[0], at)
            if last > at:
                keys[at] = (last, 1, at)
        elif change.table == "wager_changes" and change.row is not None:
            reported = change.row[versions["wager_changes"]]
            for earlier in wagers.get(change.key[0], ()):
                wager = kept[earlier]
                row = wager.row if isinstance(wager, RowChange) else None
                if earlier < at and (row is None or row[versions["wagers"]] == reported):
                    keys[at] = (earlier, -1, at)
                    break
    return [kept[at] for _, _, at in sorted(keys)]


def _merged(changes: list[Made]) -> list[Made]:
    """Without deletions of rows that are inserted again."""
    gone: dict[tuple[str, object], int] = {}
    dropped: set[int] = set()
    changes = list(changes)
    for at, change in enumerate(changes):
        if not isinstance(change, RowChange):
            continue
        name = (change.table, change.key)
        if change.row is None:
            gone[name] = at
        elif change.fresh and name in gone:
            place = gone.pop(name)
            left = changes[place]
            was = left.was if isinstance(left, RowChange) else None
            dropped.add(place)
            changes[at] = msgspec.structs.replace(change, replaces=True, was=was)
    return [change for at, change in enumerate(changes) if at not in dropped] if dropped else changes
