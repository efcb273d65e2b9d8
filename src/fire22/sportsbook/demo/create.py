"""Creates a demo book: the book's tables with an invented tree, customers and games."""

from pathlib import Path
from random import Random

from fire22.core.outbox import Clock, Install
from fire22.sportsbook.book.create import create_book
from fire22.sportsbook.demo import catalogue


def create_demo(
    path: Path,
    *,
    seed: int,
    now_ms: int,
    install: Install,
    clock: Clock = "wall",
    size: catalogue.Size = catalogue.SMALL,
) -> None:
    """Create a demo book with its triggers; whole or not at all.

    Args:
        path: the file to create.
        seed: decides the names, the tree and the prices.
        now_ms: the time of creation; the games start soon after.
        install: `sources.sqlite.install.install`.
        clock: `recorded` for a book that brings its own time.
        size: how many agents, customers and games.

    Raises:
        SetupError: `config_invalid`, there is a file at `path`.
    """
    opening = catalogue.opening(Random(seed), now_ms, size)  # nosec B311  # the demo repeats itself by its seed
    create_book(path, install=install, clock=clock, rows=catalogue.sports_rows(), opening=opening)
