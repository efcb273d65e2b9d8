"""Answers questions from the flows as they are now, in the process that folds them."""

from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.question import Question
from fire22.flows.base import Flow
from fire22.flows.engine import Engine


class Questions:
    """What an engine's flows can be asked.

    Args:
        answer: of the flows; reads only, within a few milliseconds, and raises RequestError where there is none.
        stopped: whether the engine folds no more.
    """

    def __init__(
        self, engine: Engine, answer: Callable[[Iterable[Flow], Question], Json | Struct], stopped: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._answer = answer
        self._stopped = stopped

    async def ask(self, question: Question) -> bytes:
        """The answer as JSON.

        Raises:
            RequestError: `overloaded`, the flows are made anew; `fold_stopped`, they are not to be had; or what the
                domain says.
        """
        if not self._engine.is_whole:
            if self._stopped():
                raise RequestError(codes.FOLD_STOPPED, codes.FOLD_STOPPED.meaning)
            raise RequestError(codes.OVERLOADED, "The figures are being made anew.", retry_after_s=1)
        return msgspec.json.encode(self._answer(self._engine.flows, question))
