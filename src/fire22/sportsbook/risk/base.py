"""What a risk rule is: a small pure object that looks at facts and returns findings. Source: domain rules, section 4.

A rule is one file in `rules/`: a subclass of `Rule` with its settings, and nothing else to touch; `rules/__init__.py`
finds it. It overrides the hooks of the facts it looks at, and costs nothing for others. What it must remember it keeps
in tables of its own, or takes from what all rules share (`context.py`). It opens no alerts: that one cause has one
alert, and for how long, is the business of `alerts.py`.
"""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, Struct

from fire22.core.message import Json
from fire22.core.scope import ROOT
from fire22.flows.base import Table
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.movement import Movement
from fire22.sportsbook.registry.open_wager import OpenWager
from fire22.sportsbook.registry.records import CustomerRecord, MarketRecord
from fire22.sportsbook.risk.context import RuleContext
from fire22.sportsbook.risk.customer_history import CustomerHistory
from fire22.sportsbook.risk.prices import ClosedMarket

Severity = Literal["info", "warn", "critical"]
EntityType = Literal["customer", "market", "selection", "agent", "ip"]
Seconds = Annotated[int, Meta(ge=0, le=366 * 86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000)]
Minor = Annotated[int, Meta(ge=0, le=10**13)]
Ratio = Annotated[float, Meta(ge=0, le=1_000)]

WAGER_IDS_MAX: Final = 20  # of an alert; the newest
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
MINUS: Final = "\N{MINUS SIGN}"
NEVER: Final = -1
EVER: Final = 1 << 62


class RuleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set of every rule: `[risk.<rule>]`.

    Args:
        enabled: whether it looks at anything.
        severity: `info`, `warn` or `critical`; rules with two thresholds say `critical` at the second.
        cooldown_s: after an alert was closed, the same cause opens no other for so long.
        scope: only what lies below this path.
    """

    enabled: bool = True
    severity: Severity = "warn"
    cooldown_s: Seconds = HOUR_S
    scope: str = ROOT


class Entity(Struct, frozen=True, gc=False, array_like=True):
    """What an alert is about."""

    type: EntityType
    id: str
    name: str = ""


class Finding(Struct, frozen=True, gc=False, kw_only=True):
    """What a rule has seen.

    Args:
        cause: findings of one rule with the same cause are one alert.
        path: the deepest path that covers all evidence; who sees it sees the alert.
        at_ms: when the last of the facts happened.
        title: one sentence for a person.
        evidence: the numbers; money in major units, no null.
        wager_ids: oldest first.
    """

    cause: str
    entity: Entity
    severity: Severity
    path: str
    at_ms: int
    title: str
    evidence: dict[str, Json]
    wager_ids: tuple[str, ...] = ()
    customer_id: str = ""
    market_id: str = ""


class Scene:
    """A fact of a wager with what is known around it; one object, filled anew for each fact.

    Attributes:
        bet: the wager as it is open now, or as it was open until now.
        customer: who placed it; its row is the registry's.
        market: of a straight wager; None where it is over or unknown, and of a parlay.
        player: what is remembered of the customer, this one included.
        place: of this one among the player's last bets; negative where it is older than all that are kept.
    """

    __slots__ = ("bet", "customer", "market", "move", "place", "player")

    def __init__(self) -> None:
        self.move: Movement
        self.bet: OpenWager
        self.customer: CustomerRecord
        self.market: MarketRecord | None
        self.player: CustomerHistory
        self.place: int


class Rule:
    """One rule. A hook returns what was found, or None; those that end a group or a second may find several.

    Class attributes:
        name: of the rule, of its section in the configuration, and in its alerts.
        settings_type: a RuleSettings with its own thresholds.
        looks_at: which wagers, when they are placed: straight ones have one leg that is known.

    Attributes:
        least_minor: wagers with less at risk need not be shown to it when they are placed; set by `adjust`.
        needs_address: wagers without a network address need not be shown to it when they are placed; likewise.

    Args:
        context: what all rules share.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[RuleSettings]]
    looks_at: ClassVar[Literal["all", "straight", "parlays"]] = "all"
    least_minor: int = 0
    needs_address: bool = False

    def __init__(self, context: RuleContext) -> None:
        self.context = context
        self.book = context.book
        self.settings: RuleSettings = self.settings_type()
        self.adjust()

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The rule's own state; names begin with the rule's."""
        return ()

    def configure(self, settings: RuleSettings) -> None:
        """Take the settings that hold from here on."""
        self.settings = settings
        self.adjust()

    def adjust(self) -> None:
        """Take the thresholds from the settings."""

    def loaded(self) -> None:
        """Derive what is derived: the tables have just been filled."""

    def major(self, minor: int) -> float:
        """An amount, as evidence."""
        return self.book.money.major(minor)

    def said(self, minor: int) -> str:
        """An amount, in a sentence."""
        return self.book.money.text(minor)

    # Hooks. A rule that does not override one is not called.

    def placed(self, scene: Scene) -> Finding | None:
        """A wager was accepted."""

    def passes(self, market: MarketRecord) -> tuple[int, float]:
        """Which legs on a market are nothing to it; wagers of such legs alone need not be shown to it when placed.

        What it says may change when anything is told of the market; where it changes for another reason, the rule
        clears `context.offers`.

        Returns:
            Up to when the wager is accepted (or `NEVER`, or `EVER`), and at most at how many times the price now.
        """
        return NEVER, 0.0

    def modified(self, scene: Scene) -> Finding | None:
        """An open wager has other amounts; `scene.move.closed` is as it was."""

    def settled(self, scene: Scene) -> Finding | None:
        """A wager that was open was settled; of the scene only `move`, `bet` and `player` are of it."""

    def cancelled(self, scene: Scene) -> Finding | None:
        """A wager that was open was called off."""

    def resumed(self, wager: OpenWager) -> None:
        """A wager is open that was not placed just now: it was there before, or was opened again."""

    def moved(self, move: Movement) -> None:
        """Anything happened to a wager, imports included."""

    def earned(self, move: Movement) -> None:
        """What has happened to a wager moves revenue or what was settled."""

    def paid(self, kind: str, payment: facts.Payment, at_ms: int) -> Finding | None:
        """A payment was `requested`, `approved`, `completed`, `rejected`, `failed` or `charged_back`."""

    def signed_in(self, session: facts.Session, at_ms: int) -> Finding | None:
        """A customer has come."""

    def limited(self, customer_id: str, at_ms: int) -> Finding | None:
        """A customer's limits have changed."""

    def priced(self, change: facts.MarketPriceChanged, at_ms: int) -> Finding | None:
        """A price of a market that is not over has changed; the registry has the new one."""

    def offered(self, market_id: str, at_ms: int) -> None:
        """A market was told of, with its prices."""

    def ended(self, ended: ClosedMarket) -> None:
        """A market takes no more wagers."""

    def renamed(self, before: str, customer_id: str) -> None:
        """A customer has another code: what is remembered of it is remembered under that."""

    def clock(self, now_ms: int) -> Iterable[Finding]:
        """The watermark has moved."""
        return ()

    def flush(self, at_ms: int) -> Iterable[Finding]:
        """The group ends."""
        return ()


def of_customer(scene: Scene) -> Entity:
    """The customer who placed a wager."""
    return Entity("customer", scene.bet.customer_id, scene.customer.name)


def called(scene: Scene) -> str:
    """The customer, in a sentence."""
    return who(scene.bet.customer_id, scene.customer)


def who(customer_id: str, customer: CustomerRecord | None) -> str:
    """A customer, in a sentence."""
    return f"{customer.name} ({customer_id})" if customer is not None and customer.name else customer_id


def title_of(market: MarketRecord | None, market_id: str) -> str:
    """A market, as people call it."""
    if market is None:
        return market_id
    line = f" {market.line:g}" if market.line is not None else ""
    return f"{market.event_name or market.event_id}, {market.type.replace('_', ' ')}{line}"


def side_of(market: MarketRecord | None, market_id: str, selection_id: str) -> str:
    """A selection, as people call it."""
    selection = market.selections.get(selection_id) if market is not None else None
    return f"{title_of(market, market_id)}: {selection.name if selection is not None else selection_id}"


# How a title says what its evidence holds. The page shows evidence in the same way, so both agree to the last digit.


def percent(share: float) -> str:
    """A share with one decimal, as it is in the evidence rounded to three."""
    return f"{share + 0.0:.1%}".replace("-", MINUS)


def priced(odds: float) -> str:
    """Decimal odds: two decimals, or three where the price has no more."""
    exact = abs(odds * 1_000 - round(odds * 1_000)) < 1e-6 and round(odds * 1_000) % 10
    return f"{odds:.3f}" if exact else f"{odds:.2f}"


def lasted(ms: int) -> str:
    """How long something took: 8.4 s, 7 min 11 s, 24 h."""
    whole = ms // 1_000
    if whole < 60:
        return f"{ms // 100 / 10:g} s"
    units = ((60, "min"), (1, "s")) if whole < HOUR_S else ((HOUR_S, "h"), (60, "min"))
    parts = []
    for unit, name in units:
        count, whole = divmod(whole, unit)
        if count:
            parts.append(f"{count:,} {name}")
    return " ".join(parts)


def listed(values: Iterable[str | float]) -> list[Json]:
    """At most twenty values of evidence, the last ones."""
    last: list[Json] = [*values]
    return last[-WAGER_IDS_MAX:]
