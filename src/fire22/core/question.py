"""A question about figures, as it goes to whatever process folds them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

REACH: Final = "reach"  # what the server itself asks before it appends events of who may act on a part of the tree


class Question(Struct, frozen=True):
    """A question about the figures of a scope.

    Args:
        name: one of the domain's questions.
        scope: that the asker may see.
        parameters: what was asked, each with all its values.
    """

    name: str
    scope: str
    parameters: Mapping[str, Sequence[str]]


Ask = Callable[[Question], Awaitable[bytes]]  # the answer as JSON; or Fire22Error, why there is none


class Outside(Struct, frozen=True):
    """The answer to `REACH`: the first of what was asked about that the scope does not cover; None where it covers all.

    Args:
        event: the index of an event; asked as `type` and `data`, each with one value for each event.
        user: one that is addressed; asked as `user`.
    """

    event: int | None = None
    user: str | None = None
