"""Exposure against an enumeration of every joint outcome of all markets, from nothing but the list of open wagers.

Section 3 of the domain rules: the book's result of an outcome is what open wagers bring if it happens; each of them is
settled by `settlement.py`. A market ends with one of its selections winning, with none of those backed, or void.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product
from math import floor, prod
from random import Random

import msgspec
import pytest
from msgspec import Raw

from fire22.core.event import Event, Metadata
from fire22.core.scope import ancestors, covers
from fire22.core.times import to_datetime
from fire22.flows.base import Flow
from fire22.sportsbook import domain
from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.betting.odds import parse_odds
from fire22.sportsbook.betting.settlement import LOSS, PUSH, WIN, GradedLeg, LegResult
from fire22.sportsbook.exposure import flow as exposure
from fire22.sportsbook.exposure.flow import Exposures
from fire22.sportsbook.exposure.what_if import what_if
from fire22.sportsbook.registry.flow import Registry
from tests.support.folding import Folding
from tests.support.histories import MARKETS, SCOPES, History
from tests.support.slips import settle
from tests.support.storage import START_MS

YEAR_MS = 365 * 24 * 3_600_000
NOBODY = "nobody backed it"
VOID = "void"
NAMES = [f"m{number}" for number in range(MARKETS)]
RESULTS = (
    facts.SelectionResult("", 1),
    facts.SelectionResult("", 0),
    facts.SelectionResult("", 0, void=1.0),
    facts.SelectionResult("", 1, void=0.5),
    facts.SelectionResult("", 0, void=0.5),
    facts.SelectionResult("", 1, dead_heat=0.5),
)


class Open(msgspec.Struct, frozen=True):
    """An open wager as its facts say."""

    fact: facts.WagerFact
    legs: tuple[facts.Leg, ...]


class Wagers:
    """Takes events one by one; knows the open wagers and the results of markets."""

    def __init__(self) -> None:
        self.open: dict[str, Open] = {}
        self.results: dict[tuple[str, str], LegResult] = {}

    def take_all(self, events: list[Event], book: "Exposed") -> None:
        """The events of a group but those that the gate refused."""
        refused = {each.id for each in book.refused}
        for event in events:
            if event.id not in refused:
                self.take(event)

    def take(self, event: Event) -> None:
        """The next event of the log."""
        data = domain.decode(event.type, event.data)
        if isinstance(data, facts.WagerPlaced) and event.type != "wager.requested":
            self.open[data.wager_id] = Open(data, data.legs)
        elif isinstance(data, facts.WagerModified):
            self.open[data.wager_id] = Open(data, data.legs or self.open[data.wager_id].legs)
        elif isinstance(data, facts.WagerSettled | facts.WagerCancelled):
            self.open.pop(data.wager_id, None)
        elif isinstance(data, facts.MarketResulted):
            self.results = {key: each for key, each in self.results.items() if key[0] != data.market_id}
            for told in data.results:
                result = LegResult(bool(told.result), *map(_share, (told.void, told.dead_heat)))
                self.results[data.market_id, told.selection_id] = result

    def profit(self, wager: Open, outcomes: Mapping[str, str] | None) -> int:
        """The customer's profit if the markets end so; None is as if every open leg won."""
        fact = wager.fact
        legs = []
        for leg in wager.legs:
            result = self.results.get((leg.market_id, leg.selection_id))
            if result is None:
                outcome = leg.selection_id if outcomes is None else outcomes[leg.market_id]
                result = PUSH if outcome == VOID else WIN if outcome == leg.selection_id else LOSS
            legs.append(GradedLeg(parse_odds(repr(leg.odds), "decimal"), result))
        if all(leg.result == WIN for leg in legs):
            return fact.to_win_minor
        profit = max(settle(legs, fact.risk_minor, free_play=fact.free_play).profit_minor, _by_amount(legs, fact))
        if len(legs) > 1 and LOSS not in [leg.result for leg in legs]:
            return max(0, min(profit, fact.to_win_minor))  # nothing is sure before it is over
        return min(profit, fact.to_win_minor)

    def of(self, scope: str) -> list[Open]:
        """The open wagers of a scope."""
        return [each for each in self.open.values() if covers(scope, each.fact.path)]

    def decided(self, wager: Open) -> bool:
        """Whether no outcome can change what a wager brings."""
        known = [self.results.get((leg.market_id, leg.selection_id)) for leg in wager.legs]
        return None not in known or any(each is not None and each.name == "loss" for each in known)

    def straight(self, scope: str, market: str) -> int:
        """L of the straight wagers on a market: what is known to be owed, and what may be."""
        wagers = [each for each in self.of(scope) if [leg.market_id for leg in each.legs] == [market]]
        known = sum(self.profit(each, None) for each in wagers if self.decided(each))
        return max(0, known) + max(0, self._enumerate([market], [each for each in wagers if not self.decided(each)]))

    def bound(self, scope: str) -> int:
        """ΣL and all that the other wagers may bring their customers."""
        total = sum(self.straight(scope, f"m{number}") for number in range(MARKETS))
        for wager in self.of(scope):
            if not wager.legs:
                total += wager.fact.to_win_minor
            elif len(wager.legs) > 1:
                total += max(0, self.profit(wager, None))
        return total

    def worst(self, scope: str) -> int:
        """The worst joint outcome of all markets that wagers of several legs link, and L of the others."""
        wagers = [each for each in self.of(scope) if each.legs]
        parlays = [each for each in wagers if len(each.legs) > 1 and not self.decided(each)]
        linked = sorted({leg.market_id for each in parlays for leg in self._undecided(each)})
        total = sum(self.straight(scope, f"m{n}") for n in range(MARKETS) if f"m{n}" not in linked)
        for market in linked:
            total += max(0, sum(self.profit(w, None) for w in wagers if self._is_owed(w, market)))
        for wager in self.of(scope):
            if not wager.legs:
                total += wager.fact.to_win_minor
            elif len(wager.legs) > 1 and self.decided(wager):
                total += max(0, self.profit(wager, None))
        parts = _parts(linked, [{leg.market_id for leg in self._undecided(each)} for each in parlays])
        for part in parts:
            counted = [each for each in wagers if not self.decided(each) and self._undecided(each)[0].market_id in part]
            total += max(0, self._enumerate(part, counted))
        return total

    def what_if(self, scope: str, ended: Mapping[str, str]) -> tuple[int, int]:
        """What is certain if markets end so, and what all other outcomes may cost then."""
        then = Wagers()
        then.open, then.results = self.open, dict(self.results)
        for market, outcome in ended.items():
            for selection in (f"{market}.{number}" for number in range(3)):
                result = PUSH if outcome == VOID else WIN if outcome == selection else LOSS
                then.results.setdefault((market, selection), result)
        pnl, rest = 0, then.worst(scope) - sum(then.straight(scope, market) for market in ended)
        for wager in self.of(scope):
            if len(wager.legs) == 1 and wager.legs[0].market_id in ended:
                pnl -= then.profit(wager, None)
            elif len(wager.legs) > 1 and not self.decided(wager) and then.decided(wager):
                pnl -= then.profit(wager, None)
                rest -= max(0, then.profit(wager, None))
        return pnl, rest

    def _is_owed(self, wager: Open, market: str) -> bool:
        return [leg.market_id for leg in wager.legs] == [market] and self.decided(wager)

    def _undecided(self, wager: Open) -> list[facts.Leg]:
        return [leg for leg in wager.legs if (leg.market_id, leg.selection_id) not in self.results]

    def _enumerate(self, markets: list[str], wagers: list[Open]) -> int:
        outcomes = {each: {NOBODY: None, VOID: None} for each in markets}
        for wager in wagers:
            for leg in self._undecided(wager):
                outcomes[leg.market_id][leg.selection_id] = None
        profits: dict[tuple[int, tuple[str, ...]], int] = {}
        highest = -(10**18)
        for joint in product(*outcomes.values()):
            ended = dict(zip(markets, joint, strict=True))
            total = 0
            for index, wager in enumerate(wagers):
                key = index, tuple(ended.get(leg.market_id, "") for leg in wager.legs)
                if key not in profits:
                    profits[key] = self.profit(wager, ended)
                total += profits[key]
            highest = max(highest, total)
        return highest


def _by_amount(legs: list[GradedLeg], fact: facts.WagerFact) -> int:
    """The profit where not the prices hold but the amount that was written down; a loss where both are the same."""
    stake = -fact.risk_minor * (not fact.free_play)
    all_won = prod((leg.odds for leg in legs), start=Fraction(1))
    rounding = prod((leg.odds + Fraction(1, 2_000_000) for leg in legs), start=Fraction(1)) - all_won
    apart = abs(fact.to_win_minor - fact.risk_minor * (all_won - 1))
    if not fact.risk_minor or apart <= 1 + fact.risk_minor * rounding:
        return stake
    factor = Fraction(1)
    for leg in legs:
        result = leg.result or WIN
        odds = 1 + Fraction(fact.to_win_minor, fact.risk_minor) if len(legs) == 1 else leg.odds
        factor *= result.void + (1 - result.void) * result.won * result.dead_heat * odds
    won = fact.risk_minor * (factor - 1)
    if len(legs) > 1 and factor > 1:
        won = (factor - 1) / (all_won - 1) * fact.to_win_minor
    return max(stake, floor(won + Fraction(1, 2)))


def _share(share: float) -> Fraction:
    return Fraction(share)


def _parts(markets: list[str], links: list[set[str]]) -> list[list[str]]:
    """The markets, apart where nothing links them."""
    parts = [{each} for each in markets]
    for link in links:
        joined = set().union(*(part for part in parts if part & link))
        parts = [part for part in parts if not part & link] + [joined]
    return [sorted(part) for part in parts]


def history(seed: int) -> Iterator[Event]:
    """A history in which markets get results, some of them twice or in parts, and the clock moves often."""
    random = Random(f"results {seed}")
    made = History(seed, noise=False)
    extra = 0
    for event in made:
        if event.type != "system.configured":  # the settings of a test stay
            yield event
        draw = random.random()
        if draw > 0.3:
            continue
        extra += 1
        if draw > 0.06:
            made.watermark_ms = max(made.watermark_ms, made.now_ms)
            yield _event(f"clock {seed} {extra}", "system.clock", facts.Clock(), made.watermark_ms)
            continue
        market = f"m{random.randrange(MARKETS)}"
        of = random.sample(range(3), random.choice((1, 3, 3)))
        results = [
            msgspec.structs.replace(random.choice(RESULTS), selection_id=f"{market}.{number}") for number in sorted(of)
        ]
        if random.random() < 0.4:
            results = []  # the result is taken back
        told = facts.MarketResulted(market, tuple(results))
        yield _event(f"result {seed} {extra}", "market.resulted", told, made.now_ms)


def _event(id: str, type: str, data: object, at_ms: int) -> Event:
    return Event(id, type, "history", to_datetime(at_ms), Raw(msgspec.json.encode(data)), Metadata())


class Exposed(Folding):
    """The flow behind the gate."""

    def __init__(self, **settings: int) -> None:
        self.flow: Exposures
        super().__init__(self._make)
        self._settings = settings

    def _make(self) -> tuple[Flow, ...]:
        registry = Registry()
        self.flow = Exposures(registry)
        return registry, self.flow

    def configured(self) -> Event:
        """The settings, as they are told."""
        data = {"flows": {"exposure": {"version": 1, "settings": self._settings}}}
        return _event("settings", "system.configured", data, START_MS)


def groups(seed: int, count: int, longest: int) -> Iterator[list[Event]]:
    """A history in groups of random size."""
    random = Random(f"groups {seed}")
    events = history(seed)
    while count > 0:
        size = random.randint(1, longest)
        yield [next(events) for _ in range(size)]
        count -= size


@pytest.mark.parametrize("seed", range(12))
def test_a_total_is_the_worst_case_or_a_bound_that_says_it_is_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever came, no scope can lose more than its total, and one that is not called a bound is exact."""
    monkeypatch.setattr(exposure, "RESULTS_MS", YEAR_MS)  # the oracle forgets none
    random = Random(f"checks {seed}")
    book, wagers = Exposed(states_step_max=random.choice((1, 50, 10_000))), Wagers()
    book.group([book.configured()])
    exact = 0
    for group in groups(seed, 300, 6):
        book.group(group)
        wagers.take_all(group, book)
        for scope in random.sample(SCOPES, 2):
            total, worst, bound = book.flow.total(scope), wagers.worst(scope), wagers.bound(scope)
            assert worst <= total <= bound, f"seed {seed}: {scope} after {group[-1].id}"
            if not book.flow.is_bound(scope):
                assert total == worst, f"seed {seed}: {scope} after {group[-1].id}"
                exact += 1
    assert exact


@pytest.mark.parametrize("seed", range(4))
def test_a_scope_never_loses_more_than_those_below_it_together(seed: int) -> None:
    """Netting goes one way: L(parent) ≤ ΣL(children) and what its own wagers can lose."""
    book, wagers = Exposed(states_step_max=1_000_000), Wagers()
    book.group([book.configured()])
    for group in groups(seed, 300, 6):
        book.group(group)
        wagers.take_all(group, book)
        for scope in SCOPES:
            children = [each for each in SCOPES if ancestors(each)[-2:-1] == (scope,)]
            own = Wagers()
            own.results = wagers.results
            own.open = {id: each for id, each in wagers.open.items() if each.fact.path == scope}
            if not book.flow.is_bound(scope):
                below = sum(book.flow.total(each) for each in children)
                assert book.flow.total(scope) <= below + own.bound(scope), f"seed {seed}: {scope}"


@pytest.mark.parametrize("seed", range(8))
def test_a_restart_changes_no_byte(seed: int) -> None:
    """Wherever it goes on, it says and keeps what an undisturbed one does, however far its searches had come."""
    settings = {"states_step_max": (1, 40, 10_000)[seed % 3], "markets_max": 2 + seed % 3}
    undisturbed, restarted = Exposed(**settings), Exposed(**settings)
    for book in (undisturbed, restarted):
        book.group([book.configured()])
    for group in groups(seed, 300, 4):
        expected = undisturbed.group(group)
        restarted.restart()
        assert msgspec.msgpack.encode(restarted.group(group)) == msgspec.msgpack.encode(expected), f"seed {seed}"


@pytest.mark.parametrize("seed", range(6))
def test_what_if_some_outcomes_happen(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is what the book would stand at if the markets had ended so, and it changes nothing."""
    monkeypatch.setattr(exposure, "RESULTS_MS", YEAR_MS)
    random = Random(f"questions {seed}")
    book, wagers = Exposed(states_step_max=random.choice((50, 1_000_000))), Wagers()
    book.group([book.configured()])
    exact = 0
    for group in groups(seed, 250, 12):
        book.group(group)
        wagers.take_all(group, book)
        scope = random.choice(SCOPES)
        before = book.flow.total(scope)
        ended = {each: random.choice((VOID, f"{each}.0", f"{each}.1")) for each in random.sample(NAMES, 2)}
        asked = {m: "" if each == VOID else each for m, each in ended.items()}
        answer = what_if(book.flow.books.scope(scope), asked, Money().major)
        pnl, rest = wagers.what_if(scope, ended)
        assert answer["pnl"] == pnl / 100, f"seed {seed}: {scope} {ended} after {group[-1].id}"
        worst = round(float(str(answer["worst"])) * 100)
        assert worst <= pnl - rest, f"seed {seed}: {scope} {ended} after {group[-1].id}"
        if not answer["isBound"]:
            assert worst == pnl - rest, f"seed {seed}: {scope} {ended} after {group[-1].id}"
            exact += 1
        assert book.flow.total(scope) == before
    assert exact
