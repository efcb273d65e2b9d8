"""Amounts in other currencies than the book's, in the book's: at rates that are configured, each from a time on.

A wager and a payment keep the rate that they were first told of with, whatever the rates become: what goes back is then
worth what was staked. Each amount is converted exactly and rounded once, half up. The event in the log keeps its own
amounts and currency.
"""

from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.times import to_ms, to_text
from fire22.flows.base import Refused
from fire22.sportsbook.betting import codes as betting_codes
from fire22.sportsbook.betting.bounds import MINOR_MAX
from fire22.sportsbook.betting.money import Money, half_up
from fire22.sportsbook.betting.settings import CurrencyCode

AMOUNT: Final = "_minor"  # what the name of a field ends with that is an amount
NESTED: Final = ("before", "after")  # fields that hold amounts of their own


class Rate(Struct, frozen=True):
    """What a currency is worth from a time on.

    Args:
        rate: the book's major units for one of the currency's, as decimal text: it is used exactly.
        since: from when on, with an offset or `Z`; a fact of before the first rate is set aside.
    """

    rate: Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,12}(\.[0-9]{1,12})?\Z")]
    since: Annotated[datetime, Meta(tz=True)]


Rates = dict[CurrencyCode, tuple[Rate, ...]]


class Struck(Struct, frozen=True, array_like=True):
    """The rate that a wager or payment was first told of with."""

    currency: str
    rate: str


class Currencies:
    """The rates there are.

    Args:
        money: the book's.
        rates: by the currency's code.
    """

    def __init__(self, money: Money, rates: Rates) -> None:
        self._money = money
        self._rates = {
            currency: sorted(((to_ms(each.since), each.rate) for each in those), reverse=True)
            for currency, those in rates.items()
        }

    def struck(self, currency: str, at_ms: int) -> Struck:
        """The rate at a time.

        Raises:
            Refused: `currency_mismatch`, there is none.
        """
        for since_ms, rate in self._rates.get(currency, ()):
            if since_ms <= at_ms:
                return Struck(currency, rate)
        book = self._money.currency
        reason = f"The amount is in {currency}; the book's currency is {book}, and there is no rate"
        when = f" at {to_text(at_ms)}" if currency in self._rates else " for it"
        raise Refused(betting_codes.CURRENCY_MISMATCH, f"{reason}{when}.", currency=currency, book=book)

    def converted(self, data: Any, struck: Struck) -> Any:
        """A fact in the book's currency, which it no longer says."""
        factor = Fraction(struck.rate) * self._money.unit / Money(struck.currency).unit
        return msgspec.structs.replace(_times(data, factor), currency=None)


def _times(data: Any, factor: Fraction) -> Any:
    """A struct with every amount times a factor."""
    changed: dict[str, Any] = {}
    for name in data.__struct_fields__:
        value = getattr(data, name)
        if name.endswith(AMOUNT) and value is not None:
            changed[name] = amount = half_up(value * factor)
            if abs(amount) > MINOR_MAX:
                raise Refused(codes.EVENT_INVALID, f"An amount of {value} is more than a book holds at this rate.")
        elif name in NESTED and isinstance(value, Struct):
            changed[name] = _times(value, factor)
    return msgspec.structs.replace(data, **changed)
