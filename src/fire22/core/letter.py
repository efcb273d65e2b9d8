"""Dead letters: events that are in the log and that no flow could use, and what becomes of them.

Each type of event below is the server's own; its data is the struct beside it.
"""

from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from fire22.core.event import Time

TOPIC: Final = "dead_letters"
REPLAYED: Final = "system.letter_replayed"
DISMISSED: Final = "system.letter_dismissed"
ROW_REJECTED: Final = "system.row_rejected"
DATA_BYTES_MAX: Final = 64 << 10  # of an event's data that is kept for another attempt


class LetterReplayed(Struct, frozen=True, rename="camel"):
    """The letter's event is folded again.

    Args:
        seq: the letter's.
        actor: who asked for it.
        data: in place of the event's own.
        timestamp: likewise.
    """

    seq: int
    actor: str
    data: Raw | UnsetType = UNSET
    timestamp: Time | UnsetType = UNSET


class LetterDismissed(Struct, frozen=True, rename="camel"):
    """The letter is put away; the log still has its event.

    Args:
        seq: the letter's.
        actor: who put it away.
    """

    seq: int
    reason: str
    actor: str


class RowRejected(Struct, frozen=True, rename="camel"):
    """A source met a row that is no event; its texts are as they were in the row, cut where they are too long.

    Args:
        number: the row's.
        reason: why it is none; one sentence.
        id: that the event would have had.
        data_bytes: how long `data` was.
    """

    number: int
    reason: str
    id: str
    type: str
    timestamp: str
    category: str
    priority: int
    data: str
    data_bytes: int
