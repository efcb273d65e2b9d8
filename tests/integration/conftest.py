"""A test module that names a LOOP_FACTORY runs in loops of that kind, such as the program's own."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.hookimpl
def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """The one kind of loop for a test."""
    module = item.getparent(pytest.Module)
    factory: LoopFactory = getattr(None if module is None else module.obj, "LOOP_FACTORY", asyncio.new_event_loop)
    return {"loop": factory}
