"""What can be set of the accounts."""

from typing import Annotated

from msgspec import Meta, Struct


class FiguresSettings(Struct, frozen=True):
    """`[figures]`: weekly figures and reports.

    Args:
        interval_ms: the least time between two times that documents are said, by the book's own clock.
        documents_max: of weekly figures that are said at a time; up to half are sums of sub-trees, those nearest
            the root first, the others those that have waited longest.
        restate_weeks: ended weeks into which a late fact still counts; one that is later counts on the running day.
    """

    interval_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 2_000
    documents_max: Annotated[int, Meta(gt=0)] = 400
    restate_weeks: Annotated[int, Meta(ge=1, le=52)] = 5


class CommissionSettings(Struct, frozen=True):
    """`[commission]`.

    Args:
        interval_ms: the least time between two estimates of the running week, by the book's own clock.
    """

    interval_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 60_000
