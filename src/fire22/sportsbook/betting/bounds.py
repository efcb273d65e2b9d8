"""What the fields of facts and commands may hold.

Everything has a bound far above what a book holds, so that sums, rows and paths made of it always fit: one absurd value
is rejected and costs nobody else.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta

MINOR_MAX: Final = 10**13
SUM_MINOR_MAX: Final = 10**16
NUMBER_MAX: Final = 10**15
ODDS_MAX: Final = 1e6
LEGS_MAX: Final = 50  # so that their combined odds are still a number

# The house, or up to eight agents; `|` separates it from a customer in the rows of the flows.
PATH: Final = r"^(/|(/[^/|\x00-\x1f]{1,64}){1,8})\Z"

Id = Annotated[str, Meta(min_length=1)]
Path = Annotated[str, Meta(extra_json_schema={"pattern": PATH})]  # matched by `decoding.py`, not by the decoder
Minor = Annotated[int, Meta(ge=0, le=MINOR_MAX)]
SignedMinor = Annotated[int, Meta(ge=-MINOR_MAX, le=MINOR_MAX)]
SumMinor = Annotated[int, Meta(ge=-SUM_MINOR_MAX, le=SUM_MINOR_MAX)]
Odds = Annotated[float, Meta(gt=1, le=ODDS_MAX)]  # a price of 1.0 pays nothing: it is a mistake
Share = Annotated[float, Meta(ge=0, le=1)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]
Ordinal = Annotated[int, Meta(ge=1, le=NUMBER_MAX)]
Number = Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)]
Time = Annotated[datetime, Meta(tz=True)]
Direction = Literal["deposit", "withdrawal"]
