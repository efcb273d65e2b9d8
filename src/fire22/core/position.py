"""A position in the feed: what a client stores.

It means: everything I may see up to here has reached me.
"""

import re
from typing import Final

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import RequestError

_TEXT: Final = re.compile(r"([0-9a-f]{8,32})-(0|[1-9][0-9]{0,15})")


class Position(Struct, frozen=True, order=True):
    """A point in one feed.

    Args:
        epoch: the feed's identity, lower-case hex.
        offset: of the newest message that is covered; 0 is before the first.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read `<epoch>-<offset>`.

        Raises:
            RequestError: `position_invalid`.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise RequestError(
                codes.POSITION_INVALID, "A position looks like 1f0c9a2b-123; store the one of the last tick."
            )
        return cls(match[1], int(match[2]))
