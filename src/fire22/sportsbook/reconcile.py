"""Compares what a book holds with what the figures go by: of each customer the open wagers and the balance, of each
market the open wagers on it.

The book's side is plain SQL over its mirror, which has the tables of the demo book whatever the book's own are, and
which has been compared with the book row by row. The other side is what the registry and the ledger know. A wager is
open where the book says that it was accepted and no settlement of it holds.

Amounts in another currency than the book's are converted when they are folded, at rates that no SQL over the book
knows: such wagers are left out on both sides, and so are the balances of customers who have any.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import apsw
from msgspec import Struct

from fire22.flows.base import Flow
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.betting.wager_types import known
from fire22.sportsbook.book.schema.statements import EXPRESSIONS
from fire22.sportsbook.registry.flow import Registry

_OPEN: Final = f"w.status = 'accepted' AND {EXPRESSIONS['holding'].replace('@', 'w')} IS NULL"
_OWN: Final = "coalesce(w.currency, :currency) = :currency"
_CUSTOMER: Final = "CAST(coalesce((SELECT c.code FROM customers c WHERE c.id = {0}), {0}) AS TEXT)"
_OF_CUSTOMERS: Final = f"""
SELECT {_CUSTOMER.format("w.customer_id")}, count(*), sum(w.risk_cents), sum(w.to_win_cents)
FROM wagers w WHERE {_OPEN} AND {_OWN} GROUP BY w.customer_id"""  # nosec B608  # constants, values are bound
_OF_MARKETS: Final = f"""
SELECT CAST(market AS TEXT), count(*), sum(risk) FROM (
  SELECT DISTINCT w.id, coalesce(l.market_id, s.market_id) AS market, w.risk_cents AS risk
  FROM wagers w JOIN wager_legs l ON l.wager_id = w.id LEFT JOIN selections s ON s.id = l.selection_id
  WHERE {_OPEN} AND {_OWN})
WHERE market IS NOT NULL GROUP BY market"""  # nosec B608  # constants, values are bound
_BALANCES: Final = "SELECT CAST(code AS TEXT), balance_cents FROM customers"
_FOREIGN_WAGERS: Final = f"SELECT CAST(w.id AS TEXT) FROM wagers w WHERE {_OPEN} AND NOT {_OWN}"  # nosec B608  # constants, values are bound
_FOREIGN_CUSTOMERS: Final = " UNION ".join(
    f"SELECT {_CUSTOMER.format(f'w.{id}')} FROM {table} w WHERE w.currency <> :currency"  # nosec B608  # constants, values are bound
    for table, id in (
        ("customers", "id"),
        ("wagers", "customer_id"),
        ("payments", "customer_id"),
        ("ledger_entries", "account_id"),
    )
)
_WITHOUT_LEGS: Final = f"""
SELECT CAST(w.id AS TEXT), w.wager_number, w.type FROM wagers w
WHERE ({_OPEN} OR w.status IN ('requested', 'review'))
  AND NOT EXISTS (SELECT 1 FROM wager_legs l WHERE l.wager_id = w.id)
ORDER BY w.wager_number"""  # nosec B608  # constants, values are bound
WHATS: Final = ("open wagers", "risk of the open wagers", "to-win of the open wagers")


class Difference(Struct, frozen=True):
    """What book and figures say otherwise of a customer or a market.

    Args:
        what: the number, in words.
        of: whose, in words.
        book: minor units, or a count.
        money: of an amount; None of a count.
    """

    what: str
    of: str
    book: int
    figures: int
    money: Money | None = None

    def __str__(self) -> str:
        book, figures = self._text(self.book), self._text(self.figures)
        return f"The {self.what} of {self.of}: {book} in the book, {figures} in the figures."

    def _text(self, number: int) -> str:
        if self.money is None:
            return f"{number:,}"
        return f"{self.money.major(number):,.{self.money.decimals}f}"


class Compared(Struct, frozen=True):
    """What a comparison found.

    Args:
        customers: that were compared.
        markets: with open wagers that were compared.
        wagers: open ones in the book's currency.
        foreign: open wagers in another currency, which were left out.
        differences: customers first, by their names.
    """

    customers: int
    markets: int
    wagers: int
    foreign: int
    differences: list[Difference]


def compare(mirror: apsw.Connection, flows: Sequence[Flow], *, balances: bool = True) -> Compared:
    """Compare a mirror with what was folded of it.

    Args:
        mirror: nobody writes to it meanwhile.
        flows: all of the book's, as they were folded.
        balances: whether the book has them.
    """
    (registry,) = (each for each in flows if isinstance(each, Registry))
    (ledger,) = (each for each in flows if isinstance(each, Ledger))
    currency = registry.money.currency

    def rows(sql: str) -> Iterator[tuple[Any, ...]]:
        return cast("Iterator[tuple[Any, ...]]", mirror.execute(sql, {"currency": currency}))

    foreign = {str(row[0]) for row in rows(_FOREIGN_WAGERS)}
    of_customers: dict[str, tuple[int, ...]] = {}
    of_markets: dict[str, tuple[int, ...]] = {}
    for wager in registry.wagers():
        if wager.wager_id in foreign:
            continue
        _add(of_customers, wager.customer_id, (1, wager.risk, wager.to_win))
        for market_id in {leg.market_id: None for leg in wager.legs}:
            _add(of_markets, market_id, (1, wager.risk))
    customers = {str(name): tuple(sums) for name, *sums in rows(_OF_CUSTOMERS)}
    markets = {str(name): tuple(sums) for name, *sums in rows(_OF_MARKETS)}
    differences = list(_differences("customer", customers, of_customers, registry.money))
    known_balances = dict(rows(_BALANCES)) if balances else {}
    if balances:
        held = dict(ledger.balances())
        left_out = {str(row[0]) for row in rows(_FOREIGN_CUSTOMERS)}
        for name in sorted({*known_balances, *held} - left_out):
            book, figures = known_balances.get(name) or 0, held.get(name, 0)
            if book != figures:
                differences.append(Difference("balance", f"customer {name}", book, figures, registry.money))
    differences += _differences("market", markets, of_markets, registry.money)
    return Compared(
        len({*customers, *of_customers, *known_balances}),
        len({*markets, *of_markets}),
        sum(sums[0] for sums in customers.values()),
        len(foreign),
        differences,
    )


def without_legs(mirror: apsw.Connection) -> list[tuple[str, str]]:
    """The open and waiting wagers that have no leg, as (number and id, type), though their type has some."""
    found = cast("Iterator[tuple[Any, ...]]", mirror.execute(_WITHOUT_LEGS))
    return [(f"{number} ({id})", str(type)) for id, number, type in found if known(str(type)) is not None]


def _add(sums: dict[str, tuple[int, ...]], name: str, numbers: tuple[int, ...]) -> None:
    before = sums.get(name)
    sums[name] = numbers if before is None else tuple(map(sum, zip(before, numbers, strict=True)))


def _differences(
    kind: str, book: dict[str, tuple[int, ...]], figures: dict[str, tuple[int, ...]], money: Money
) -> Iterator[Difference]:
    nothing = (0,) * len(WHATS)
    for name in sorted({*book, *figures}):
        pairs = zip(WHATS, book.get(name, nothing), figures.get(name, nothing), strict=False)
        for what, one, other in pairs:
            if one != other:
                yield Difference(what, f"{kind} {name}", one, other, None if what == WHATS[0] else money)
