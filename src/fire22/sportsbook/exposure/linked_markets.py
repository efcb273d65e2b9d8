"""Which markets the open parlays of one scope link, and what is known of the worst joint outcome of each component.

ΣL + Σ toWin is a bound. A component whose worst joint outcome has been found brings *relief*: what that is less than
its part of the bound. A component that has changed since is loose, and keeps relief in so far as it is certain. A wager
that is opened raises the worst case by its profit at most, one that is closed by its cash risk at most (where it was a
loser that made up for others); what the bound falls beyond that is taken from the relief. So a total only ever errs
upward.

Three kinds of relief add up: of solved components; and for all loose and unsolvable ones together either what is left
of earlier solutions or the sum of the bounds that vain searches gave, whichever is more.
"""

from fire22.sportsbook.exposure.parlay import Parlay


class Component:
    """Linked markets that have not changed since they were searched.

    Args:
        key: the first of its markets.
        relief: what the worst case is less than the bound, minor units.
        is_exact: whether that is the worst case itself.
        tried: how many states the search might take.
    """

    __slots__ = ("is_exact", "key", "markets", "relief", "tried")

    def __init__(self, key: str, markets: list[str], relief: int, tried: int, *, is_exact: bool) -> None:
        self.key = key
        self.markets = markets
        self.relief = relief
        self.tried = tried
        self.is_exact = is_exact


class Linked:
    """The linked markets of one scope.

    Args:
        markets: how many there are.
        components: those that have been searched and have not changed, by key.
        loose_relief: what is left of earlier solutions.
        stirred: markets that may be of a component that has changed; some may be linked no longer.
        dropped: keys of components that have changed since `dropped` was last emptied.
    """

    __slots__ = (
        "_of",
        "_solved",
        "_solved_markets",
        "_vain",
        "components",
        "dropped",
        "loose_relief",
        "markets",
        "stirred",
    )

    def __init__(self) -> None:
        self.markets = 0
        self.components: dict[str, Component] = {}
        self.loose_relief = 0
        self.stirred: dict[str, None] = {}
        self.dropped: list[str] = []
        self._of: dict[str, Component] = {}
        self._solved = 0
        self._solved_markets = 0
        self._vain = 0

    @property
    def relief(self) -> int:
        """What the worst case is less than the bound, as far as is known; minor units."""
        return self._solved + max(self.loose_relief, self._vain)

    @property
    def is_exact(self) -> bool:
        """Whether every component is solved."""
        return self._solved_markets == self.markets

    @property
    def largest(self) -> int:
        """The markets of the largest component that was searched."""
        return max((len(each.markets) for each in self.components.values()), default=0)

    def opened(self, parlay: Parlay) -> None:
        """A parlay links its markets from now on."""
        for market in parlay.markets:
            self._loosen(market)

    def closed(self, parlay: Parlay) -> None:
        """A parlay links its markets no longer."""
        for market in parlay.markets:
            self._loosen(market)
        self._spend(-parlay.profit - parlay.cash)

    def moved(self, market: str, surplus: int) -> None:
        """The straight wagers of a linked market have changed.

        Args:
            surplus: by how much the bound has risen more than the worst case at most; negative where less.
        """
        self._loosen(market)
        self._spend(surplus)

    def is_searched(self, market: str) -> bool:
        """Whether the component of a market has been searched and has not changed since."""
        return market in self._of

    def vain(self, states_max: int) -> list[str]:
        """The components, by key, of which a longer search might find more."""
        if len(self._of) == self._solved_markets:
            return []
        return sorted(each.key for each in self.components.values() if not each.is_exact and each.tried < states_max)

    def settle(self, component: Component) -> None:
        """Take what a search has found, perhaps more than one before; it holds until the component changes."""
        before = self.components.get(component.key)
        if before is not None:
            self._vain -= before.relief
        self._add(component)
        for market in component.markets:
            self.stirred.pop(market, None)
        if component.is_exact:
            self.loose_relief = max(0, self.loose_relief - component.relief)

    def restore(self, components: list[Component], loose_relief: int) -> None:
        """Take what was known before a restart."""
        for component in components:
            self._add(component)
        self.loose_relief = loose_relief
        self.dropped = []

    def _add(self, component: Component) -> None:
        self.components[component.key] = component
        for market in component.markets:
            self._of[market] = component
        if component.is_exact:
            self._solved += component.relief
            self._solved_markets += len(component.markets)
        else:
            self._vain += component.relief

    def _loosen(self, market: str) -> None:
        component = self._of.get(market)
        if component is None:
            return
        del self.components[component.key]
        self.dropped.append(component.key)
        self.loose_relief = max(self.loose_relief, self._vain)
        if component.is_exact:
            self._solved -= component.relief
            self._solved_markets -= len(component.markets)
            self.loose_relief += component.relief
        else:
            self._vain -= component.relief
        for each in component.markets:
            del self._of[each]
            self.stirred[each] = None

    def _spend(self, surplus: int) -> None:
        left = self.loose_relief + surplus
        self.loose_relief = left if left > 0 else 0
