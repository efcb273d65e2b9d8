"""What all figures of a book go by: its currency and its calendar. Each flow is told what it needs of it."""

from datetime import time
from typing import Annotated

from msgspec import Meta, Struct

from fire22.sportsbook.betting.periods import Periods, Weekday

CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


class BookSettings(Struct, frozen=True):
    """`[book]`, as far as figures go by it.

    Args:
        time_zone: IANA name, of the business day.
        day_starts_at: local time, HH:MM:SS.
        currency: of all amounts, ISO 4217; an amount that says it is in another one is set aside.
        week_starts_on: the weekday on which the week of figures and commissions starts.
        online_minutes: how long a customer who has logged in, or placed a wager, and does nothing else is online.
    """

    time_zone: str = "UTC"
    day_starts_at: Annotated[time, Meta(tz=False)] = time(0)
    currency: CurrencyCode = "USD"
    week_starts_on: Weekday = "tuesday"
    online_minutes: Annotated[float, Meta(gt=0, le=10_080)] = 15.0

    @property
    def periods(self) -> Periods:
        """The days, weeks and months of the book's calendar."""
        return Periods(self.time_zone, self.day_starts_at, self.week_starts_on)
