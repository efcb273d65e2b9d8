"""Money: integer minor units inside, a JSON number in major units outside, one rounding between.

How many decimals an amount has depends on its currency (ISO 4217): a dinar has 1,000 fils, a yen has nothing smaller.
A book has one currency. The registry holds its `Money`; whoever says an amount asks it.
"""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from typing import Final, Protocol

from msgspec import Struct

from fire22.sportsbook.betting.errors import AmountError

DECIMALS: Final = 2  # of every currency that is not named here
_OTHER_DECIMALS: Final[dict[str, int]] = {
    code: decimals
    for decimals, codes in {
        0: ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
            "XOF", "XPF"),
        3: ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"),
        4: ("CLF", "UYW"),
    }.items()
    for code in codes
}  # fmt: skip


class Major(Protocol):
    """Makes major units of minor units."""

    def __call__(self, minor: int, /) -> float: ...


class Money(Struct, frozen=True, dict=True):
    """Amounts of one currency.

    Args:
        currency: its code of ISO 4217.
    """

    currency: str = "USD"

    @cached_property
    def decimals(self) -> int:
        """How many decimals an amount has in major units."""
        return _OTHER_DECIMALS.get(self.currency, DECIMALS)

    @cached_property
    def unit(self) -> int:
        """How many minor units make a major one."""
        return int(10**self.decimals)

    def major(self, minor: int) -> float:
        """Major units.

        The nearest double to n/unit prints with at most as many decimals as the currency has, so nothing is lost on
        the wire.
        """
        return minor / self.unit

    def text(self, minor: int) -> str:
        """An amount as a person reads it: 1,234.50."""
        return f"{minor / self.unit:,.{self.decimals}f}".replace("-", "\N{MINUS SIGN}")

    def minor(self, major: str | int | Decimal) -> int:
        """Minor units of an amount in major units.

        Raises:
            AmountError: it is no number, or has more decimals than the currency.
        """
        try:
            amount = Decimal(major)
        except (InvalidOperation, ValueError):
            raise AmountError(f"{major!r} is no amount") from None
        if not amount.is_finite():
            raise AmountError(f"{major!r} is no amount")
        exact = Fraction(amount) * self.unit
        if exact.denominator != 1:
            raise AmountError(f"{major} has more decimals than {self.currency}, which has {self.decimals}")
        return exact.numerator


def half_up(amount: Fraction) -> int:
    """Round to an integer, halves away from zero: what is owed and what is due are rounded alike."""
    size = (2 * abs(amount.numerator) + amount.denominator) // (2 * amount.denominator)
    return size if amount.numerator >= 0 else -size
