"""What a stage says of itself when somebody asks for the metrics."""

from collections.abc import Iterator
from typing import Final, Protocol

from msgspec import Struct

LAG: Final = "fire22_lag"  # one for each stage
LAG_HELP: Final = "How far each stage is behind the one before it, in the stage's own units."
SHED: Final = "fire22_shed_total"
SHED_HELP: Final = "What was shed: times a view was held back, messages lossy streams left out, connections refused."


class Sample(Struct, frozen=True):
    """One number at this moment.

    Args:
        name: with its unit last; a counter's ends in `_total`.
        help: one sentence.
        value: now.
        labels: name and value.
    """

    name: str
    help: str
    value: float
    labels: dict[str, str] = {}


class Measured(Protocol):
    """A stage that counts. It counts in plain integers, and makes samples of them only when somebody asks."""

    def samples(self) -> Iterator[Sample]:
        """Everything that is measured here, now."""
