"""Straight wagers netted in their markets, for each scope that sees them. Source: domain rules, section 3.

For a market m and an outcome o, PnL_m(o) is what the book wins if o happens; L_m = max(0, -min_o PnL_m(o)). With R the
cash risked on m and P_o what would be paid on o (cash risk and profit), PnL_m(o) = R - P_o. If m is void PnL is 0, and
an outcome nobody backed gives R, so L_m = max(0, max_o P_o - R). A wager whose market has its result moves out of R and
P into K, what is known to be owed, and L_m = max(0, K) + max(0, max_o P_o - R): what is sure to be won is not counted
against what may be lost, here and everywhere.

Netting makes liability non-additive over scopes: each wager is added to every scope above it. That is the hottest of
all figures (eight levels, 30,000 times a second), and what it costs is memory that is not in the cache. But most of
these scopes see the same wagers of a market, and the lower ones one wager alone. So scopes one right below the other
that see the same share one `Net`, which ends where paths part; a wager that is alone is not netted at all. A wager then
costs as much as its market is crowded, not as the tree of agents is deep.
"""

from collections.abc import Iterable, Iterator
from typing import Final, final

from msgspec import Struct

from fire22.sportsbook.exposure.linked_markets import Linked
from fire22.sportsbook.exposure.parlay import Parlay
from fire22.sportsbook.registry.open_wager import OpenWager


@final
class Lone(Struct, frozen=True, gc=False):
    """The one straight wager on a market that some scopes see, and that has no result; minor units.

    Args:
        lowest: of these scopes, its own.
        place: of its outcome, by the market's own numbering.
        cash, profit: what it risks of the customer's own, and what it may bring.
    """

    lowest: "ScopeBook"
    place: int
    cash: int
    profit: int


@final
class Net(Struct, gc=False):
    """The open wagers on one market as some scopes see them, each right below the other; minor units.

    Args:
        lowest: of these scopes.
        depth: how many scopes there are from the root to it.
        paid: what would be paid for straight wagers on each outcome, by the market's own numbering; outcomes may be
            missing at its end.
        top: the highest of that.
        risk: cash risk of straight wagers without a result.
        straight: how many straight wagers there are, with a result or without.
        known: what is owed of straight wagers with a result.
        links: parlays with an open leg here.
    """

    lowest: "ScopeBook"
    depth: int
    paid: list[int]
    top: int = 0
    risk: int = 0
    straight: int = 0
    known: int = 0
    links: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is at stake, though there may be wagers: of no amounts, or with results that even out."""
        return not (self.top or self.known or self.links)

    @property
    def liability(self) -> int:
        """L of the market."""
        known, risk, top = self.known, self.risk, self.top
        return (known if known > 0 else 0) + (top - risk if top > risk else 0)

    @property
    def at_risk(self) -> int:
        """What of L an outcome may still cost."""
        return max(0, self.top - self.risk)

    def payout(self, place: int) -> int:
        """What would be paid on an outcome."""
        return self.paid[place] if place < len(self.paid) else 0


class ScopeBook:
    """The open wagers that one scope sees.

    Args:
        path: of the scope.
        above: the scopes above it, from the root on.
        books: of all markets with an open wager, by id.

    Attributes:
        chain: the scopes from the root to this one.
        below: the paths of wagers that it sees.
        straight: ΣL of the markets, minor units.
        potential: what all other wagers may cost at most; parlays with their whole profit.
        blind: wagers whose legs are not known, so that nothing can be said of their markets.
        parlays: open wagers of several legs.
        gross: profit and cash risk of all open wagers.
        linked: the markets that parlays link, and what is known of their joint outcomes.
        stirred: the markets that have changed since the scope's documents were last said.
    """

    __slots__ = (
        "below",
        "blind",
        "chain",
        "gross",
        "linked",
        "markets",
        "parlays",
        "path",
        "potential",
        "stirred",
        "straight",
    )

    def __init__(self, path: str, above: tuple["ScopeBook", ...], markets: dict[str, "MarketBook"]) -> None:
        self.path = path
        self.chain: tuple[ScopeBook, ...] = (*above, self)
        self.markets = markets
        self.below: dict[str, None] = {}
        self.straight = 0
        self.potential = 0
        self.blind = 0
        self.parlays = 0
        self.gross = 0
        self.linked = Linked()
        self.stirred: dict[str, None] = {}

    def net(self, market: str) -> Net:
        """What the scope sees of a market."""
        of = self.markets.get(market)
        return of.seen(self) if of is not None else NOTHING

    @property
    def bound(self) -> int:
        """ΣL and all that parlays may pay: never less than the worst case, minor units."""
        return self.straight + self.potential

    @property
    def total(self) -> int:
        """Total liability: the worst case, or a bound of it."""
        return self.straight + self.potential - self.linked.relief

    @property
    def is_bound(self) -> bool:
        """Whether the total may be more than the worst case."""
        return self.blind > 0 or not self.linked.is_exact


class MarketBook:
    """The open wagers on one market, as each scope sees them.

    Args:
        id: of the market.

    Attributes:
        places: of the outcomes, in the order of their first wagers.
        wagers: those with a leg here, by id.
        parlays: those with an open leg here, by path and id.
    """

    __slots__ = ("_nets", "id", "parlays", "places", "wagers")

    def __init__(self, id: str) -> None:
        self.id = id
        self.places: dict[str, int] = {}
        self.wagers: dict[str, OpenWager] = {}
        self.parlays: dict[str, dict[str, Parlay]] = {}
        self._nets: dict[ScopeBook, Net | Lone] = {}  # by the highest of their scopes

    def seen(self, scope: ScopeBook) -> Net:
        """What a scope sees of the market; not to be changed."""
        nets, scopes = self._nets, scope.chain
        depth = len(scopes)
        at = 0
        while (net := nets.get(scopes[at])) is not None:
            below = net.lowest.chain
            at = len(below)
            if at >= depth:
                if below[depth - 1] is not scope:
                    break
                return net if type(net) is Net else self._net(net, scope, depth)
            if scopes[at - 1] is not net.lowest:
                break
        return NOTHING

    def parlays_of(self, scope: ScopeBook) -> Iterator[Parlay]:
        """The parlays of a scope with an open leg here."""
        paths: Iterable[str] = self.parlays if len(self.parlays) < len(scope.below) else scope.below
        for path in paths:
            if path in self.parlays and path in scope.below:
                yield from self.parlays[path].values()

    def place(self, selection: str) -> int:
        """Where an outcome stands in what would be paid."""
        place = self.places.get(selection)
        if place is None:
            place = self.places[selection] = len(self.places)
        return place

    def add(self, scopes: tuple[ScopeBook, ...], place: int, cash: int, profit: int) -> None:
        """A straight wager is open, for each scope from the root to its path.

        Args:
            place: of its outcome.
            cash, profit: what it risks of the customer's own, and what it may bring.
        """
        nets, depth, paid = self._nets, len(scopes), cash + profit
        at = 0
        while at < depth:
            highest = scopes[at]
            net = nets.get(highest)
            if net is None:
                nets[highest] = Lone(scopes[-1], place, cash, profit)
                for scope in scopes[at:]:
                    scope.straight += profit
                return
            if type(net) is Lone or net.depth > depth or scopes[net.depth - 1] is not net.lowest:
                net = self._part(net, highest, scopes)
            amounts, top, risk = net.paid, net.top, net.risk
            before = top - risk if top > risk else 0
            if place >= len(amounts):
                amounts.extend([0] * (place + 1 - len(amounts)))
            amounts[place] = pays = amounts[place] + paid
            if pays > top:
                net.top = top = pays
            net.risk = risk = risk + cash
            net.straight += 1
            change = (top - risk if top > risk else 0) - before
            begin, at = at, net.depth
            if change:
                for scope in scopes[begin:at]:
                    scope.straight += change
            if net.links:
                self._stir(scopes[begin:at], change - profit)

    def take(self, scopes: tuple[ScopeBook, ...], place: int, cash: int, profit: int) -> None:
        """A straight wager is open no longer; it must be as it was when it was added."""
        nets, depth, paid = self._nets, len(scopes), cash + profit
        at = 0
        while at < depth:
            highest = scopes[at]
            net = nets[highest]
            if type(net) is Lone:
                del nets[highest]
                for scope in scopes[at:]:
                    scope.straight -= profit
                return
            amounts, top, risk = net.paid, net.top, net.risk
            before = top - risk if top > risk else 0
            net.straight -= 1
            if not (net.straight or net.links):
                del nets[highest]
            pays = amounts[place]
            amounts[place] = pays - paid
            if pays == top:
                net.top = top = max(amounts)
            net.risk = risk = risk - cash
            change = (top - risk if top > risk else 0) - before
            begin, at = at, net.depth
            if change:
                for scope in scopes[begin:at]:
                    scope.straight += change
            if net.links:
                self._stir(scopes[begin:at], change - cash)

    def know(self, scopes: tuple[ScopeBook, ...], opened: int, owed: int) -> None:
        """A straight wager that has its result is open (`opened` is 1), or no longer (-1).

        Args:
            owed: the customer's profit, negative where it lost; with the opposite sign where the wager is taken away.
        """
        for net, stretch in self._way(scopes):
            change = max(0, net.known + owed) - max(0, net.known)
            net.known += owed
            net.straight += opened
            for scope in stretch:
                scope.straight += change
        if opened < 0:
            self._cut(scopes)

    def link(self, scopes: tuple[ScopeBook, ...], opened: int) -> None:
        """A parlay with an open leg here is open (`opened` is 1), or no longer (-1)."""
        for net, stretch in self._way(scopes):
            net.links += opened
            if not net.links or net.links == opened:
                for scope in stretch:
                    scope.linked.markets += opened
        if opened < 0:
            self._cut(scopes)

    def _stir(self, scopes: tuple[ScopeBook, ...], surplus: int) -> None:
        """Straight wagers have changed L where parlays link the market.

        Args:
            surplus: by how much L has risen more than the worst case of linked markets may at most.
        """
        for scope in scopes:
            linked = scope.linked
            if linked.components or linked.loose_relief:
                linked.moved(self.id, surplus)

    def _way(self, scopes: tuple[ScopeBook, ...]) -> Iterator[tuple[Net, tuple[ScopeBook, ...]]]:
        """The nets from the root to a path with their scopes; they are made where there are none."""
        nets, depth = self._nets, len(scopes)
        at = 0
        while at < depth:
            highest = scopes[at]
            net = nets.get(highest)
            if net is None:
                net = nets[highest] = Net(scopes[-1], depth, [0] * len(self.places))
            elif type(net) is Lone or net.depth > depth or scopes[net.depth - 1] is not net.lowest:
                net = self._part(net, highest, scopes)
            yield net, scopes[at : net.depth]
            at = net.depth

    def _part(self, net: Net | Lone, highest: ScopeBook, scopes: tuple[ScopeBook, ...]) -> Net:
        """Keep apart what two paths see differently; returns the net of what they share."""
        below = net.lowest.chain
        depth = _common(below, scopes)
        self._nets[highest] = upper = self._net(net, scopes[depth - 1], depth)
        if depth < len(below):
            self._nets[below[depth]] = net
        return upper

    def _net(self, net: Net | Lone, lowest: ScopeBook, depth: int) -> Net:
        """What some of the scopes that see a net see."""
        if type(net) is Lone:
            amounts = [0] * len(self.places)
            amounts[net.place] = net.cash + net.profit
            return Net(lowest, depth, amounts, amounts[net.place], net.cash, 1)
        return Net(lowest, depth, net.paid.copy(), net.top, net.risk, net.straight, net.known, net.links)

    def _cut(self, scopes: tuple[ScopeBook, ...]) -> None:
        """Forget the nets of a path in which nothing is open any more."""
        nets = self._nets
        at = 0
        while at < len(scopes):
            highest = scopes[at]
            net = nets[highest]
            if type(net) is Lone:
                raise AssertionError("a path is reached before it is cut")
            if not (net.straight or net.links):
                del nets[highest]
            at = net.depth


def _common(one: tuple[ScopeBook, ...], other: tuple[ScopeBook, ...]) -> int:
    """How many scopes two paths share, from the root on."""
    count = 0
    for scope, same in zip(one, other, strict=False):
        if scope is not same:
            break
        count += 1
    return count


NOTHING: Final = Net(ScopeBook("", (), {}), 0, [])  # of a market on which a scope has nothing at stake
