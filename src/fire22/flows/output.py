"""What the flows say, gathered until the end of a commit group and numbered then.

The views' documents are kept as they were said last: a flow says whole ones, and what is written is the difference.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from fire22.core.message import Json
from fire22.core.patch import diff
from fire22.core.topic import Topic
from fire22.feed.base import SETTLED, Archived, Batch, Checkpoint, Document, Entry, Record
from fire22.flows.base import Emitter

_encode: Final = msgspec.json.Encoder().encode
# Offsets follow time, not how many messages there are: positions are shown to readers of a part of the book. Each
# commit group begins at its time and ends with the last place of a millisecond.
_PLACES: Final = 1 << 12  # in a millisecond
_TIME_BEGINS_MS: Final = 1_704_067_200_000  # 2024-01-01
_TIME_MS_MAX: Final = 1 << 40  # 34 years; clients read offsets as numbers, exact up to 2^53

# A changed document before it has its offset: topic, scope and key; type; time; body.
_Said = tuple[tuple[str, str, str], str, int, dict[str, Json] | None]
# What was compared last, and what came of it: topic, body before, document; the data, the filterable fields before.
_Compared = tuple[str, dict[str, Json] | None, dict[str, Json] | None, bytes, bytes]


class Output(Emitter):
    """Where the flows of an engine say their messages.

    Attributes:
        offset: of the newest message that has been numbered.
        documents: every view's, as of the last batch, by topic, scope and key.
        waiting: topics and scopes that are not said as of now, with the watermark as of which they are.
    """

    def __init__(self) -> None:
        self.offset = 0
        self.documents: dict[tuple[str, str, str], Document] = {}
        self.waiting: dict[tuple[str, str], int] = {}
        self.begin({})

    def begin(self, topics: Mapping[str, Topic]) -> None:
        """Forget what has been said since the last batch: flows begin that have said nothing."""
        self._topics = topics
        self._streams: dict[str, list[Entry]] = {name: [] for name in topics}
        self._changed: dict[str, list[_Said]] = {}
        self._last_compared: _Compared = ("", None, None, b"", b"")
        self._archived: list[Archived] = []
        # Whoever was told of these has to hear what has become of them.
        self._waiting_changed: dict[tuple[str, str], None] = dict.fromkeys(self.waiting)
        self.waiting = {}

    def load(self, documents: Iterable[Document]) -> None:
        """Take the documents as of the stored checkpoint."""
        self.documents = {(each.topic, each.scope, each.key): each for each in documents if each.body is not None}

    def loaded(self) -> None:
        """What waits now is known to whoever starts with it."""
        self._waiting_changed = {}

    def take(self, seq: int, watermark_ms: int, at_ms: int, expected: Checkpoint, committed_ms: int = 0) -> Batch:
        """End a commit group: number what was said.

        Args:
            seq: of the group's last event.
            at_ms: the time of its records.
            expected: where the feed stands before it.
            committed_ms: when the group was written to the log; 0 where that is not known.
        """
        waiting: tuple[tuple[str, str, int], ...] = ()
        if self._waiting_changed:
            waiting = tuple([(*name, self.waiting.get(name, SETTLED)) for name in sorted(self._waiting_changed)])
            self._waiting_changed = {}
        spoken = [name for name, said in self._streams.items() if said]
        if spoken and committed_ms:
            passed_ms = min(committed_ms - _TIME_BEGINS_MS, _TIME_MS_MAX)
            self.offset = max(self.offset, passed_ms * _PLACES - 1)
        records: list[Record] = []
        documents: list[Document] = []
        for index, name in enumerate(spoken):
            entries = tuple(self._streams[name])
            self._streams[name] = []
            record = Record(self.offset + 1, name, seq, index, len(spoken), at_ms, entries)
            self.offset = record.last
            records.append(record)
            for offset, (name_of, type, said_ms, body) in enumerate(self._changed.pop(name, ()), record.offset):
                document = Document(*name_of, type, offset, said_ms, body)
                if body is None:
                    del self.documents[name_of]
                else:
                    self.documents[name_of] = document
                documents.append(document)
        if spoken and committed_ms:
            self.offset |= _PLACES - 1
        archived, self._archived = tuple(self._archived), []
        return Batch(
            seq,
            self.offset,
            expected.offset,
            expected.seq,
            watermark_ms,
            tuple(records),
            tuple(documents),
            archived,
            waiting,
        )

    def stream(
        self,
        topic: str,
        path: str,
        type: str,
        at_ms: int,
        data: bytes,
        *,
        priority: int = 1,
        target: str = "",
        expires_ms: int = 0,
    ) -> None:
        """See Emitter."""
        self._streams[topic].append(Entry(path, "", type, at_ms, priority, data, 0, target, expires_ms))

    def view(
        self,
        topic: str,
        scope: str,
        key: str,
        type: str,
        at_ms: int,
        document: dict[str, Json] | None,
        *,
        priority: int = 1,
    ) -> None:
        """See Emitter."""
        name = (topic, scope, key)
        before = self.documents.get(name)
        body = before.body if before is not None else None
        if body is None and document is None:
            return
        data, was = self._compared(topic, body, document)
        if not data:
            return
        base = before.offset if before is not None else 0
        self._streams[topic].append(Entry(scope, key, type, at_ms, priority, data, base, was=was))
        self._changed.setdefault(topic, []).append((name, type, at_ms, document))

    def waits(self, topic: str, scope: str, since_ms: int) -> None:
        """See Emitter."""
        if self.waiting.get((topic, scope)) != since_ms:
            self.waiting[topic, scope] = since_ms
            self._waiting_changed[topic, scope] = None

    def settled(self, topic: str, scope: str) -> None:
        """See Emitter."""
        if self.waiting.pop((topic, scope), None) is not None:
            self._waiting_changed[topic, scope] = None

    def archive(self, topic: str, scope: str, key: str, revision: int, at_ms: int, document: dict[str, Json]) -> None:
        """See Emitter."""
        if not self._topics[topic].archived:
            raise AssertionError(f"the topic {topic} does not declare an archive")
        self._archived.append(Archived(topic, scope, key, revision, at_ms, _encode(document)))

    def _compared(
        self, topic: str, before: dict[str, Json] | None, document: dict[str, Json] | None
    ) -> tuple[bytes, bytes]:
        """What is written of a change, empty if there is none, and of its filterable fields before.

        Scopes that share a document share that too.
        """
        of_topic, of, known, data, was = self._last_compared
        if document is known and before is of and topic == of_topic:
            return data, was
        patch = document if document is None or before is None else diff(before, document)
        data = b"" if before is not None and patch == {} else _encode(patch)
        fields = self._topics[topic].filterable
        was = (
            b""
            if before is None or not fields or not data
            else _encode({name: before[name] for name in fields if name in before})
        )
        self._last_compared = topic, before, document, data, was
        return data, was
