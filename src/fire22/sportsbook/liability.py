"""What a book stands to lose on the open straight wagers of one market. Source: domain rules, section 3.

For a market m and an outcome o, PnL_m(o) is what the book wins if o happens; L_m = max(0, -min_o PnL_m(o)). With R the
cash risked on m and P_o what would be paid on o (cash risk and profit), PnL_m(o) = R - P_o; a push is 0 and an outcome
nobody backed is R, so L_m = max(0, max_o P_o - R). `netting.py` keeps the same for every scope at once.
"""


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
