"""A flow with an archive, for tests: each number that is said becomes a document, its key's next revision."""

from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from fire22.core.event import EncodedEvent
from fire22.core.message import Json
from fire22.core.topic import Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.flows.engine import Engine
from tests.support.storage import START_MS, encoded


class Said(Struct, frozen=True):
    """`data` of `number.said`."""

    key: str
    value: int
    name: str = ""


class Archiver(Flow):
    """Keeps every number for ever."""

    name: ClassVar[str] = "archiver"
    version: ClassVar[int] = 1

    def __init__(self, topic: str = "kpi") -> None:
        super().__init__()
        self.topics = (Topic(topic, Kind.VIEW, archived=True), Topic("plain", Kind.VIEW))
        self._revisions: Table[int] = Table("revision", int)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """How often each key was said."""
        return (self._revisions,)  # type: ignore[return-value]

    def handlers(self) -> dict[str, Handler]:
        """Numbers."""
        return {"number.said": self._said}

    def _said(self, fact: Fact) -> None:
        said = expect(fact, Said)
        revision = (self._revisions.get(said.key) or 0) + 1
        self._revisions.put(said.key, revision)
        document: dict[str, Json] = {"value": said.value, "name": said.name}
        self.out.archive(self.topics[0].name, "/", said.key, revision, fact.at_ms, document)


def decode(type: str, data: Raw) -> object:
    """The domain of numbers."""
    return msgspec.json.decode(data, type=Said) if type == "number.said" else None


def engine() -> Engine:
    """An engine with this one flow."""
    return Engine((Archiver(),), decode)


def number(id: str, key: str, value: int) -> EncodedEvent:
    """A number is said."""
    return encoded(id, type="number.said", at_ms=START_MS, data={"key": key, "value": value})
