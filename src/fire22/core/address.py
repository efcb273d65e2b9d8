"""Addresses: for whom alone a message is, as a tag of its event says.

`to:user:<id>` is every connection of one user, `to:client:<id>` those of one device or installation, and `to:everyone`
all connections that have shown who they are.
"""

import re
from typing import Final

from fire22.core import codes
from fire22.core.errors import RequestError

PREFIX: Final = "to:"
EVERYONE: Final = "everyone"

# An id is 1 to 200 characters without blanks, control and invisible ones. They are listed, because what a newer Unicode
# calls a blank must not change what a replay says.
ID_PATTERN: Final = (
    r"[^\u0000-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\udfff\ufeff]{1,200}"
)
_ID: Final = re.compile(ID_PATTERN)
_ADDRESS: Final = re.compile(rf"{PREFIX}(?:{EVERYONE}|(?:user|client):{ID_PATTERN})")


def is_id(text: str) -> bool:
    """Whether a user or client of this id can be addressed."""
    return _ID.fullmatch(text) is not None


def is_address(tag: str) -> bool:
    """Whether a tag is an address, well-formed or not."""
    return tag.startswith(PREFIX)


def parse_address(tag: str) -> str:
    """The target that a tag names: `user:<id>`, `client:<id>` or `everyone`.

    Raises:
        RequestError: `event_invalid`; the message names the tag.
    """
    if not _ADDRESS.fullmatch(tag):
        wanted = "to:user:<id>, to:client:<id> or to:everyone, with an id of 1 to 200 characters without blanks"
        raise RequestError(codes.EVENT_INVALID, f"The tag {tag[:64]!r} is not an address: {wanted}.")
    return tag.removeprefix(PREFIX)
