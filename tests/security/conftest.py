"""A module that names a LOOP_FACTORY runs in such loops here too."""

from tests.integration.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
