"""Questions: answered from the flows as they are now, by a message that any process can send."""

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
import pytest

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.question import Question
from fire22.flows.base import Flow, Handler
from fire22.flows.engine import Engine
from fire22.flows.questions import Questions

QUESTION = Question("how-many", "/M1", {"of": ["wagers", "markets"]})


class Counting(Flow):
    """Knows a number."""

    name: ClassVar[str] = "counting"

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def handlers(self) -> dict[str, Handler]:
        """None: tests set the number."""
        return {}


def answer(flows: Iterable[Flow], question: Question) -> Json:
    """The number, with what was asked."""
    if question.name != "how-many":
        raise RequestError(codes.COMMAND_INVALID, "It is not known how to answer that.")
    (counting,) = (each for each in flows if isinstance(each, Counting))
    return {"number": counting.number, "scope": question.scope, "of": list(question.parameters["of"])}


def made() -> tuple[Engine, Counting]:
    """An engine with one flow."""
    flow = Counting()
    return Engine((flow,), lambda _type, _data: None), flow


async def test_the_answer_is_of_now() -> None:
    """Each asker gets what the flows hold when the question arrives, as JSON that can be sent on as it is."""
    engine, flow = made()
    questions = Questions(engine, answer, lambda: False)
    flow.number = 7
    assert await questions.ask(QUESTION) == b'{"number":7,"scope":"/M1","of":["wagers","markets"]}'


async def test_a_question_survives_the_way_to_another_process() -> None:
    """What a gateway without an engine sends as bytes is the same question where it arrives."""
    sent = msgspec.json.encode(QUESTION)
    questions = Questions(made()[0], answer, lambda: False)
    arrived = msgspec.json.decode(sent, type=Question)
    assert await questions.ask(arrived) == await questions.ask(QUESTION)


@pytest.mark.parametrize(("stopped", "code", "temporary"), [(False, "overloaded", True), (True, "fold_stopped", False)])
async def test_flows_that_are_not_whole_answer_nothing(stopped: bool, code: str, temporary: bool) -> None:
    """Who asks while the flows are made anew may ask again in a moment; where they stay away, there is no answer."""
    engine, _ = made()
    engine.is_whole = False
    with pytest.raises(RequestError) as caught:
        await Questions(engine, answer, lambda: stopped).ask(QUESTION)
    found: Any = caught.value
    assert (found.code.name, found.temporary) == (code, temporary)


async def test_a_question_that_is_wrong_is_refused() -> None:
    """What the domain says against a question reaches whoever asked it."""
    with pytest.raises(RequestError, match="not known"):
        await Questions(made()[0], answer, lambda: False).ask(msgspec.structs.replace(QUESTION, name="why"))
