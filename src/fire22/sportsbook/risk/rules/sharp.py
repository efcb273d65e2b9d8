"""A customer who beats the closing line: the prices struck are longer than those just before the market closed.

Over few wagers that is luck, and over many customers somebody is always lucky. So the mean of at least fifty must also
lie three standard errors above nothing. Closing-line value tells a sharp player sooner than results do.
"""

from math import sqrt
from typing import Annotated, ClassVar, Final

from msgspec import Meta, Struct

from fire22.flows.base import Table
from fire22.sportsbook.risk.base import DAY_S, Entity, Finding, Ratio, Rule, RuleSettings, Scene, Seconds, percent, who

MILLION: Final = 1_000_000
COUNT_MAX: Final = 400  # then the past counts half
VALUE_MAX: Final = 10 * MILLION  # one absurd price must not outweigh a life


class SharpSettings(RuleSettings, frozen=True):
    """Settings.

    Args:
        value: the mean share by which struck prices are longer than closing ones.
        bets: over so many wagers before the game, at least.
        errors: of the mean, above nothing.
        known_segments: of customers whom the book knows to be sharp.
    """

    value: Annotated[float, Meta(ge=0, le=10)] = 0.02
    bets: Annotated[int, Meta(ge=2, le=COUNT_MAX)] = 50
    errors: Ratio = 3.0
    known_segments: tuple[str, ...] = ("sharp",)
    cooldown_s: Seconds = 7 * DAY_S


class Values(Struct, gc=False, array_like=True):
    """A customer's closing-line values, in millionths."""

    count: int = 0
    sum: int = 0
    squares: int = 0
    ids: list[str] = []


class Sharp(Rule):
    """One alert for each customer. A parlay counts by its combined price, where each leg has a closing one."""

    name: ClassVar[str] = "sharp"
    settings_type: ClassVar[type[RuleSettings]] = SharpSettings
    settings: SharpSettings

    def adjust(self) -> None:
        """Make the table, once."""
        if not hasattr(self, "_values"):
            self._values: Table[Values] = Table("sharp", Values)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Values by customer."""
        return (self._values,)  # type: ignore[return-value]

    def renamed(self, before: str, customer_id: str) -> None:
        """The values are of the same customer."""
        known = self._values.pop(before)
        if known is not None:
            self._values.put(customer_id, known)

    def settled(self, scene: Scene) -> Finding | None:
        """Count a settled wager."""
        value = self._value(scene)
        if value is None:
            return None
        known = self._values.get(scene.bet.customer_id) or Values()
        if known.count >= COUNT_MAX:
            known.count, known.sum, known.squares = known.count // 2, known.sum // 2, known.squares // 2
        known.count += 1
        known.sum += value
        known.squares += value * value
        known.ids = [*known.ids[-9:], scene.bet.wager_id]
        self._values.put(scene.bet.customer_id, known)
        return self._judge(scene, known)

    def _value(self, scene: Scene) -> int | None:
        """Struck over closing price, less 1, in millionths; None in play, or where the closing price is not known."""
        ratio = 1.0
        for leg in scene.bet.legs:
            closing = self.context.prices.closings.get(leg.market_id)
            if closing is None or closing.live or scene.bet.at_ms > closing.closed_ms:
                return None
            odds = closing.odds.get(leg.selection_id)
            if odds is None:
                return None
            ratio *= leg.odds / odds
        return min(VALUE_MAX, round((ratio - 1) * MILLION)) if scene.bet.legs else None

    def _judge(self, scene: Scene, known: Values) -> Finding | None:
        settings, count = self.settings, known.count
        if count < settings.bets or known.sum < settings.value * MILLION * count:
            return None
        mean = known.sum / count
        value = round(mean / MILLION, 3)
        error = sqrt(max(0.0, known.squares / count - mean * mean) / count)
        customer = self.context.customer(scene.player, scene.bet)
        name = who(scene.bet.customer_id, customer)
        if mean < settings.errors * error or customer.segment in settings.known_segments:
            return None
        return Finding(
            cause=scene.bet.customer_id,
            entity=Entity("customer", scene.bet.customer_id, customer.name),
            severity=settings.severity,
            path=scene.bet.path,
            at_ms=scene.move.at_ms,
            title=f"{name} beats the closing line by {percent(value)} over {count} wagers.",
            evidence={
                "closingLineValue": value,
                "standardError": round(error / MILLION, 6),
                "bets": count,
                "segment": customer.segment,
            },
            wager_ids=tuple(known.ids),
            customer_id=scene.bet.customer_id,
        )
