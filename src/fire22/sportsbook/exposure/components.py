"""Which markets of a scope the open parlays link: its connected components, found from any one of their markets."""

from typing import Final

from fire22.sportsbook.exposure.netting import ScopeBook
from fire22.sportsbook.exposure.parlay import Parlay

LEGS_MAX: Final = 4_000  # of a component; in a larger one no search is begun

Part = tuple[list[str], list[Parlay]]


def component(book: ScopeBook, market: str, large: dict[str, None]) -> Part | None:
    """The component of a linked market: its markets and its parlays, in order; None if it is too large.

    Args:
        large: markets of components that are known to be too large; those found to be are added.
    """
    seen: dict[str, None] = {market: None}
    waiting = [market]
    parlays: dict[str, Parlay] = {}
    legs = 0
    for each in waiting:  # grows meanwhile
        for parlay in book.markets[each].parlays_of(book):
            if parlay.id not in parlays:
                parlays[parlay.id] = parlay
                legs += len(parlay.legs)
                fresh = [other for other in parlay.markets if other not in seen]
                seen.update(dict.fromkeys(fresh))
                waiting += fresh
        if legs > LEGS_MAX or each in large:
            large.update(seen)
            return None
    return sorted(seen), [parlays[id] for id in sorted(parlays)]


def components(book: ScopeBook) -> list[Part]:
    """The components of a scope that have changed, in the order of their first markets."""
    linked = book.linked
    large: dict[str, None] = {}
    seen: dict[str, None] = {}
    parts: list[Part] = []
    for market in list(linked.stirred):
        if market in seen:
            continue
        part = component(book, market, large) if _is_open(book, market) else None
        if part is None:
            del linked.stirred[market]
            continue
        seen.update(dict.fromkeys(part[0]))
        parts.append(part)
    return sorted(parts, key=_first)


def _is_open(book: ScopeBook, market: str) -> bool:
    return book.net(market).links > 0 and not book.linked.is_searched(market)


def _first(part: Part) -> str:
    return part[0][0]
