"""Facts in other currencies become facts in the book's, before any flow looks at them."""

from collections.abc import Callable

import msgspec

from fire22.flows.base import Fact, Refused, Table
from fire22.sportsbook.betting import codes, facts
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.registry.currencies import Currencies, Rate, Struck
from fire22.sportsbook.registry.movement import MOVES


class Conversion:
    """Kept by the registry.

    Attributes:
        money: the book's.
        table: the rates that wagers and payments keep, by `wager:` or `payment:` and the id.
        latest: the last fact that was converted, and at which rate.
    """

    def __init__(self, currency: str) -> None:
        self.table: Table[Struck] = Table("rate", Struck)
        self.latest: tuple[int, Struck] | None = None
        self.configure(currency, {})

    def configure(self, currency: str, rates: dict[str, tuple[Rate, ...]]) -> None:
        """Take the book's currency and the rates that hold from here on."""
        self.money = Money(currency)
        self._currencies = Currencies(self.money, rates)

    def adapters(self) -> dict[str, Callable[[Fact], Fact]]:
        """Of every fact that has amounts."""
        wagers = dict.fromkeys((*MOVES, "wager.requested", "wager.rejected"), self._of_wager)
        payments = {type: self._of_payment for type in facts.FACTS if type.startswith("payment.")}
        others = ("balance.adjusted", "customer.created", "customer.imported", "customer.limit_changed")
        return {**wagers, **payments, **dict.fromkeys(others, self._of_its_time)}

    def keep(self, fact: Fact, key: str) -> None:
        """What the fact at hand is about keeps the rate at which its amounts were converted, if they were.

        Args:
            key: see `table`.
        """
        if self.latest is not None and self.latest[0] == fact.seq:
            self.table.put(key, self.latest[1])

    def _of_wager(self, fact: Fact) -> Fact:
        if fact.data.currency is None:
            return fact
        return self._converted(fact, f"wager:{fact.data.wager_id}")

    def _of_payment(self, fact: Fact) -> Fact:
        if fact.data.currency is None:
            return fact
        return self._converted(fact, f"payment:{fact.data.payment_id}")

    def _of_its_time(self, fact: Fact) -> Fact:
        return fact if fact.data.currency is None else self._converted(fact, "")

    def _converted(self, fact: Fact, key: str) -> Fact:
        """A fact in the book's currency: at the rate that it was first told of with, else at that of its time."""
        currency = fact.data.currency
        if currency == self.money.currency:
            return fact
        struck = self.table.get(key) if key else None
        if struck is not None and struck.currency != currency:
            raise Refused(codes.FACT_CONFLICT, f"It was told of in {struck.currency} before.", currency=currency)
        struck = struck or self._currencies.struck(currency, fact.at_ms)
        data = self._currencies.converted(fact.data, struck)
        self.latest = fact.seq, struck
        return msgspec.structs.replace(fact, data=data)
