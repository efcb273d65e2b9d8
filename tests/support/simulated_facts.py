"""What a simulated book would tell of itself: each change as the facts that it makes, without a database."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from fire22.core.event import Event
from fire22.core.times import to_datetime
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.odds import decimal_odds
from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change

CLOCK_MS = 1_000


class Teller:
    """Remembers what the facts of later changes repeat; the clock moves once a second.

    Args:
        now_ms: when the book begins.
    """

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._number = 0
        self._agents: dict[str, changes.AddAgent] = {}
        self._customers: dict[str, changes.AddCustomer] = {}
        self._events: dict[str, changes.AddEvent] = {}
        self._odds: dict[str, tuple[str, float]] = {}
        self._asked: dict[str, changes.PlaceWager] = {}
        self._wagers: dict[str, tuple[dict[str, Any], int, int]] = {}
        self._payments: dict[str, tuple[changes.RequestPayment, str]] = {}

    def tell(self, items: Iterable[Change]) -> Iterator[Event]:
        """The facts of changes, and the clock between them."""
        for item in items:
            at_ms = getattr(item, "at_ms", self.now_ms)
            if at_ms // CLOCK_MS > self.now_ms // CLOCK_MS:
                self.now_ms = at_ms
                yield self._event("system.clock", facts.Clock(), at_ms)
            for type, data in self._facts(item):
                yield self._event(type, data, at_ms)

    def _event(self, type: str, data: object, at_ms: int) -> Event:
        self._number += 1
        return Event(f"sim:{self._number}", type, "sim", to_datetime(at_ms), Raw(msgspec.json.encode(data)))

    def _facts(self, item: Change) -> Iterator[tuple[str, object]]:
        match item:
            case changes.AddAgent():
                self._agents[item.id] = item
                yield "agent.created", facts.Agent(item.code, item.name, item.path, item.level, "active")
            case changes.AddCustomer():
                self._customers[item.id] = item
                yield "customer.created", self._customer(item)
            case changes.AddEvent():
                self._events[item.id] = item
            case changes.AddMarket():
                yield "market.created", self._market(item)
            case changes.SetMarketStatus():
                yield "market.status_changed", facts.MarketStatusChanged(item.market_id, item.status)
            case changes.GradeMarket():
                yield "market.status_changed", facts.MarketStatusChanged(item.market_id, item.status)
            case changes.LogAccess():
                yield f"session.{item.action}", facts.Session(**self._owner(item.customer_id), ip=item.ip or "")
            case changes.SetPrice():
                market, before = self._odds[item.selection_id]
                after = float(decimal_odds(item.price))
                self._odds[item.selection_id] = (market, after)
                yield "market.price_changed", facts.MarketPriceChanged(market, item.selection_id, before, after)
            case changes.PlaceWager(status="review"):
                self._asked[item.id] = item
            case changes.AcceptWager():
                yield "wager.placed", self._placed(self._asked.pop(item.wager_id))
            case changes.PlaceWager():
                yield "wager.placed", self._placed(item)
            case changes.SettleWager() | changes.CancelWager() | changes.DeleteWager() | changes.ModifyWager():
                yield self._changed(item)
            case changes.RequestPayment():
                self._payments[item.id] = (item, "pending")
                yield "payment.requested", self._payment(item, "pending")
            case changes.DecidePayment():
                yield f"payment.{item.status}", self._payment(self._payments[item.payment_id][0], item.status)
            case _:
                pass

    def _owner(self, customer_id: str) -> dict[str, Any]:
        customer = self._customers[customer_id]
        agent = self._agents[customer.agent_id]
        return {"customer_id": customer.code, "agent_id": agent.code, "path": agent.path}

    def _customer(self, item: changes.AddCustomer) -> facts.Customer:
        return facts.Customer(
            **self._owner(item.id), name=item.name, status="active", segment=item.segment,
            bet_factor=item.bet_factor, credit_limit_minor=item.credit_limit_minor,
            max_wager_minor=item.max_wager_minor,
        )  # fmt: skip

    def _market(self, item: changes.AddMarket) -> facts.Market:
        event = self._events[item.event_id]
        selections = tuple(facts.Selection(one.id, one.name, float(decimal_odds(one.price))) for one in item.selections)
        self._odds |= {one.selection_id: (item.id, one.odds) for one in selections}
        return facts.Market(
            item.id, item.event_id, item.type, "open", f"{event.home} - {event.away}", event.league_id, item.period,
            item.line, to_datetime(event.starts_ms), to_datetime(item.closes_ms), item.liability_limit_minor,
            selections,
        )  # fmt: skip

    def _placed(self, item: changes.PlaceWager) -> facts.WagerPlaced:
        legs = tuple(
            facts.Leg(self._odds[leg.selection_id][0], leg.selection_id, float(decimal_odds(leg.price)))
            for leg in item.legs
        )
        identity: dict[str, Any] = {
            "wager_id": item.id, "wager_number": self._number, **self._owner(item.customer_id), "type": item.type,
            "risk_minor": item.risk_minor, "to_win_minor": item.to_win_minor, "free_play": item.free_play,
        }  # fmt: skip
        self._wagers[item.id] = (identity, 0, 0)
        return facts.WagerPlaced(
            **identity,
            channel=item.channel,
            status="accepted",
            version=1,
            legs=legs,
            ip=item.ip or "",
            terms=item.terms,
        )

    def _changed(
        self, item: changes.SettleWager | changes.CancelWager | changes.DeleteWager | changes.ModifyWager
    ) -> tuple[str, object]:
        identity, revision, returned = self._wagers[item.wager_id]
        if isinstance(item, changes.SettleWager):
            self._wagers[item.wager_id] = (identity, revision + 1, item.return_minor)
            settled = facts.WagerSettled(
                **identity, revision=revision + 1, result=item.result, return_minor=item.return_minor,
                previous_return_minor=returned,
            )  # fmt: skip
            return "wager.resettled" if revision else "wager.settled", settled
        if isinstance(item, changes.ModifyWager):
            before = facts.Stake(identity["risk_minor"], identity["to_win_minor"])
            identity |= {"risk_minor": item.risk_minor, "to_win_minor": item.to_win_minor}
            return "wager.modified", facts.WagerModified(**identity, version=2, before=before)
        status = item.status if isinstance(item, changes.CancelWager) else "deleted"
        del self._wagers[item.wager_id]
        was = returned if revision else None
        return "wager.cancelled", facts.WagerCancelled(**identity, status=status, settled_return_minor=was)

    def _payment(self, item: changes.RequestPayment, status: str) -> facts.Payment:
        return facts.Payment(
            item.id, **self._owner(item.customer_id), direction=item.direction, method=item.method,
            amount_minor=item.amount_minor, status=status,
        )  # fmt: skip
