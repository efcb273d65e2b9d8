"""What the simulation knows of the book: read from it once, then kept up to date as changes are decided.

Amounts are minor units, prices American odds, times milliseconds since 1970 UTC.
"""

from fractions import Fraction
from typing import Final, Literal

from msgspec import Struct, field

from fire22.sportsbook.betting.odds import decimal_odds
from fire22.sportsbook.betting.settlement import LegResult
from fire22.sportsbook.betting.terms import NO_TERMS, Terms
from fire22.sportsbook.demo.prices import implied, truth

IN_PLAY: Final = "in_play"


class KnownCustomer(Struct):
    """Who may bet.

    Args:
        open_minor: the cash risk of the open wagers.
        deposited_minor: what was paid in since the start of the UTC day `deposit_day`.
        unplayed_minor: what must still be wagered before money is taken out.
        lost: how many wagers were lost in a row.
        paying: whether a payment is under way.
        held: whether somebody else has set the status or the limits.
    """

    id: str
    code: str
    agent_id: str
    agent_path: str
    segment: str
    status: str
    bet_factor: float
    credit_limit_minor: int
    max_wager_minor: int
    balance_minor: int = 0
    open_minor: int = 0
    deposit_day: int = 0
    deposited_minor: int = 0
    unplayed_minor: int = 0
    lost: int = 0
    paying: bool = False
    held: bool = False


class KnownSelection(Struct):
    """One outcome, its name and its posted price."""

    id: str
    name: str
    price: int


class KnownMarket(Struct):
    """A market without a result.

    Args:
        limit_minor: what the book is willing to lose on it; 0 is no limit.
        likely: the probability of each selection as the bookmaker sees it; the posted prices follow.
        true: what it really is; only sharp players and fate know.
        posted_ms: when prices were last posted; `mistaken`: by mistake, and nobody of the book has noticed.
        paid: by selection, what straight wagers would be paid in profit; `staked`: their stakes.
        wagers: the open wagers with a leg in it, in order of acceptance.
        held: whether somebody else has suspended or closed it; `over`: has given it a result.
    """

    id: str
    event_id: str
    type: str
    line: float | None
    closes_ms: int
    open: bool
    limit_minor: int
    selections: list[KnownSelection]
    likely: list[float] = []
    true: list[float] = []
    posted_ms: int = 0
    mistaken: bool = False
    paid: list[int] = []
    staked: list[int] = []
    wagers: dict[str, "KnownWager"] = {}
    held: bool = False
    over: bool = False

    def __post_init__(self) -> None:
        """Derive what the book does not hold; the selections must be there."""
        self.likely = implied([float(decimal_odds(each.price)) for each in self.selections])
        self.true = truth(self.id, self.type, len(self.selections))
        self.paid = [0] * len(self.selections)
        self.staked = [0] * len(self.selections)

    @property
    def in_play(self) -> bool:
        """Whether it is a quick market of a game that runs."""
        return self.type == IN_PLAY

    def take(self, wager: "KnownWager", leg: "KnownLeg") -> None:
        """Count a wager that has a leg here; what the book may lose is counted of straight ones."""
        self.wagers[wager.id] = wager
        if len(wager.legs) == 1:
            index = next(index for index, one in enumerate(self.selections) if one.id == leg.selection_id)
            self.staked[index] += wager.cash_minor
            self.paid[index] += wager.to_win_minor

    def worst_minor(self, index: int, profit_minor: int) -> int:
        """What the book would lose if the selection won, after a further straight wager on it."""
        return self.paid[index] + profit_minor - (sum(self.staked) - self.staked[index])


class KnownLeg(Struct):
    """A leg of an open wager; `result` once its market has one, `odds` where they are not those of the price."""

    market_id: str
    selection_id: str
    price: int
    result: LegResult | None = None
    odds: Fraction | None = None


class KnownWager(Struct):
    """An open wager.

    Args:
        theirs: whether somebody else has placed or changed it: nothing more is done to it than to settle it.
    """

    id: str
    customer: KnownCustomer
    risk_minor: int
    to_win_minor: int
    free_play: bool
    legs: list[KnownLeg]
    open: bool = True
    type: str = ""
    terms: Terms = NO_TERMS
    theirs: bool = False

    @property
    def cash_minor(self) -> int:
        """What of the risk is the customer's own."""
        return 0 if self.free_play else self.risk_minor


class KnownPayment(Struct):
    """A payment on its way."""

    id: str
    customer: KnownCustomer
    direction: Literal["deposit", "withdrawal"]
    amount_minor: int
    status: str
    theirs: bool = False


class World(Struct):
    """Everything that is known; `customers` in a fixed order.

    Args:
        wagers: the open ones; `asked`: the ids of those that wait to be accepted.
        doubted: settled wagers that are to be settled again.
    """

    customers: list[KnownCustomer]
    markets: dict[str, KnownMarket] = field(default_factory=dict)
    wagers: dict[str, KnownWager] = field(default_factory=dict)
    payments: list[KnownPayment] = field(default_factory=list)
    asked: dict[str, None] = field(default_factory=dict)
    doubted: dict[str, KnownWager] = field(default_factory=dict)

    def enter(self, wager: KnownWager) -> None:
        """A wager was accepted."""
        self.wagers[wager.id] = wager
        wager.customer.open_minor += wager.cash_minor
        wager.customer.unplayed_minor -= wager.cash_minor
        for leg in wager.legs:
            market = self.markets.get(leg.market_id)
            if market is not None:
                market.take(wager, leg)

    def leave(self, wager: KnownWager, profit_minor: int | None = None) -> None:
        """A wager is over: settled with this profit of the customer's, or called off."""
        wager.open = False
        del self.wagers[wager.id]
        customer = wager.customer
        customer.open_minor -= wager.cash_minor
        if profit_minor is not None:
            customer.balance_minor += profit_minor
            customer.lost = customer.lost + 1 if profit_minor < 0 else 0
