"""What a book stands to lose on open wagers. Source: domain rules, section 3.

For a market m and an outcome o, PnL_m(o) is what the book wins if o happens; L_m = max(0, -min_o PnL_m(o)). With R the
cash risked on m and P_o what would be paid on o (cash risk and profit), PnL_m(o) = R - P_o; a push is 0 and an outcome
nobody backed is R, so L_m = max(0, max_o P_o - R).

A wager of several legs, or of none that is known, is taken with its whole profit: that makes the sum an upper bound.
Netting makes liability non-additive over scopes, so one of these is kept for each.
"""


class Market:
    """The open straight wagers on one market, seen from one scope."""

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
