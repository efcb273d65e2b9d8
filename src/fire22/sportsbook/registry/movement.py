"""What a fact of a wager does to the book, in the words of accounting: all figures go by it."""

from typing import Final, Literal

from msgspec import Struct

from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.open_wager import OpenWager

MOVES: Final = (
    "wager.placed",
    "wager.imported",
    "wager.modified",
    "wager.settled",
    "wager.resettled",
    "wager.cancelled",
    "wager.reopened",
)
Kind = Literal["placed", "imported", "modified", "settled", "resettled", "cancelled", "reopened"]


class Movement(Struct, gc=False):
    """What a fact of a wager does to the book; minor units.

    Args:
        at_ms: when it counts.
        opened: the wager as it is open from now on; None where it is not.
        closed: the wager as it was open until now; None where it was not. A change of an open wager has both.
        revenue: by which gross revenue moves; the customer's balance moves by the same, negative.
        handle: by which the accepted cash risk moves.
        settled_handle: by which the cash risk of settled wagers moves.
        returned: what the latest settlement returned; 0 without one.
        result: of a settlement, as the book calls it.
        gone_ms: of a wager that was deleted: when it had been accepted; 0 if it was not counted.
    """

    kind: Kind
    fact: facts.WagerFact
    at_ms: int
    opened: OpenWager | None = None
    closed: OpenWager | None = None
    revenue: int = 0
    handle: int = 0
    settled_handle: int = 0
    returned: int = 0
    result: str = ""
    gone_ms: int = 0
