"""Addresses: for whom alone a message is, as a tag of its event says.

`to:user:<kind>:<id>` is every connection of one user, `to:client:<id>` those of one device or installation, and
`to:everyone` all connections that have shown who they are. The kind is `staff`, `agent`, `customer` or `machine`: the
agent `M1` and the customer `M1` are two users.
"""

import re
from typing import Final, get_args

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.role import Kind

PREFIX: Final = "to:"
EVERYONE: Final = "everyone"

# An id is 1 to 200 characters without blanks, control and invisible ones. They are listed, because what a newer Unicode
# calls a blank must not change what a replay says.
ID_PATTERN: Final = (
    r"[^\u0000-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\udfff\ufeff]{1,200}"
)
_ID: Final = re.compile(ID_PATTERN)
_KINDS: Final = "|".join(get_args(Kind))
_ADDRESS: Final = re.compile(rf"{PREFIX}(?:{EVERYONE}|(?:user:(?:{_KINDS})|client):{ID_PATTERN})")


def is_id(text: str) -> bool:
    """Whether a user or client of this id can be addressed."""
    return _ID.fullmatch(text) is not None


def user(kind: Kind, name: str) -> str:
    """A user as addresses, connections and records name it: `agent:M1`."""
    return f"{kind}:{name}"


def kind_of(user: str) -> tuple[str, str]:
    """The kind and the name of a user."""
    kind, _, name = user.partition(":")
    return kind, name


def is_address(tag: str) -> bool:
    """Whether a tag is an address, well-formed or not."""
    return tag.startswith(PREFIX)


def parse_address(tag: str) -> str:
    """The target that a tag names: `user:<kind>:<id>`, `client:<id>` or `everyone`.

    Raises:
        RequestError: `event_invalid`; the message names the tag.
    """
    if not _ADDRESS.fullmatch(tag):
        wanted = (
            "to:user:<kind>:<id>, to:client:<id> or to:everyone, with an id of 1 to 200 characters without blanks and "
            f"a kind out of {', '.join(get_args(Kind))}"
        )
        raise RequestError(codes.EVENT_INVALID, f"The tag {tag[:64]!r} is not an address: {wanted}.")
    return tag.removeprefix(PREFIX)
