"""How many seeds a test is run with: a few in `make test`, many in `make soak`."""

import pytest


def seeds(few: int, many: int, *, start: int = 0) -> pytest.MarkDecorator:
    """Parametrize a test by `seed`.

    Args:
        few: how many seeds `make test` runs it with, from `start` on.
        many: how many in all; `make soak` runs the rest.
    """
    rest = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(start + few, start + many)]
    return pytest.mark.parametrize("seed", [*range(start, start + few), *rest])
