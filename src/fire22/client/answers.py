"""The commands that wait for their answers."""

import asyncio
import logging

from fire22.client.errors import ServerError
from fire22.core.message import Json

logger = logging.getLogger("fire22.client")


class Answers:
    """Futures by the id of the command."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Json]] = {}

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def expect(self, id: int) -> asyncio.Future[Json]:
        """Where the answer to this command will be; `forget` it afterwards."""
        self._waiting[id] = asyncio.get_running_loop().create_future()
        return self._waiting[id]

    def forget(self, id: int) -> None:
        """Nobody waits for it any more."""
        del self._waiting[id]

    def settle(self, id: int | None, result: Json | ServerError) -> None:
        """The answer has come."""
        answer = None if id is None else self._waiting.get(id)
        if answer is None or answer.done():
            if isinstance(result, ServerError):
                logger.warning("an error that nobody waits for: %s", result)
        elif isinstance(result, ServerError):
            answer.set_exception(result)
        else:
            answer.set_result(result)
