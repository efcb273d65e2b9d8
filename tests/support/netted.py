"""What stands before the flow of key figures in tests: liabilities, with straight wagers netted and others whole."""

from typing import ClassVar

from fire22.core.scope import ancestors
from fire22.flows.base import Fact, Flow, Handler
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import MOVES
from fire22.sportsbook.registry.open_wager import OpenWager


class Market:
    """The open straight wagers on one market, seen from one place."""

    __slots__ = ("liability", "paid", "risk")

    def __init__(self) -> None:
        self.risk = 0
        self.paid: dict[str, int] = {}
        self.liability = 0

    def add(self, selection: str, cash_risk: int, to_win: int, sign: int) -> int:
        """Add a wager (sign 1) or take it away (-1); returns the change of the market's liability, minor units."""
        paid = self.paid
        self.risk += sign * cash_risk
        total = paid.get(selection, 0) + sign * (cash_risk + to_win)
        if total:
            paid[selection] = total
        else:
            paid.pop(selection, None)
        before = self.liability
        worst = max(paid.values()) - self.risk if paid else 0
        self.liability = worst if worst > 0 else 0
        return self.liability - before


class Exposure:
    """All open wagers seen from one scope."""

    __slots__ = ("bounded", "markets", "straight", "unnetted")

    def __init__(self) -> None:
        self.markets: dict[str, Market] = {}
        self.straight = 0
        self.unnetted = 0
        self.bounded = 0  # wagers that are not netted

    @property
    def total(self) -> int:
        """Total liability, minor units."""
        return self.straight + self.unnetted

    def add(self, market_id: str, selection: str, cash_risk: int, to_win: int, sign: int) -> None:
        """Add a wager (sign 1) or take it away (-1); `market_id` is empty where it cannot be netted."""
        if not market_id:
            self.unnetted += sign * to_win
            self.bounded += sign
            return
        market = self.markets.get(market_id)
        if market is None:
            market = self.markets[market_id] = Market()
        self.straight += market.add(selection, cash_risk, to_win, sign)
        if not market.paid and not market.risk:
            del self.markets[market_id]


class Netted(Flow):
    """Comes after the registry and before the flow under test."""

    name: ClassVar[str] = "netted"
    version: ClassVar[int] = 1

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._book = registry
        self._scopes: dict[str, Exposure] = {}
        self._gross: dict[str, int] = {}
        self._changed: dict[str, None] = {}

    def handlers(self) -> dict[str, Handler]:
        """Wagers."""
        return dict.fromkeys(MOVES, self._moved)

    def loaded(self) -> None:
        """All of it follows from the open wagers."""
        for wager in self._book.wagers():
            self._add(wager, 1)

    def total(self, scope: str) -> int:
        """The worst case."""
        return self._scopes[scope].total if scope in self._scopes else 0

    def is_bound(self, scope: str) -> bool:
        """Whether there are parlays."""
        return scope in self._scopes and self._scopes[scope].bounded > 0

    def gross(self, scope: str) -> int:
        """What would be paid out if all won."""
        return self._gross.get(scope, 0)

    def take_changed(self) -> list[str]:
        """Since the last call."""
        changed, self._changed = list(self._changed), {}
        return changed

    def is_found(self, scope: str) -> bool:
        """All is netted at once."""
        return False

    def _moved(self, fact: Fact) -> None:
        move = self._book.move
        if move.closed is not None:
            self._add(move.closed, -1)
        if move.opened is not None:
            self._add(move.opened, 1)

    def _add(self, wager: OpenWager, sign: int) -> None:
        market, selection = (wager.legs[0].market_id, wager.legs[0].selection_id) if len(wager.legs) == 1 else ("", "")
        for scope in ancestors(wager.path):
            self._scopes.setdefault(scope, Exposure()).add(market, selection, wager.cash, wager.to_win, sign)
            self._gross[scope] = self._gross.get(scope, 0) + sign * (wager.cash + wager.to_win)
            self._changed[scope] = None


class Unpaid:
    """A book whose agents earn nothing, until a test posts something."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, int, int]] = []
