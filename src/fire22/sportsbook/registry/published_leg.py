"""A leg as messages and documents say it: what was bet on, by the names of the bet."""

from msgspec import Struct

from fire22.sportsbook.registry.open_wager import StruckLeg


class PublishedLeg(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One of the `legs`: what was bet on, by the names of the bet; only the ids where nobody knew the market."""

    market_id: str
    selection_id: str
    odds: float
    event_id: str = ""
    event: str = ""
    market: str = ""
    period: str = ""
    line: float | None = None
    selection: str = ""


def published_leg(leg: StruckLeg) -> PublishedLeg:
    """A leg, by the names of the bet."""
    names = leg.names
    if names is None:
        return PublishedLeg(leg.market_id, leg.selection_id, leg.odds)
    return PublishedLeg(
        leg.market_id, leg.selection_id, leg.odds, names.event_id, names.event, names.market, names.period,
        names.line, names.selection,
    )  # fmt: skip
