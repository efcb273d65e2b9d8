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
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct, field

from fire22.flows.base import Fact, Flow, Handler, Refused, Repeated, Table, expect
from fire22.sportsbook.betting import codes, facts
from fire22.sportsbook.betting.lifecycle import State, is_legal
from fire22.sportsbook.betting.settings import BookSettings
from fire22.sportsbook.betting.settlement import cash_risk_minor
from fire22.sportsbook.betting.terms import NO_TERMS, Terms
from fire22.sportsbook.registry.conversion import Conversion
from fire22.sportsbook.registry.currencies import Rates
from fire22.sportsbook.registry.directory import Directory
from fire22.sportsbook.registry.markets import Markets
from fire22.sportsbook.registry.movement import Kind, Movement
from fire22.sportsbook.registry.open_wager import Bettor, OpenWager, StruckLeg, bettor_of
from fire22.sportsbook.registry.records import AgentRecord, CustomerRecord, MarketRecord
from fire22.sportsbook.registry.wager_table import ClosedWager, WagerTable


class RegistrySettings(BookSettings, frozen=True):
    """The book's own currency, and what others are worth: `[currencies]`."""

    rates: Rates = field(default_factory=dict)


class PendingWager(Struct, frozen=True, gc=False, array_like=True):
    """A wager that waits to be accepted; `content` is whatever else was told of it."""

    status: str
    content: str

    @property
    def customer_id(self) -> str:
        """Whose it is."""
        return str(msgspec.json.decode(self.content)[1])


class Registry(Flow):
    """Comes before all flows that look at wagers.

    Attributes:
        move: what the fact at hand does to a wager.
        money: the book's own.
        keep_rate: see `Conversion.keep`.
    """

    name: ClassVar[str] = "book"
    version: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.move: Movement
        self._conversion = Conversion(RegistrySettings().currency)
        self.money = self._conversion.money
        self.keep_rate = self._conversion.keep
        self._directory = Directory()
        self._agents, self._customers = self._directory.agents, self._directory.customers
        self._offered = Markets()
        self._markets, self._legs = self._offered.table, self._offered.legs
        self._asked: Table[PendingWager] = Table("asked", PendingWager)
        self._wagers = WagerTable("wager", OpenWager)
        self._past: Table[int] = Table("past", int)
        self._bettors: dict[str, Bettor] = {}

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Agents, customers, markets, wagers; whether only sums are known of some past; kept rates."""
        return (
            *self._directory.tables,
            self._markets,
            self._asked,
            self._wagers,
            self._past,
            self._conversion.table,
        )

    def configure(self, settings: Raw) -> None:
        """Take the book's currency and the rates that hold from here on."""
        taken = msgspec.json.decode(settings, type=RegistrySettings)
        self._conversion.configure(taken.currency, taken.rates)
        self.money = self._conversion.money

    def adapters(self) -> dict[str, Callable[[Fact], Fact]]:
        """Amounts in other currencies become the book's."""
        return self._conversion.adapters()

    def handlers(self) -> dict[str, Handler]:
        """Who and what there is; every fact of a wager."""
        return {
            **self._directory.handlers(),
            **self._offered.handlers(),
            "customer.renamed": self._renamed,
            "row.changed": self._forbidden,
            "row.deleted": self._forbidden,
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

    # What other flows may ask.

    @property
    def over(self) -> MarketRecord | None:
        """The market that the status at hand ends."""
        return self._offered.over

    def agent(self, path: str) -> AgentRecord | None:
        """The agent at a path."""
        return self._agents.get(path)

    @property
    def agent_count(self) -> int:
        """How many agents there are."""
        return len(self._agents)

    def agents(self) -> Iterator[tuple[str, AgentRecord]]:
        """Every agent, by its path."""
        return iter(self._agents)

    def customer(self, code: str) -> CustomerRecord | None:
        """A customer as it is now."""
        return self._customers.get(code)

    def market(self, market_id: str) -> MarketRecord | None:
        """A market that is not over."""
        return self._markets.get(market_id)

    def markets(self) -> Iterator[tuple[str, MarketRecord]]:
        """Every market that is not over, by its id."""
        return iter(self._markets)

    def wager(self, wager_id: str) -> OpenWager | None:
        """An open wager."""
        return self._wagers.open.get(wager_id)

    def owner_of(self, wager_id: str) -> str | None:
        """The customer of a wager that is open, or waits to be accepted."""
        open = self._wagers.open.get(wager_id)
        if open is not None:
            return open.customer_id
        asked = self._asked.get(wager_id)
        return None if asked is None else asked.customer_id

    def is_over(self, wager_id: str) -> bool:
        """Whether a wager was placed and is no longer open."""
        return self._wagers.over(wager_id) is not None

    def legs_of(self, wager: facts.WagerPlaced) -> tuple[StruckLeg, ...]:
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

    # What the book changes.

    def _renamed(self, fact: Fact) -> None:
        renamed = expect(fact, facts.CustomerRenamed)
        id, before = renamed.customer_id, renamed.before
        self._directory.rename(before, id)
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

    def _imported_revenue(self, fact: Fact) -> None:
        self._past.put("sums", 1)

    # Wagers.

    def _requested(self, fact: Fact) -> None:
        wager = expect(fact, facts.WagerPlaced)
        self.check_amount(wager.currency, wager.customer_id)
        asked = _pending(wager)
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
        if self._conversion.latest is not None:
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
            accepted_ms = known.at_ms
        elif before.risk != risk or before.cash != cash or not _is_of(wager, before):
            raise _conflict(wager, before.risk, before.to_win, "The settlement is of another stake or customer.")
        else:
            accepted_ms = before.at_ms
        over = ClosedWager(state, risk, cash, wager.to_win_minor, wager.revision, returned, counted, accepted_ms)
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
        one = before or known
        accepted_ms = one.at_ms if one is not None else 0
        gone_ms = 0
        if wager.status == "deleted":
            self._wagers.pop(id)  # it is gone from the book; its id may come again
            gone_ms = accepted_ms if counted else 0
        else:
            revision = known.revision if known is not None else 0
            over = ClosedWager(state, wager.risk_minor, cash, wager.to_win_minor, revision, 0, counted, accepted_ms)
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
        if known.at_ms:
            opened = msgspec.structs.replace(opened, at_ms=known.at_ms)
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
        self._directory.check_agent(wager.path)
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


def _pending(wager: facts.WagerPlaced) -> PendingWager:
    """A wager that waits, as it is asked for."""
    content = (
        wager.wager_number, wager.customer_id, wager.agent_id, wager.path, wager.type, wager.risk_minor,
        wager.to_win_minor, wager.free_play, wager.terms,
        [(leg.market_id, leg.selection_id, leg.odds) for leg in wager.legs],
    )  # fmt: skip
    return PendingWager(wager.status, msgspec.json.encode(content).decode())


def _is_of(wager: facts.WagerFact, open: OpenWager) -> bool:
    """Whether a fact of an open wager is of the same customer below the same agent."""
    return wager.customer_id == open.customer_id and wager.path == open.path


def _terms(told: Terms | None) -> Terms | None:
    """The terms of a wager; None where it has none, as nearly all."""
    return told if told != NO_TERMS else None


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
