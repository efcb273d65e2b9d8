"""What a stage says of itself when somebody asks for the metrics."""

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct


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


def lag(behind: int, stage: str) -> Sample:
    """How far a stage is behind the one before it."""
    help = "How far each stage is behind the one before it, in the stage's own units."
    return Sample("fire22_lag", help, behind, {"stage": stage})


def shed(count: int, what: str) -> Sample:
    """How often load was shed in one way."""
    help = "What was shed: times a view was held back, messages lossy streams left out, connections refused."
    return Sample("fire22_shed_total", help, count, {"what": what})
