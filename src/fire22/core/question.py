"""A question about figures, as it goes to whatever process folds them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct


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
