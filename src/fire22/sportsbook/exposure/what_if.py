"""What if some outcomes happen: what that brings a scope, and the worst that may still come then.

The document of a market answers for its straight wagers alone. This answers for a scope with its parlays, and for
several markets at once: what is then certain is summed, and what is left is searched as if the markets had ended so.
It reads the books and changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.sportsbook.betting.money import Major
from fire22.sportsbook.exposure.components import component
from fire22.sportsbook.exposure.netting import ScopeBook
from fire22.sportsbook.exposure.parlay import VOID, Parlay
from fire22.sportsbook.exposure.search_schedule import straight
from fire22.sportsbook.exposure.worst_case import worst

OUTCOMES_MAX: Final = 20  # in one question
STATES_MAX: Final = 20_000  # of its search; some 30 ms

Ended = Mapping[str, str]  # the outcome by market; VOID is a market whose stakes go back


def what_if(book: ScopeBook, ended: Ended, major: Major) -> dict[str, Json]:
    """The answer for a scope.

    Args:
        ended: at most `OUTCOMES_MAX` markets.

    Returns:
        `pnl`: what is certain then, of these markets' wagers and of parlays that they decide. `worst`: the same with
        the worst that may come of all others, where `isBound` says whether it may be better.
    """
    markets: list[Json] = []
    pnl = 0
    for market, outcome in ended.items():
        brings = _brings(book, market, outcome)
        pnl += brings
        markets.append({"marketId": market, "outcome": outcome or "void", "pnl": major(brings)})
    conditioned = _Conditioned(book, ended)
    pnl += conditioned.pnl
    return {
        "scope": book.path,
        "markets": markets,
        "parlays": {"won": conditioned.won, "lost": conditioned.lost, "open": len(conditioned.open)},
        "pnl": major(pnl),
        "worst": major(pnl - conditioned.rest()),
        "isBound": conditioned.is_bound,
    }


def _brings(book: ScopeBook, market: str, outcome: str) -> int:
    """What the straight wagers of a market bring if it ends so."""
    of = book.markets.get(market)
    if of is None:
        return 0
    net = of.seen(book)
    if outcome == VOID:
        return -net.known
    place = of.places.get(outcome)
    return net.risk - net.known - (net.payout(place) if place is not None else 0)


class _Conditioned:
    """The parlays of a scope once some markets have ended.

    Args:
        pnl: what those bring that are decided by it.
        open: the others that it touches, as they are then, by id.
    """

    def __init__(self, book: ScopeBook, ended: Ended) -> None:
        self.pnl = self.won = self.lost = 0
        self.open: dict[str, Parlay] = {}
        self.is_bound = book.blind > 0
        self._book = book
        self._ended = ended
        self._bound = book.bound
        touched: dict[str, Parlay] = {}
        for market in ended:
            of = book.markets.get(market)
            if of is not None:
                self._bound -= of.seen(book).liability
                touched.update((each.id, each) for each in of.parlays_of(book))
        for parlay in touched.values():
            self._decide(parlay)

    def _decide(self, parlay: Parlay) -> None:
        self._bound -= parlay.profit
        left = parlay.after(self._ended)
        if left is None:
            self.lost += 1
            self.pnl += parlay.cash
        elif not left.legs:
            self.won += 1
            self.pnl -= left.profit
        else:
            self.open[parlay.id] = left
            self._bound += left.profit

    def rest(self) -> int:
        """What all other outcomes may cost at most."""
        linked = self._book.linked
        seen: dict[str, None] = {}
        states = STATES_MAX
        rest = self._bound
        searched = 0
        for market in self._ended:
            if market in seen or market not in self._book.markets or not _is_linked(self._book, market):
                continue
            part = component(self._book, market, {})
            if part is None:
                self.is_bound = True
                continue
            seen.update(dict.fromkeys(part[0]))
            searched += len(part[0])
            saved, took, is_exact = self._search(*part, states)
            rest, states = rest - saved, states - took
            self.is_bound = self.is_bound or not is_exact
        for known in linked.components.values():
            if known.key not in seen:
                rest -= known.relief
                searched += len(known.markets) if known.is_exact else 0
        self.is_bound = self.is_bound or searched < linked.markets
        return rest

    def _search(self, markets: list[str], parlays: list[Parlay], states_max: int) -> tuple[int, int, bool]:
        """What the worst outcome of a component is less than its part of the bound; states; whether it is exact."""
        left = [self.open.get(each.id, each) for each in parlays if self._lives(each)]
        linked = {market for each in left for market in each.markets}
        found = worst(
            {each: straight(self._book.markets[each], self._book) for each in sorted(linked)}, left, states_max
        )
        bound = sum(each.profit for each in left) + sum(self._book.net(each).at_risk for each in linked)
        return max(0, bound - found.loss), found.states, found.exact

    def _lives(self, parlay: Parlay) -> bool:
        return parlay.id in self.open or self._ended.keys().isdisjoint(parlay.markets)


def _is_linked(book: ScopeBook, market: str) -> bool:
    return next(book.markets[market].parlays_of(book), None) is not None


def asked(parameters: Mapping[str, Sequence[str]], market_of: Mapping[str, str]) -> dict[str, str]:
    """What a request asks: `outcome` names selections that win, `void` markets that are void.

    Args:
        parameters: of the request; each may be given several times.
        market_of: the market of every selection that is known.

    Raises:
        RequestError: `command_invalid`, `not_found`.
    """
    unknown = [name for name in parameters if name not in ("outcome", "void")]
    if unknown:
        message = f"There is no parameter {unknown[0][:64]}; known are: outcome, scope, void."
        raise RequestError(codes.COMMAND_INVALID, message)
    wanted: list[tuple[str, str]] = []
    for selection in parameters.get("outcome", ()):
        if selection not in market_of:
            raise RequestError(codes.NOT_FOUND, f"There is no open market with an outcome {selection[:64]}.")
        wanted.append((market_of[selection], selection))
    wanted += [(market, VOID) for market in parameters.get("void", ())]
    ended = dict(wanted)
    if not 0 < len(wanted) <= OUTCOMES_MAX or len(ended) < len(wanted):
        message = f"A question names the outcomes of 1 to {OUTCOMES_MAX} markets, each once: outcome= or void=."
        raise RequestError(codes.COMMAND_INVALID, message)
    return ended
