"""What the book is known to hold, and the gate before every figure: which facts fit what was told before.

Every fact of a wager comes here first. One that cannot be true (a wager of an unknown customer, a settlement of a wager
that was never placed, a step that no wager takes) is refused: it is set aside as a dead letter with the evidence, and
no figure sees it. One that says again what is known is passed over. Any other is put in the words of accounting, a
`Movement`, which all figures share: what it opens, what it closes, what it earns.

A wager may have been settled before the book was connected, of which only sums were told (`revenue.imported`). Where
there are such sums, a correction or a roll-back of an unknown wager counts by what it says of itself.

Kept: agents, customers, markets that are not over, open wagers whole, and of each wager that is over the few numbers
that a correction is checked against.
"""

from collections.abc import Callable, Iterator
from sys import intern
from typing import ClassVar, Final, Literal

import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.scope import ROOT
from fire22.core.times import to_ms
from fire22.flows.base import Fact, Flow, Handler, Refused, Repeated, Table, expect
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.lifecycle import State, is_legal
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.betting.settlement import cash_risk_minor
from fire22.sportsbook.registry.currencies import Currencies, Rate, Struck
from fire22.sportsbook.registry.open_wager import Bettor, Legs, Names, bettor_of
from fire22.sportsbook.registry.open_wager import Leg as Leg
from fire22.sportsbook.registry.open_wager import OpenWager as OpenWager
from fire22.sportsbook.registry.wager_table import ClosedWager, WagerTable

MOVES: Final = (
    "wager.placed",
    "wager.imported",
    "wager.modified",
    "wager.settled",
    "wager.resettled",
    "wager.cancelled",
    "wager.reopened",
)
Kind = Literal["placed", "imported", "modified", "settled", "resettled", "cancelled", "reopened"]


class RegistrySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The book's own currency, and what others are worth."""

    currency: str = "USD"
    rates: dict[str, tuple[Rate, ...]] = {}


class Agent(Struct, frozen=True, gc=False, array_like=True):
    """An agent, by its path."""

    agent_id: str
    name: str
    status: str


class Customer(Struct, gc=False, array_like=True):
    """A customer, by its code; minor units. `path` is where it belongs now."""

    agent_id: str
    path: str
    name: str
    status: str
    segment: str = ""
    bet_factor: float = 1.0
    credit_limit_minor: int = 0
    max_wager_minor: int = 0


class Asked(Struct, frozen=True, gc=False, array_like=True):
    """A wager that waits to be accepted; `content` is whatever else was told of it."""

    status: str
    content: str


class Selection(Struct, gc=False, array_like=True):
    """An outcome of a market and its decimal odds now."""

    name: str
    odds: float


class Market(Struct, gc=False, array_like=True):
    """A market that is not over, by its id; 0 ms is unknown."""

    event_id: str
    type: str
    status: str
    event_name: str = ""
    sport: str = ""
    period: str = ""
    line: float | None = None
    starts_ms: int = 0
    closes_ms: int = 0
    liability_limit_minor: int = 0
    selections: dict[str, Selection] = {}


class Movement(Struct, gc=False):
    """What a fact of a wager does to the book; minor units.

    Args:
        at_ms: when it counts.
        opened: the wager as it is open from now on; None where it is not.
        closed: the wager as it was open until now; None where it was not. A change of an open wager has both.
        revenue: by which gross revenue moves; the customer's balance moves by the same, negative.
        handle: by which the accepted cash risk moves.
        settled_handle: by which the cash risk of settled wagers moves.
        returned: what the latest settlement returned; 0 without one.
        result: of a settlement, as the book calls it.
        gone_ms: of a wager that was deleted: when it had been accepted, or else when it was deleted; 0 if it was not
            counted.
    """

    kind: Kind
    fact: facts.WagerFact
    at_ms: int
    opened: OpenWager | None = None
    closed: OpenWager | None = None
    revenue: int = 0
    handle: int = 0
    settled_handle: int = 0
    returned: int = 0
    result: str = ""
    gone_ms: int = 0


class Registry(Flow):
    """Comes before all flows that look at wagers; `move` is what the fact at hand does to a wager, `over` the market
    that it ends."""

    name: ClassVar[str] = "book"
    version: ClassVar[int] = 3

    def __init__(self) -> None:
        super().__init__()
        self.move: Movement
        self.over: Market | None = None
        self.money = Money(RegistrySettings().currency)
        self._currencies = Currencies(self.money, {})
        self._struck: tuple[int, Struck] | None = None  # the last fact's that was converted, and at which rate
        self._rates: Table[Struck] = Table("rate", Struck)
        self._agents: Table[Agent] = Table("agent", Agent)
        self._customers: Table[Customer] = Table("customer", Customer)
        self._markets: Table[Market] = Table("market", Market)
        self._asked: Table[Asked] = Table("asked", Asked)
        self._wagers = WagerTable("wager", OpenWager)
        self._past: Table[int] = Table("past", int)
        self._bettors: dict[str, Bettor] = {}
        self._legs = Legs(self._named)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Agents, customers, markets, wagers; and whether only sums are known of some past."""
        return (  # type: ignore[return-value]
            self._agents,
            self._customers,
            self._markets,
            self._asked,
            self._wagers,
            self._past,
            self._rates,
        )

    def configure(self, settings: Raw) -> None:
        """Take the book's currency and the rates that hold from here on."""
        taken = msgspec.json.decode(settings, type=RegistrySettings)
        self.money = Money(taken.currency)
        self._currencies = Currencies(self.money, taken.rates)

    def handlers(self) -> dict[str, Handler]:
        """Who and what there is; every fact of a wager."""
        return {
            "agent.created": self._agent,
            "agent.imported": self._agent,
            "customer.created": self._customer,
            "customer.imported": self._customer,
            "agent.changed": self._agent_changed,
            "customer.changed": self._changed,
            "customer.moved": self._moved,
            "customer.renamed": self._renamed,
            "customer.limit_changed": self._limit,
            "customer.status_changed": self._status,
            "market.created": self._market,
            "market.imported": self._market,
            "market.changed": self._market,
            "row.changed": self._forbidden,
            "row.deleted": self._forbidden,
            "market.status_changed": self._market_status,
            "market.price_changed": self._price,
            "revenue.imported": self._imported_revenue,
            "wager.requested": self._requested,
            "wager.rejected": self._rejected,
            "wager.placed": self._placed,
            "wager.imported": self._placed,
            "wager.modified": self._modified,
            "wager.settled": self._settled,
            "wager.resettled": self._settled,
            "wager.cancelled": self._cancelled,
            "wager.reopened": self._reopened,
        }

    def adapters(self) -> dict[str, Callable[[Fact], Fact]]:
        """Amounts in other currencies become the book's."""
        wagers = dict.fromkeys((*MOVES, "wager.requested", "wager.rejected"), self._of_wager)
        payments = {type: self._of_payment for type in facts.FACTS if type.startswith("payment.")}
        others = ("balance.adjusted", "customer.created", "customer.imported", "customer.limit_changed")
        return {**wagers, **payments, **dict.fromkeys(others, self._of_its_time)}

    def _of_wager(self, fact: Fact) -> Fact:
        if fact.data.currency is None:
            return fact
        return self._adapted(fact, f"wager:{fact.data.wager_id}")

    def _of_payment(self, fact: Fact) -> Fact:
        if fact.data.currency is None:
            return fact
        return self._adapted(fact, f"payment:{fact.data.payment_id}")

    def _of_its_time(self, fact: Fact) -> Fact:
        return fact if fact.data.currency is None else self._adapted(fact, "")

    def _adapted(self, fact: Fact, key: str) -> Fact:
        """A fact in the book's currency: at the rate that it was first told of with, else at that of its time."""
        currency = fact.data.currency
        if currency == self.money.currency:
            return fact
        struck = self._rates.get(key) if key else None
        if struck is not None and struck.currency != currency:
            raise Refused(codes.FACT_CONFLICT, f"It was told of in {struck.currency} before.", currency=currency)
        struck = struck or self._currencies.struck(currency, fact.at_ms)
        data = self._currencies.converted(fact.data, struck)
        self._struck = fact.seq, struck
        return msgspec.structs.replace(fact, data=data)

    def keep_rate(self, fact: Fact, key: str) -> None:
        """What the fact at hand is about keeps the rate at which its amounts were converted, if they were.

        Args:
            key: `wager:` or `payment:`, and its id.
        """
        if self._struck is not None and self._struck[0] == fact.seq:
            self._rates.put(key, self._struck[1])

    # What other flows may ask.

    def agent(self, path: str) -> Agent | None:
        """The agent at a path."""
        return self._agents.get(path)

    @property
    def agent_count(self) -> int:
        """How many agents there are."""
        return len(self._agents)

    def agents(self) -> Iterator[tuple[str, Agent]]:
        """Every agent, by its path."""
        return iter(self._agents)

    def customer(self, code: str) -> Customer | None:
        """A customer as it is now."""
        return self._customers.get(code)

    def market(self, market_id: str) -> Market | None:
        """A market that is not over."""
        return self._markets.get(market_id)

    def markets(self) -> Iterator[tuple[str, Market]]:
        """Every market that is not over, by its id."""
        return iter(self._markets)

    def wager(self, wager_id: str) -> OpenWager | None:
        """An open wager."""
        return self._wagers.open.get(wager_id)

    def legs_of(self, wager: facts.WagerPlaced) -> tuple[Leg, ...]:
        """The legs of a wager that is not open, by the names that hold now."""
        return self._legs.of(wager.legs)

    def wagers(self) -> Iterator[OpenWager]:
        """Every open wager, in the order in which they came."""
        return iter(self._wagers.open.values())

    def check_amount(self, currency: str | None, customer_id: str) -> None:
        """Whether an amount can be this book's.

        Raises:
            Refused: `currency_mismatch` or `customer_unknown`.
        """
        if currency is not None and currency != self.money.currency:
            reason = f"The amount is in {currency}; the book's currency is {self.money.currency}."
            raise Refused(codes.CURRENCY_MISMATCH, reason, currency=currency, book=self.money.currency)
        if self._customers.get(customer_id) is None:
            raise Refused(codes.CUSTOMER_UNKNOWN, f"There is no customer {customer_id}.", customerId=customer_id)

    # Who and what there is.

    def _agent(self, fact: Fact) -> None:
        agent = expect(fact, facts.Agent)
        self._agents.put(agent.path, Agent(agent.agent_id, agent.name, agent.status))

    def _customer(self, fact: Fact) -> None:
        one = expect(fact, facts.Customer)
        row = Customer(
            one.agent_id, one.path, one.name, one.status, one.segment, one.bet_factor, one.credit_limit_minor,
            one.max_wager_minor,
        )  # fmt: skip
        self._customers.put(one.customer_id, row)

    def _agent_changed(self, fact: Fact) -> None:
        """What the agent was at another path stays known there: its facts have that path."""
        changed = expect(fact, facts.AgentChanged)
        if self._agents.get(changed.before.path) is None:
            reason = f"There is no agent at {changed.before.path}."
            raise Refused(codes.AGENT_UNKNOWN, reason, path=changed.before.path)
        self._agents.put(changed.path, Agent(changed.agent_id, changed.name, changed.status))

    def _changed(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerChanged)
        customer = self._known(changed.customer_id)
        customer.name, customer.segment, customer.bet_factor = changed.name, changed.segment, changed.bet_factor
        self._customers.put(changed.customer_id, customer)

    def _moved(self, fact: Fact) -> None:
        moved = expect(fact, facts.CustomerMoved)
        customer = self._known(moved.customer_id)
        if moved.path != ROOT and self._agents.get(moved.path) is None:
            raise Refused(codes.AGENT_UNKNOWN, f"There is no agent at {moved.path}.", path=moved.path)
        if (customer.agent_id, customer.path) == (moved.agent_id, moved.path):
            raise Repeated
        customer.agent_id, customer.path = moved.agent_id, moved.path
        self._customers.put(moved.customer_id, customer)

    def _renamed(self, fact: Fact) -> None:
        renamed = expect(fact, facts.CustomerRenamed)
        id, before = renamed.customer_id, renamed.before
        if self._customers.get(id) is not None:
            raise Refused(codes.FACT_CONFLICT, f"There is a customer {id} already.", customerId=before)
        customer = self._known(before)
        self._customers.pop(before)
        self._customers.put(id, customer)
        self._bettors.pop(before, None)
        mine = {key: each for key, each in self._wagers.open.items() if each.customer_id == before}
        for key, wager in sorted(mine.items()):
            self._wagers.put(key, msgspec.structs.replace(wager, customer_id=intern(id)))

    def _forbidden(self, fact: Fact) -> None:
        changed = expect(fact, facts.RowChanged)
        names = (
            ", ".join(name for name, value in changed.after.items() if changed.before.get(name) != value) or "the row"
        )
        how = "changed" if changed.after else "deleted"
        raise Refused(
            codes.CHANGE_FORBIDDEN,
            f"The book {how} {names} of {changed.table} {changed.id}, which the figures go by and cannot follow.",
            table=changed.table,
            id=changed.id,
        )

    def _limit(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerLimitChanged)
        customer = self._known(changed.customer_id)
        customer.credit_limit_minor = changed.after.credit_limit_minor
        customer.max_wager_minor = changed.after.max_wager_minor
        self._customers.put(changed.customer_id, customer)

    def _status(self, fact: Fact) -> None:
        changed = expect(fact, facts.CustomerStatusChanged)
        customer = self._known(changed.customer_id)
        customer.status = changed.after
        self._customers.put(changed.customer_id, customer)

    def _known(self, code: str) -> Customer:
        customer = self._customers.get(code)
        if customer is None:
            raise Refused(codes.CUSTOMER_UNKNOWN, f"There is no customer {code}.", customerId=code)
        return customer

    def _market(self, fact: Fact) -> None:
        one = expect(fact, facts.Market)
        selections = {each.selection_id: Selection(each.name, each.odds) for each in one.selections}
        starts_ms = to_ms(one.starts_at) if one.starts_at else 0
        closes_ms = to_ms(one.closes_at) if one.closes_at else 0
        row = Market(
            one.event_id, one.type, one.status, one.event_name, one.sport, one.period, one.line, starts_ms, closes_ms,
            one.liability_limit_minor, selections,
        )  # fmt: skip
        self._markets.put(one.market_id, row)
        self._legs.forget(one.market_id)

    def _market_status(self, fact: Fact) -> None:
        changed = expect(fact, facts.MarketStatusChanged)
        self.over = None
        market = self._markets.get(changed.market_id)
        if market is None:
            return
        if changed.status in ("resulted", "voided"):
            self.over = self._markets.pop(changed.market_id)
            self._legs.forget(changed.market_id)
            return
        market.status = changed.status
        self._markets.put(changed.market_id, market)

    def _price(self, fact: Fact) -> None:
        changed = expect(fact, facts.MarketPriceChanged)
        market = self._markets.get(changed.market_id)
        selection = market.selections.get(changed.selection_id) if market else None
        if market is not None and selection is not None:
            selection.odds = changed.new_odds
            self._markets.put(changed.market_id, market)

    def _named(self, market_id: str, selection_id: str) -> Names | None:
        market = self._markets.get(market_id)
        if market is None:
            return None
        selection = market.selections.get(selection_id)
        name = selection.name if selection is not None else ""
        return Names(market.event_id, market.event_name, market.type, market.period, name, market.line)

    def _imported_revenue(self, fact: Fact) -> None:
        self._past.put("sums", 1)

    # Wagers.

    def _requested(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        self.check_amount(wager.currency, wager.customer_id)
        asked = _asked(wager)
        if self._asked.get(wager.wager_id) == asked:
            raise Repeated
        if wager.wager_id in self._wagers.open or self._wagers.over(wager.wager_id) is not None:
            raise self._illegal(wager, self._state(wager.wager_id), wager.status)
        self._asked.put(wager.wager_id, asked)
        self.keep_rate(fact, f"wager:{wager.wager_id}")

    def _rejected(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerRejected)
        if self._asked.pop(wager.wager_id) is None:
            raise self._illegal(wager, self._state(wager.wager_id), wager.status)

    def _placed(self, fact: Fact) -> None:
        wager: facts.WagerPlaced = fact.data
        id = wager.wager_id
        opened = self._admitted(fact, wager)
        imported = fact.event.type == "wager.imported"
        wagers = self._wagers
        before = wagers.open.get(id)
        if before is not None:
            if imported or _is_same(before, opened):
                raise Repeated
            raise _conflict(wager, before.risk, before.to_win, "It is open with other content.")
        over = wagers.over(id)
        if over is not None:
            if (over.risk, over.to_win) == (wager.risk_minor, wager.to_win_minor):
                raise Repeated
            raise _conflict(wager, over.risk, over.to_win, "It is over, with other content.")
        if len(self._asked):
            self._asked.pop(id)
        wagers.put(id, opened)
        if self._struck is not None:
            self.keep_rate(fact, f"wager:{id}")
        self.move = Movement("imported" if imported else "placed", wager, opened.at_ms, opened, handle=opened.cash)

    def _modified(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerModified)
        before = self._wagers.open.get(wager.wager_id)
        if before is None:
            raise self._illegal(wager, self._state(wager.wager_id), "accepted")
        legs = self._legs.of(wager.legs) if wager.legs or wager.before.leg is not None else before.legs
        after = msgspec.structs.replace(
            before,
            type=intern(wager.type),
            risk=wager.risk_minor,
            cash=cash_risk_minor(wager.risk_minor, free_play=wager.free_play),
            to_win=wager.to_win_minor,
            version=wager.version,
            legs=legs,
            terms=before.terms if wager.terms is None else _terms(wager.terms),
        )
        if _is_same(before, after):
            raise Repeated
        started = (wager.before.risk_minor, wager.before.to_win_minor)
        if started != (before.risk, before.to_win) or not _is_of(wager, before):
            raise _conflict(
                wager, before.risk, before.to_win, "The change starts from other amounts, or another customer."
            )
        self._wagers.put(wager.wager_id, after)
        self.move = Movement("modified", wager, fact.at_ms, after, before, handle=after.cash - before.cash)

    def _settled(self, fact: Fact) -> None:
        wager: facts.WagerSettled = fact.data
        id, risk, returned, result = wager.wager_id, wager.risk_minor, wager.return_minor, wager.result
        state: State = "cashed_out" if result == "cashed_out" else "settled"
        before = self._wagers.open.get(id)
        cash = 0 if wager.free_play else risk
        kind: Kind = "settled"
        revenue, settled, counted = cash - returned, cash, True
        if before is None:
            known = self._corrected(fact, wager, cash, state)
            kind, revenue, settled, counted = "resettled", known.returned - returned, 0, known.counted
        elif before.risk != risk or before.cash != cash or not _is_of(wager, before):
            raise _conflict(wager, before.risk, before.to_win, "The settlement is of another stake or customer.")
        over = ClosedWager(state, risk, cash, wager.to_win_minor, wager.revision, returned, counted)
        self._wagers.end(id, over)
        self.move = Movement(kind, wager, fact.at_ms, None, before, revenue, 0, settled, returned, result)

    def _corrected(self, fact: Fact, wager: facts.WagerSettled, cash: int, state: State) -> ClosedWager:
        """What a settlement of a wager that is not open replaces."""
        known = self._wagers.over(wager.wager_id)
        if known is None:
            if fact.event.type == "wager.resettled" and self._past.get("sums") is not None:
                return ClosedWager("settled", wager.risk_minor, cash, 0, 1, wager.previous_return_minor, False)
            raise self._illegal(wager, None, state)
        # A result by another word, which returns the same, is told for the word.
        by_word = fact.event.type == "wager.resettled" and wager.previous_return_minor == wager.return_minor
        if (known.state, known.revision, known.returned) == (state, wager.revision, wager.return_minor) and not by_word:
            raise Repeated
        if not is_legal(known.state, "settled"):
            raise self._illegal(wager, known.state, state)
        if fact.event.type == "wager.settled":
            raise _settled_conflict(wager, known, "It was settled before, with another result.")
        if known.returned != wager.previous_return_minor or known.cash != cash:
            raise _settled_conflict(wager, known, "The correction starts from another settlement.")
        return known

    def _cancelled(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerCancelled)
        id = wager.wager_id
        cash = cash_risk_minor(wager.risk_minor, free_play=wager.free_play)
        before = self._wagers.open.get(id)
        state: State = "cancelled" if wager.status == "cancelled" else "voided"
        known: ClosedWager | None = None
        if before is None:
            known = self._undone(wager, cash, state)
        elif before.risk != wager.risk_minor or not _is_of(wager, before):
            raise _conflict(wager, before.risk, before.to_win, "The cancellation is of another stake or customer.")
        counted = known is None or known.counted
        gone_ms = 0
        if wager.status == "deleted":
            self._wagers.pop(id)  # it is gone from the book; its id may come again
            if counted:
                gone_ms = before.at_ms if before is not None else fact.at_ms
        else:
            revision = known.revision if known is not None else 0
            over = ClosedWager(state, wager.risk_minor, cash, wager.to_win_minor, revision, 0, counted)
            self._wagers.end(id, over)
        handle = -cash if counted else 0
        revenue, settled = (known.returned - known.cash, handle) if known is not None else (0, 0)
        self.move = Movement(
            "cancelled", wager, fact.at_ms, None, before, revenue, handle, settled, gone_ms=gone_ms
        )  # fmt: skip

    def _undone(self, wager: facts.WagerCancelled, cash: int, state: State) -> ClosedWager:
        """The settlement that a cancellation takes back."""
        known = self._wagers.over(wager.wager_id)
        if known is None:
            if wager.settled_return_minor is not None and self._past.get("sums") is not None:
                return ClosedWager("settled", wager.risk_minor, cash, 0, 1, wager.settled_return_minor, False)
            raise self._illegal(wager, None, state)
        if known.state == state and wager.status != "deleted":
            raise Repeated
        if not is_legal(known.state, state):
            raise self._illegal(wager, known.state, state)
        if known.returned != wager.settled_return_minor or known.cash != cash:
            raise _settled_conflict(wager, known, "The cancellation is of another settlement.")
        return known

    def _reopened(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerReopened)
        known = self._rolled_back(wager)
        opened = self._admitted(fact, wager)
        self._wagers.reopen(wager.wager_id, opened)
        self.keep_rate(fact, f"wager:{wager.wager_id}")
        was_settled = known.state in ("settled", "cashed_out")
        revenue = known.returned - known.cash if was_settled else 0
        settled = -known.cash if was_settled and known.counted else 0
        handle = opened.cash + settled
        self.move = Movement("reopened", wager, fact.at_ms, opened, None, revenue, handle, settled)

    def _rolled_back(self, wager: facts.WagerReopened) -> ClosedWager:
        """What a wager was that is open again."""
        before = self._wagers.open.get(wager.wager_id)
        if before is not None and (before.risk, before.to_win) == (wager.risk_minor, wager.to_win_minor):
            raise Repeated
        returned = wager.settled_return_minor
        known = self._wagers.over(wager.wager_id)
        if known is None and before is None and self._past.get("sums") is not None:
            state: State = "cancelled" if returned is None else "settled"
            cash = cash_risk_minor(wager.risk_minor, free_play=wager.free_play)
            return ClosedWager(state, wager.risk_minor, cash, wager.to_win_minor, 0, returned or 0, False)
        if known is None or not is_legal(known.state, "accepted", privileged=True):
            raise self._illegal(wager, self._state(wager.wager_id), "accepted")
        if returned is not None and (known.state not in ("settled", "cashed_out") or known.returned != returned):
            raise _settled_conflict(wager, known, "The roll-back is of another settlement.")
        return known

    def _admitted(self, fact: Fact, wager: facts.WagerPlaced) -> OpenWager:
        """The wager that a fact opens, if it may."""
        bettor = self._bettors.get(wager.customer_id)
        if bettor is None or wager.currency is not None or not bettor.has_placed(wager):
            bettor = self._vouched(wager)
        risk = wager.risk_minor
        return OpenWager(
            wager.wager_id, wager.wager_number, bettor.customer_id, bettor.agent_id, bettor.path, intern(wager.type),
            risk, 0 if wager.free_play else risk, wager.to_win_minor, fact.at_ms, wager.version,
            bettor.channel, bettor.ip, self._legs.of(wager.legs), _terms(wager.terms),
        )  # fmt: skip

    def _vouched(self, wager: facts.WagerPlaced) -> Bettor:
        """Who has placed a wager, if there is such a customer and such an agent, and the amount can be this book's.

        That the two are known stays so: no customer and no agent is ever forgotten.
        """
        self.check_amount(wager.currency, wager.customer_id)
        if wager.path != ROOT and self._agents.get(wager.path) is None:
            raise Refused(codes.AGENT_UNKNOWN, f"There is no agent at {wager.path}.", path=wager.path)
        bettor = bettor_of(wager)
        self._bettors[bettor.customer_id] = bettor
        return bettor

    def _state(self, wager_id: str) -> str | None:
        if wager_id in self._wagers.open:
            return "accepted"
        known = self._wagers.over(wager_id)
        if known is not None:
            return known.state
        asked = self._asked.get(wager_id)
        return asked.status if asked is not None else None

    def _illegal(self, wager: facts.WagerFact, before: str | None, after: str) -> Refused:
        if before is None:
            reason = f"The wager {wager.wager_id} was never placed, or is gone."
            return Refused(codes.WAGER_UNKNOWN, reason, wagerId=wager.wager_id, after=after)
        reason = f"A wager that is {before} cannot become {after}."
        return Refused(codes.TRANSITION_ILLEGAL, reason, wagerId=wager.wager_id, before=before, after=after)


def _is_same(before: OpenWager, again: OpenWager) -> bool:
    """Whether a wager that is open is told of again, whenever that is and whatever its legs are called by now."""
    legs = tuple([msgspec.structs.replace(leg, names=None) for leg in before.legs])
    other = tuple([msgspec.structs.replace(leg, names=None) for leg in again.legs])
    return msgspec.structs.replace(before, at_ms=again.at_ms, legs=legs) == msgspec.structs.replace(again, legs=other)


def _asked(wager: facts.WagerPlaced) -> Asked:
    """A wager that waits, as it is asked for."""
    content = (
        wager.wager_number, wager.customer_id, wager.agent_id, wager.path, wager.type, wager.risk_minor,
        wager.to_win_minor, wager.free_play, wager.terms,
        [(leg.market_id, leg.selection_id, leg.odds) for leg in wager.legs],
    )  # fmt: skip
    return Asked(wager.status, msgspec.json.encode(content).decode())


def _is_of(wager: facts.WagerFact, open: OpenWager) -> bool:
    """Whether a fact of an open wager is of the same customer below the same agent."""
    return wager.customer_id == open.customer_id and wager.path == open.path


def _terms(told: facts.Terms | None) -> facts.Terms | None:
    """The terms of a wager; None where it has none, as nearly all."""
    return told if told != facts.NO_TERMS else None


def _conflict(wager: facts.WagerFact, risk: int, to_win: int, why: str) -> Refused:
    return Refused(codes.FACT_CONFLICT, why, wagerId=wager.wager_id, knownRiskMinor=risk, knownToWinMinor=to_win)


def _settled_conflict(wager: facts.WagerFact, known: ClosedWager, why: str) -> Refused:
    return Refused(
        codes.FACT_CONFLICT,
        why,
        wagerId=wager.wager_id,
        knownState=known.state,
        knownRevision=known.revision,
        knownReturnMinor=known.returned,
    )
