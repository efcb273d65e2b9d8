"""The worst joint outcome of markets that parlays link, exact within a stated number of states.

A market ends with one of its outcomes winning, with none of those that were backed, or void. The book's loss is the
sum over the markets of what straight wagers cost it there, and over the parlays of what they pay: all that their legs
give if none has lost, nothing otherwise, less their cash risk. An outcome that nobody backed is never worse than a void
market: straight wagers cost nothing there either, and parlays live on. Half results and dead heats lie between others
(each wager's return is a mean of what two of the outcomes here return), so they are never the worst.

Theory. First outcomes are dropped that cannot be part of a worst case whatever happens elsewhere; often straight wagers
outweigh the parlays and the markets fall apart. What is still linked is folded market by market, in an order that keeps
few parlays half decided. A state is which of these are lost and which of their legs are void; equal states differ in
nothing to come, so only the costliest is kept, and a state is dropped when even its best hopes stay below an outcome
that was found by climbing. The count of states, each tried with each outcome of the next market, is the cost, the
same on every machine; one that many parlays cross counts as several. When it would exceed the limit, the hopes of the
states at hand are the bound; where it would by far, so are those of the beginning, and no search is made.

Rejected: enumeration alone (three outcomes in 12 markets exceed 100,000); depth-first search without remembering states
(exponential in a chain of parlays, which are common); linear programming (a dependency, and floats).
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log2
from typing import Final

from msgspec import Struct

from fire22.sportsbook.exposure.parlay import VOID, Parlay

_ALONE_LEGS_MAX: Final = 6
_SETTING_UP: Final = 6  # states that setting up one leg counts for
_ROUNDS: Final = 8  # of climbing
_BITS_MAX: Final = 48  # states that may differ in so many bits are not begun with: pruning leaves a fraction, not that
_LOOKED_AT: Final = 8  # parlays that a state of the search may have half decided before it counts as several
_CROWD: Final = 32  # with fewer states none is dropped for its hopes: looking costs more


class Straight(Struct, frozen=True, gc=False):
    """The straight wagers of one market in one scope; minor units.

    Args:
        risk: cash risk of those without a result.
        paid: by selection, cash risk and profit of those without a result.
    """

    risk: int
    paid: Mapping[str, int]


class Worst(Struct, frozen=True, gc=False):
    """What linked markets cost at worst.

    Args:
        loss: of the book, minor units; at least 0.
        exact: whether it is the worst joint outcome; otherwise it is an upper bound.
        states: what finding it took.
    """

    loss: int
    exact: bool
    states: int


class _Market:
    """A market as the search sees it: what is lost by outcome, and the parlays by outcome."""

    __slots__ = ("backed", "id", "losses", "parlays")

    def __init__(self, id: str, straight: Straight, parlays: Sequence[Parlay]) -> None:
        self.id = id
        self.parlays = parlays
        self.backed: dict[str, dict[str, Parlay]] = {}
        for parlay in parlays:
            chosen = {leg.selection for leg in parlay.legs if leg.market == id}
            if len(chosen) == 1:  # two outcomes of one market cannot both win
                self.backed.setdefault(chosen.pop(), {})[parlay.id] = parlay
        of = {each: paid - straight.risk for each, paid in straight.paid.items()}
        self.losses = {each: of.get(each, -straight.risk) for each in sorted(self.backed)}
        others = [(-loss, each) for each, loss in of.items() if each not in self.backed and loss > 0]
        if others:
            loss, each = min(others)
            self.losses[each] = -loss
        self.losses[VOID] = 0

    def alive(self, outcome: str) -> Iterable[Parlay]:
        """The parlays that an outcome does not lose."""
        return self.parlays if outcome == VOID else self.backed.get(outcome, {}).values()

    def hope(self, outcome: str, parlays: Iterable[Parlay]) -> int:
        """What an outcome costs at most: its own loss and all that some of the parlays may pay after it."""
        hoped = self.losses[outcome]
        alive = self.backed.get(outcome, {})
        for parlay in parlays:
            if outcome == VOID:
                hoped += parlay.pay(_void(parlay, self.id))
            elif parlay.id in alive:
                hoped += parlay.pay(0)
        return hoped


def worst(straights: Mapping[str, Straight], parlays: Sequence[Parlay], states_max: int) -> Worst:
    """The worst joint outcome of markets.

    Args:
        straights: every market in which a parlay has an open leg.
        parlays: each with an open leg; in an order of their own, such as by id.
        states_max: above so many states the answer is a bound.
    """
    if len(parlays) == 1 and len(parlays[0].legs) == len(straights) <= _ALONE_LEGS_MAX:
        return _alone(straights, parlays[0])
    by_market: dict[str, list[Parlay]] = {id: [] for id in sorted(straights)}
    for parlay in parlays:
        for market in parlay.markets:
            by_market[market].append(parlay)
    markets = {id: _Market(id, straights[id], by_market[id]) for id in by_market}
    _reduce(markets, {parlay.id: parlay for parlay in parlays})
    states = _SETTING_UP * sum(len(market.parlays) + 1 for market in markets.values())
    loss, is_exact = -sum(parlay.cash for parlay in parlays), True
    for part in _parts(markets):
        if len(part) == 1 and not part[0].parlays:
            loss += max(part[0].losses.values())
            continue
        found = _Search(part).run(states_max - states)
        loss += found.loss
        states += found.states
        is_exact = is_exact and found.exact
    return Worst(max(0, loss), is_exact, states)


def _alone(straights: Mapping[str, Straight], parlay: Parlay) -> Worst:
    """Of one parlay, as most components have no more: each leg wins or is void, or its market ends at its own worst."""
    lost = 0
    alive = [(0, 0)]  # with some legs decided: what the book has lost, and which legs are void
    for index, leg in enumerate(parlay.legs):
        straight = straights[leg.market]
        lost += max(0, max(straight.paid.values(), default=0) - straight.risk)
        wins = straight.paid.get(leg.selection, 0) - straight.risk
        alive = [(loss + wins, void) for loss, void in alive] + [(loss, void | 1 << index) for loss, void in alive]
    worst = max(lost, *(loss + parlay.pay(void) for loss, void in alive)) - parlay.cash
    return Worst(max(0, worst), True, len(alive))


def _reduce(markets: dict[str, _Market], alive: dict[str, Parlay]) -> None:
    """Drop what cannot be part of a worst case, until nothing more can be: outcomes, and parlays that they all lose."""
    changed = True
    while changed:
        changed = False
        for market in markets.values():
            best = max(market.losses.values())
            keep = max(each for each, loss in market.losses.items() if loss == best)
            dropped = [each for each in market.losses if each != keep and market.hope(each, market.alive(each)) <= best]
            for outcome in dropped:
                del market.losses[outcome]
                market.backed.pop(outcome, None)
            if dropped:
                changed = True
                _bury(market, markets, alive)


def _bury(market: _Market, markets: dict[str, _Market], alive: dict[str, Parlay]) -> None:
    """Take out the parlays that every outcome left in a market loses."""
    if VOID in market.losses:
        return
    living = {id for of in market.backed.values() for id in of}
    for id in [each.id for each in market.parlays if each.id not in living]:
        for name in alive.pop(id).markets:
            other = markets[name]
            other.parlays = [each for each in other.parlays if each.id != id]
            for of in other.backed.values():
                of.pop(id, None)


def _parts(markets: dict[str, _Market]) -> list[list[_Market]]:
    """The markets that parlays still link, apart."""
    parts: list[list[_Market]] = []
    left = dict(markets)
    for id in markets:
        if id not in left:
            continue
        part = [left.pop(id)]
        for market in part:  # grows meanwhile
            for parlay in market.parlays:
                part += [left.pop(other) for other in parlay.markets if other in left]
        parts.append(part)
    return parts


class _Step(Struct):
    """One market in the order of the search.

    Args:
        options: by outcome, its loss and the bits of the parlays it loses.
        begun: the parlays of which this is the first market.
        ended: the parlays of which it is the last.
        crossing: the parlays that go on after it.
        earlier: the markets up to here that these have legs in.
        weight: what one state counts for here; looking at many parlays takes longer.
        hope: what this and all later markets cost at most, with the parlays that begin there.
    """

    market: _Market
    options: list[tuple[str, int, int]]
    begun: list[Parlay]
    ended: list[Parlay]
    crossing: list[Parlay]
    weight: int
    earlier: list[_Market]
    hope: int = 0


class _Search:
    """Folds linked markets one by one."""

    def __init__(self, markets: list[_Market]) -> None:
        self._markets = markets
        self._bit: dict[str, int] = {}
        self._shift: dict[str, int] = {}
        self._legs: dict[str, int] = {}
        width = 0
        for parlay in {each.id: each for market in markets for each in market.parlays}.values():
            self._bit[parlay.id] = 1 << len(self._bit)
            self._shift[parlay.id] = width
            self._legs[parlay.id] = (1 << len(parlay.legs)) - 1
            width += len(parlay.legs)
        self._past: dict[str, _Market] = {}
        self._steps = [self._step(*each) for each in _order(markets)]
        self._bits = max(map(_bits, self._steps))
        hope = 0
        for step in reversed(self._steps):
            hope += max(step.market.hope(outcome, step.begun) for outcome in step.market.losses)
            step.hope = hope

    def run(self, states_max: int) -> Worst:
        """The worst outcome, with parlays counted by what they pay."""
        if self._bits > _BITS_MAX:
            return Worst(self._steps[0].hope, False, 0)
        found, states = self._climb()
        kept: dict[tuple[int, int], int] = {(0, 0): 0}
        for index, step in enumerate(self._steps):
            tried = len(kept) * len(step.options) * step.weight
            if states + tried > states_max:
                crossing = self._steps[index - 1].crossing if index else []
                hopes = (loss + self._open(key, crossing) + step.hope for key, loss in kept.items())
                return Worst(max((found, *hopes)), False, states)
            states += tried
            kept = self._take(step, kept)
            if len(kept) > _CROWD:
                later = self._steps[index + 1].hope if index + 1 < len(self._steps) else 0
                kept = {
                    key: loss for key, loss in kept.items() if loss + later + self._open(key, step.crossing) > found
                }
        return Worst(max((found, *kept.values())), True, states)

    def _step(self, market: _Market, begun: list[Parlay], ended: list[Parlay], crossing: list[Parlay]) -> _Step:
        every = sum(self._bit[parlay.id] for parlay in market.parlays)
        options = []
        for outcome, loss in market.losses.items():
            alive = sum(self._bit[parlay.id] for parlay in market.alive(outcome))
            options.append((outcome, loss, every & ~alive))
        weight = 1 + (len(ended) + len(crossing)) // _LOOKED_AT
        self._past[market.id] = market
        touched = dict.fromkeys(name for parlay in crossing for name in parlay.markets)
        earlier = [self._past[name] for name in touched if name in self._past]
        return _Step(market, options, begun, ended, crossing, weight, earlier)

    def _take(self, step: _Step, kept: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
        """Every state with every outcome of the next market."""
        following: dict[tuple[int, int], int] = {}
        bits = self._bit
        legs = [(bits[each.id], self._void(each, step.market.id)) for each in step.market.parlays]
        whole = [(bits[each.id], self._legs[each.id] << self._shift[each.id]) for each in step.market.parlays]
        ended = [(bits[each.id], self._shift[each.id], self._legs[each.id], each) for each in step.ended]
        left = ~sum(bit for bit, *_ in ended)
        left_legs = ~sum(mask << shift for _, shift, mask, _ in ended)
        for (lost, void), loss in kept.items():
            for outcome, own, loses in step.options:
                total, now_lost, now_void = loss + own, lost | loses, void
                if outcome == VOID:
                    for bit, mask in legs:
                        if not lost & bit:
                            now_void |= mask
                elif void:
                    for bit, mask in whole:
                        if loses & bit:
                            now_void &= ~mask
                for bit, shift, mask, parlay in ended:
                    if not now_lost & bit:
                        total += parlay.pay(now_void >> shift & mask)
                key = now_lost & left, now_void & left_legs
                before = following.get(key)
                if before is None or total > before:
                    following[key] = total
        return following

    def _open(self, key: tuple[int, int], crossing: list[Parlay]) -> int:
        """What the half decided parlays of a state may still pay."""
        lost, void = key
        hoped = 0
        for parlay in crossing:
            if not lost & self._bit[parlay.id]:
                hoped += parlay.pay(void >> self._shift[parlay.id] & self._legs[parlay.id])
        return hoped

    def _void(self, parlay: Parlay, market: str) -> int:
        return _void(parlay, market) << self._shift[parlay.id]

    def _climb(self) -> tuple[int, int]:
        """A costly outcome, by changing one market at a time from two beginnings; and how many changes were tried."""
        totals, states = [], 0
        for hopeful in (True, False):
            chosen = {market.id: _pick(market, hopeful=hopeful) for market in self._markets}
            for _ in range(_ROUNDS):
                before = dict(chosen)
                for market in self._markets:
                    states += len(market.losses)
                    chosen[market.id] = max(market.losses, key=_Local(market, chosen))
                if chosen == before:
                    break
            totals.append(self._total(chosen))
        return max(totals), states

    def _total(self, chosen: dict[str, str]) -> int:
        total = sum(market.losses[chosen[market.id]] for market in self._markets)
        for step in self._steps:
            total += sum(_pays(parlay, chosen) for parlay in step.ended)
        return total


def _order(markets: list[_Market]) -> list[tuple[_Market, list[Parlay], list[Parlay], list[Parlay]]]:
    """An order of the markets that keeps few parlays half decided: each with those that begin, end, and go on there."""
    left = {market.id: market for market in markets}
    waiting = {parlay.id: len(parlay.markets) for market in markets for parlay in market.parlays}
    open: dict[str, Parlay] = {}
    order = []
    while left:
        near = sorted({id for parlay in open.values() for id in parlay.markets if id in left}) or list(left)

        def opens(id: str) -> tuple[int, str]:
            of = left[id].parlays
            return sum((each.id not in open) - (waiting[each.id] == 1) for each in of), id

        market = left.pop(min(near, key=opens))
        begun = [each for each in market.parlays if each.id not in open]
        open.update((each.id, each) for each in begun)
        ended = []
        for parlay in market.parlays:
            waiting[parlay.id] -= 1
            if not waiting[parlay.id]:
                ended.append(open.pop(parlay.id))
        order.append((market, begun, ended, list(open.values())))
    return order


def _bits(step: _Step) -> float:
    """How many bits at most the states after a step differ in: by parlays that are half decided, or by markets."""
    return min(len(step.crossing), sum(log2(len(market.losses)) for market in step.earlier))


def _void(parlay: Parlay, market: str) -> int:
    """The bits of a parlay's legs in a market."""
    return sum(1 << index for index, leg in enumerate(parlay.legs) if leg.market == market)


def _pick(market: _Market, *, hopeful: bool) -> str:
    """The outcome that costs most, with all that its parlays may pay or without."""
    parlays = market.parlays if hopeful else ()
    return max(market.losses, key=lambda each: (market.hope(each, parlays), each))


class _Local:
    """What an outcome of a market costs, given those of the other markets; ties by the outcome's name."""

    def __init__(self, market: _Market, chosen: dict[str, str]) -> None:
        self._market = market
        self._chosen = chosen

    def __call__(self, outcome: str) -> tuple[int, str]:
        self._chosen[self._market.id] = outcome
        pays = sum(_pays(parlay, self._chosen) for parlay in self._market.alive(outcome))
        return self._market.losses[outcome] + pays, outcome


def _pays(parlay: Parlay, chosen: Mapping[str, str]) -> int:
    """What a parlay pays when its markets have ended."""
    void = 0
    for index, leg in enumerate(parlay.legs):
        outcome = chosen[leg.market]
        if outcome == VOID:
            void |= 1 << index
        elif outcome != leg.selection:
            return 0
    return parlay.pay(void)
