"""What the tests of the hub share."""

import pytest

from tests.support.hub_world import World


@pytest.fixture
def world() -> World:
    """A new one."""
    return World()
