"""The markets of a book that are not over, with their prices now, and what the legs of wagers on them are called."""

from fire22.core.times import to_ms
from fire22.flows.base import Fact, Handler, Table, expect
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.open_wager import LegNames, Legs
from fire22.sportsbook.registry.records import MarketRecord, SelectionRecord


class Markets:
    """Kept by the registry.

    Attributes:
        table: by id.
        legs: makes the legs of open wagers, by the names that hold now.
        over: the market that the status at hand ends; None where it ends none.
    """

    def __init__(self) -> None:
        self.table: Table[MarketRecord] = Table("market", MarketRecord)
        self.legs = Legs(self._names)
        self.over: MarketRecord | None = None

    def handlers(self) -> dict[str, Handler]:
        """Of markets, their status and prices."""
        return {
            "market.created": self._market,
            "market.imported": self._market,
            "market.changed": self._market,
            "market.status_changed": self._status,
            "market.price_changed": self._price,
        }

    def _market(self, fact: Fact) -> None:
        one = expect(fact, facts.Market)
        selections = {each.selection_id: SelectionRecord(each.name, each.odds) for each in one.selections}
        starts_ms = to_ms(one.starts_at) if one.starts_at else 0
        closes_ms = to_ms(one.closes_at) if one.closes_at else 0
        row = MarketRecord(
            one.event_id, one.type, one.status, one.event_name, one.sport, one.period, one.line, starts_ms, closes_ms,
            one.liability_limit_minor, selections,
        )  # fmt: skip
        self.table.put(one.market_id, row)
        self.legs.forget(one.market_id)

    def _status(self, fact: Fact) -> None:
        changed = expect(fact, facts.MarketStatusChanged)
        self.over = None
        market = self.table.get(changed.market_id)
        if market is None:
            return
        if changed.status in ("resulted", "voided"):
            self.over = self.table.pop(changed.market_id)
            self.legs.forget(changed.market_id)
            return
        market.status = changed.status
        self.table.put(changed.market_id, market)

    def _price(self, fact: Fact) -> None:
        changed = expect(fact, facts.MarketPriceChanged)
        market = self.table.get(changed.market_id)
        selection = market.selections.get(changed.selection_id) if market else None
        if market is not None and selection is not None:
            selection.odds = changed.new_odds
            self.table.put(changed.market_id, market)

    def _names(self, market_id: str, selection_id: str) -> LegNames | None:
        market = self.table.get(market_id)
        if market is None:
            return None
        selection = market.selections.get(selection_id)
        name = selection.name if selection is not None else ""
        return LegNames(market.event_id, market.event_name, market.type, market.period, name, market.line)
