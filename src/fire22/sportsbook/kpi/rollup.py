"""What a commit group does to scopes: added up for each agent's path, then brought up the tree, each sum once."""

from fire22.core.scope import DEPTH_MAX, ROOT
from fire22.sportsbook.kpi.active_customers import Player
from fire22.sportsbook.kpi.scope_figures import ScopeFigures


class Moved:
    """What the running group does to one scope, of facts that count in the running day; amounts are minor units.

    Args:
        above: the same of the scope above it; None for the root.

    Attributes:
        stirred: whether it does anything.
        pending, risk, to_win: by which the open wagers move, whenever they were accepted.
        timely: whether wagers of the running day are opened or closed.
        players: of an agent's own customers, those who are active or online.
    """

    __slots__ = (
        "above", "depth", "figures", "handle", "pending", "players", "revenue", "risk", "settled", "stirred", "timely",
        "to_win", "wagers",
    )  # fmt: skip

    def __init__(self, scope: str, above: "Moved | None") -> None:
        self.figures = ScopeFigures(scope)
        self.above = above
        self.depth: int = above.depth + 1 if above is not None else 0
        self.players: dict[str, Player] = {}
        self.stirred = self.timely = False
        self.pending = self.risk = self.to_win = 0
        self.revenue = self.handle = self.settled = self.wagers = 0

    def rise(self) -> None:
        """Bring it to the scope's figures and to the scope above it, which is stirred; then begin anew."""
        figures, above = self.figures, self.above
        ever = figures.row.ever
        ever.revenue += self.revenue
        ever.handle += self.handle
        ever.settled += self.settled
        ever.wagers += self.wagers
        figures.pending += self.pending
        figures.risk += self.risk
        figures.to_win += self.to_win
        if self.timely:
            figures.timely = True
        if above is not None:
            above.revenue += self.revenue
            above.handle += self.handle
            above.settled += self.settled
            above.wagers += self.wagers
            above.pending += self.pending
            above.risk += self.risk
            above.to_win += self.to_win
            if self.timely:
                above.timely = True
        self.stirred = self.timely = False
        self.pending = self.risk = self.to_win = self.revenue = self.handle = self.settled = self.wagers = 0


class GroupSums:
    """Every scope there is."""

    def __init__(self) -> None:
        self.scopes: dict[str, Moved] = {}
        self._stirred: tuple[list[Moved], ...] = tuple([] for _ in range(DEPTH_MAX))

    def scope(self, path: str) -> Moved:
        """A scope, which is there from now on, with those above it."""
        moved = self.scopes.get(path)
        if moved is None:
            above = None if path == ROOT else self.scope(path.rpartition("/")[0] or ROOT)
            moved = self.scopes[path] = Moved(path, above)
        return moved

    def stir(self, moved: Moved) -> None:
        """The group does something to a scope."""
        moved.stirred = True
        self._stirred[moved.depth].append(moved)

    def rise(self, touched: dict[str, ScopeFigures]) -> None:
        """Bring what was done so far to the figures of the scopes and of those above; they join `touched`."""
        for level in reversed(self._stirred):
            for moved in level:
                touched[moved.figures.scope] = moved.figures
                above = moved.above
                if above is not None and not above.stirred:
                    self.stir(above)
                moved.rise()
            level.clear()
