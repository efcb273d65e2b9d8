"""The engine: all flows, folded by hand. Pure: groups in, batches out.

The runner drives it from the log; tests, the replay check and benchmarks drive it from anything. What becomes of an
event on which a flow raises: `faults.py`.

When a fact counts is decided here, from the log alone. It counts when it happened, unless it is from the future: more
than a minute later than all that is known of time where it stands. Known are the watermark and the server's own time
(`system.now`, said whenever the watermark does not move). So the backlog of an outage is never from the future, however
old the watermark is. In a recorded book, whose facts stand ahead of their clock, the next clock of the same commit
group tells; where none follows, and in an old log, a fact is believed up to 400 days. What is from the future counts as
of the watermark.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.codes import Code
from fire22.core.event import Event, decode_event
from fire22.core.letter import DISMISSED, REPLAYED, ROW_REJECTED, LetterReplayed
from fire22.core.message import Json
from fire22.core.patch import diff
from fire22.core.times import CLOCK_END_MS
from fire22.core.topic import Topic
from fire22.feed.base import SETTLED, Archived, Batch, Checkpoint, Document, Entry, Record, Rows, StateRow
from fire22.flows.base import Emitter, Fact, Flow, Handler, Refused, Repeated, Table
from fire22.flows.faults import FAILED, UNTRIED, Breaker, FlowFailed, FoldStopped
from fire22.flows.letters import Failure, Letters
from fire22.log.base import Group

CLOCK: Final = "system.clock"
CONFIGURED: Final = "system.configured"
NOW: Final = "system.now"
IDLE: Final = "system.idle"
_ITS_OWN: Final = (CLOCK, CONFIGURED, NOW, IDLE)  # what the flows do on them belongs to no single event
CLOCK_SOURCE: Final = "clock"  # whose watermarks are the server's; those of any other source are recorded
AHEAD_MS_MAX: Final = 60_000  # by which the clocks of writers may differ from ours
UNTOLD_AHEAD_MS_MAX: Final = 400 * 24 * 3_600_000  # the same where the log does not tell the time
_IS_CLOCK: Final = b'"system.clock"'
_ENGINE: Final = "engine"  # the table of the engine's own rows
_NEVER_MS: Final = 1 << 62
_encode: Final = msgspec.json.Encoder().encode


class Rejected(Struct, frozen=True):
    """An event that is in the log and that no flow could use."""

    seq: int
    id: str
    type: str
    code: Code
    reason: str


class Folded(Struct, frozen=True):
    """What a commit group became: the batch for every reader, and the rows that are stored with it for the engine."""

    batch: Batch
    rows: tuple[Rows, ...]

    def each_row(self) -> Iterator[tuple[str, str, bytes | None]]:
        """Every changed row as (table, key, value); None removes it."""
        return ((rows.table, key, value) for rows in self.rows for key, value in rows.changed)


class FlowSettings(Struct, frozen=True):
    """A flow's code version and settings, as they are written into the log."""

    version: int
    settings: Raw


class Configured(Struct, frozen=True):
    """`data` of `system.configured`: from this event on, flows run like this."""

    flows: dict[str, FlowSettings]


def configuration(flows: Iterable[Flow], settings: Mapping[str, Json]) -> bytes:
    """The `data` of a `system.configured` event for these flows; equal settings give equal bytes."""
    sort = msgspec.json.Encoder(order="sorted")
    return sort.encode(
        {"flows": {flow.name: {"version": flow.version, "settings": settings.get(flow.name, {})} for flow in flows}}
    )


# A changed document before it has its offset: topic, scope and key; type; time; body.
_Said = tuple[tuple[str, str, str], str, int, dict[str, Json] | None]
# What was compared last, and what came of it: topic, body before, document; the data, the filterable fields before.
_Compared = tuple[str, dict[str, Json] | None, dict[str, Json] | None, bytes, bytes]


class Engine(Emitter):
    """Folds events and gathers what the flows say.

    Attributes:
        is_whole: whether the flows hold what they have folded; not from a failure of one on until it is rebuilt.

    Args:
        flows: in the order in which they see each event.
        decode: reads an event's data as the domain's type for it; None for a type it does not know.
            Raises msgspec.ValidationError where the data does not fit.
        remake: makes the flows anew, for `rebuild`; None where nobody calls it.
    """

    def __init__(
        self,
        flows: tuple[Flow, ...],
        decode: Callable[[str, Raw], object],
        *,
        remake: Callable[[], tuple[Flow, ...]] | None = None,
    ) -> None:
        self.rejected: list[Rejected] = []
        self.is_whole = True
        self._decode = decode
        self._remake = remake
        self._bodies: list[bytes] = []  # of the running group
        self._group_clocks: list[tuple[int, int]] = []  # its clocks: seq, ms
        self._aside: dict[int, Failure] = {}  # its events on which a flow failed
        self._is_wary = False  # whether any has, or may
        self._flushed = Checkpoint(0, 0, 0)
        self._documents: dict[tuple[str, str, str], Document] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._begin(flows)

    def _begin(self, flows: tuple[Flow, ...]) -> None:
        """Begin with flows that have folded nothing."""
        self.letters = Letters()
        self.flows = (*flows, self.letters)
        self.topics: dict[str, Topic] = {topic.name: topic for flow in self.flows for topic in flow.topics}
        self.configuration: bytes = b""
        self._breaker = Breaker()
        handlers: dict[str, list[Handler]] = {}
        for flow in self.flows:
            flow.out = self
            flow.latest_ms = _NEVER_MS
            for type, handler in flow.handlers().items():
                handlers.setdefault(type, []).append(handler)
        self._tables: dict[str, Table[object]] = {
            f"{flow.name}/{table.name}": table for flow in self.flows for table in flow.tables
        }
        self._tables[f"{_ENGINE}/{self._breaker.table.name}"] = self._breaker.table  # type: ignore[assignment]
        self._any = tuple(handlers.pop("*", ()))
        self._adapters = {type: adapt for flow in self.flows for type, adapt in flow.adapters().items()}
        self._handlers = {type: (first, tuple(others)) for type, (first, *others) in handlers.items()}
        self._own: dict[str, Callable[[Event], None]] = {
            CLOCK: self._clock,
            NOW: self._told_now,
            CONFIGURED: self._configured_by,
            IDLE: lambda _: self._idle(),
            REPLAYED: lambda event: self._replay(event, None),
            DISMISSED: self.letters.dismiss,
            ROW_REJECTED: lambda event: self.letters.add_row(self._seq, event),
        }
        self._seq = 0
        self._offset = 0
        self._watermark_ms = 0
        self._now_ms = 0
        self._now_told = False
        self._clocks: deque[tuple[int, int]] = deque()  # those that are not folded yet
        self._latest_ms = _NEVER_MS
        self._group_ms = 0
        self._configured = False
        self._streams: dict[str, list[Entry]] = {name: [] for name in self.topics}
        self._changed: dict[str, list[_Said]] = {}
        self._last_compared: _Compared = ("", None, None, b"", b"")
        self._archived: list[Archived] = []
        # Whoever was told of these has to hear what has become of them.
        self._waiting_changed: dict[tuple[str, str], None] = dict.fromkeys(self._waiting)
        self._waiting = {}

    @property
    def waiting(self) -> Mapping[tuple[str, str], int]:
        """Topics and scopes that are not said as of now, with the watermark as of which they are."""
        return self._waiting

    @property
    def checkpoint(self) -> Checkpoint:
        """What has been folded and said so far."""
        return Checkpoint(self._seq, self._offset, self._watermark_ms)

    @property
    def shape(self) -> str:
        """One word for what the flows keep and say: with another one, what is stored has to be made again."""
        flows = [(flow.name, flow.version) for flow in self.flows]
        tables = [(name, table.schema) for name, table in self._tables.items()]
        described = msgspec.json.Encoder(order="sorted").encode((flows, tables))
        return hashlib.blake2b(described, digest_size=16).hexdigest()

    def document(self, topic: str, scope: str, key: str = "") -> dict[str, Json] | None:
        """A view's document as of the last flush."""
        found = self._documents.get((topic, scope, key))
        return found.body if found is not None else None

    def load(
        self,
        checkpoint: Checkpoint,
        rows: Iterable[StateRow],
        documents: Iterable[Document],
    ) -> None:
        """Go on from a stored checkpoint with the rows and documents stored with it.

        Raises:
            FoldStopped: a flow cannot make anything of its rows.
        """
        self._documents = {(each.topic, each.scope, each.key): each for each in documents if each.body is not None}
        self._flushed = checkpoint
        self._load(rows)
        self._waiting_changed = {}

    def rebuild(self, rows: Iterable[StateRow]) -> None:
        """Go back to before an event on which a flow failed: to the last flush, and fold what has come since again.

        Args:
            rows: as they are stored with the batch of the last flush.

        Raises:
            FlowFailed: another event fails now.
            FoldStopped: a failure that belongs to no event.
        """
        bodies = self._bodies
        self._go_back(rows)
        for body in bodies:
            self.fold(body)
        self.is_whole = True

    def rewind(self, rows: Iterable[StateRow]) -> None:
        """Go back to the last flush; what has been folded since is to be folded again."""
        self._go_back(rows)
        self.is_whole = True

    def _go_back(self, rows: Iterable[StateRow]) -> None:
        if self._remake is None:
            raise AssertionError("this engine cannot make its flows anew")
        self._bodies = []
        self.rejected.clear()
        self._begin(self._remake())
        self._load(rows)

    def _load(self, rows: Iterable[StateRow]) -> None:
        checkpoint = self._flushed
        self._seq, self._offset, self._watermark_ms = checkpoint.seq, checkpoint.offset, checkpoint.watermark_ms
        self._now_ms, self._now_told, self._clocks = 0, False, deque(self._group_clocks)
        try:
            self._load_rows(rows)
            if self.configuration:
                self._configure(self.configuration)
            for flow in self.flows:
                flow.watermark_ms = flow.before_ms = self._watermark_ms
            self._bound()
            for flow in self.flows:
                flow.loaded()
        except Exception as error:
            self.is_whole = False
            raise FoldStopped(self._seq, "load") from error
        self._configured = False
        self._is_wary = bool(self._aside) or len(self._breaker.table) > 0

    def _load_rows(self, rows: Iterable[StateRow]) -> None:
        """Give each table its rows. Those of one table come together from storage, and there may be millions."""
        current = ""
        load: Callable[[str, bytes], None] = _pass_over
        for name, key, value in rows:
            if name == _ENGINE:
                if key == "now":
                    self._now_ms = int(value)
                else:
                    self.configuration = value
                continue
            if name != current:
                table = self._tables.get(name)
                load = table.load if table is not None else _pass_over
                current = name
            load(key, value)
        for table in self._tables.values():
            table.loaded()

    def fold(self, body: bytes) -> None:
        """Fold the next event of the log.

        Raises:
            FlowFailed: a flow raised on it; `rebuild` sets it aside, and nothing else is to be called before.
            FoldStopped: the same where nothing can be set aside.
        """
        self._seq += 1
        self._bodies.append(body)
        type = ""
        try:
            event = decode_event(body)
            type = event.type
            at_ms, future = self._counts_at(event)
            if at_ms > self._group_ms:
                self._group_ms = at_ms
            fold = self._fold_warily if self._is_wary else self._hand_on
            failure = fold(event, at_ms, future)
            if failure is not None:
                self.rejected.append(Rejected(self._seq, event.id, event.type, failure.code, failure.reason))
                self.letters.add(self._seq, event, failure, self._watermark_ms or at_ms)
        except Exception as error:
            self.is_whole = False
            # Memory that is short is no event's fault, and was perhaps not when the log was folded first.
            if not type or type in _ITS_OWN or isinstance(error, MemoryError) or self._seq in self._aside:
                raise FoldStopped(self._seq, type or "unreadable") from error
            self._aside[self._seq] = FAILED
            self._is_wary = True
            raise FlowFailed(self._seq, type) from error

    def _fold_warily(self, event: Event, at_ms: int, future: bool) -> Failure | None:
        """Hand on an event while others fail."""
        failure = self._aside.get(self._seq)
        if event.type == REPLAYED:  # somebody asked for it: it is tried in any case
            if failure is None:
                return self._hand_on(event, at_ms, future)
            self._replay(event, failure)
            return None
        if failure is None and not self._breaker.is_tried(event.type):
            failure = UNTRIED
        if failure is not None:
            self._breaker.failed(event.type)
            return failure
        failure = self._hand_on(event, at_ms, future)
        if failure is None:
            self._breaker.succeeded(event.type)
        return failure

    def fold_group(self, group: Group, stored: Callable[[], Iterable[StateRow]] | None = None) -> Folded:
        """Fold and flush a whole group.

        Args:
            stored: the rows as of the last flush, so that an event on which a flow raises can be set aside.

        Raises:
            FlowFailed: it cannot, without them.
            FoldStopped: a failure that belongs to no event.
        """
        if group.first != self._seq + 1:
            raise AssertionError(f"group {group.first} does not follow event {self._seq}")
        self.begin(group)
        for body in group.bodies:
            try:
                self.fold(body)
            except FlowFailed:
                if stored is None:
                    raise
                self.rebuild(stored())
        return self.flush()

    def begin(self, group: Group) -> None:
        """Look at the clocks of a group before its events are folded: a later one tells what came before it."""
        clocks = [(seq, body) for seq, body in enumerate(group.bodies, group.first) if _IS_CLOCK in body]
        events = [(seq, decode_event(body)) for seq, body in clocks]
        self._group_clocks = [(seq, event.at_ms) for seq, event in events if _is_clock(event)]
        self._clocks = deque(self._group_clocks)
        self._bound()

    def flush(self) -> Folded:
        """End a commit group: let the flows speak, number what they said, and take the rows that changed.

        Raises:
            FoldStopped: a flow failed; the batches before this one are whole.
        """
        try:
            folded = Folded(self._flush(), self._rows())
        except Exception as error:
            self.is_whole = False
            raise FoldStopped(self._seq, "flush") from error
        self._flushed = self.checkpoint
        self._bodies, self._aside = [], {}
        self._is_wary = len(self._breaker.table) > 0
        return folded

    def _flush(self) -> Batch:
        for flow in self.flows:
            flow.flush()
        flushed = self._flushed
        if self._watermark_ms != flushed.watermark_ms:
            for flow in self.flows:
                flow.before_ms = self._watermark_ms
        waiting: tuple[tuple[str, str, int], ...] = ()
        if self._waiting_changed:
            waiting = tuple([(*name, self._waiting.get(name, SETTLED)) for name in sorted(self._waiting_changed)])
            self._waiting_changed = {}
        spoken = [name for name in self.topics if self._streams[name]]
        records: list[Record] = []
        documents: list[Document] = []
        for index, name in enumerate(spoken):
            entries = tuple(self._streams[name])
            self._streams[name] = []
            record = Record(self._offset + 1, name, self._seq, index, len(spoken), self._group_ms, entries)
            self._offset = record.last
            records.append(record)
            for offset, (name_of, type, at_ms, body) in enumerate(self._changed.pop(name, ()), record.offset):
                document = Document(*name_of, type, offset, at_ms, body)
                if body is None:
                    del self._documents[name_of]
                else:
                    self._documents[name_of] = document
                documents.append(document)
        self._group_ms = 0
        archived, self._archived = tuple(self._archived), []
        return Batch(
            self._seq,
            self._offset,
            flushed.offset,
            flushed.seq,
            self._watermark_ms,
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
        before = self._documents.get(name)
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
        if self._waiting.get((topic, scope)) != since_ms:
            self._waiting[topic, scope] = since_ms
            self._waiting_changed[topic, scope] = None

    def settled(self, topic: str, scope: str) -> None:
        """See Emitter."""
        if self._waiting.pop((topic, scope), None) is not None:
            self._waiting_changed[topic, scope] = None

    def archive(self, topic: str, scope: str, key: str, revision: int, at_ms: int, document: dict[str, Json]) -> None:
        """See Emitter."""
        if not self.topics[topic].archived:
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
        fields = self.topics[topic].filterable
        was = (
            b""
            if before is None or not fields or not data
            else _encode({name: before[name] for name in fields if name in before})
        )
        self._last_compared = topic, before, document, data, was
        return data, was

    def _hand_on(self, event: Event, at_ms: int, future: bool) -> Failure | None:
        """Let the flows fold an event; why they cannot, if so."""
        handlers = self._handlers.get(event.type)
        if handlers is not None:
            try:
                data = self._decode(event.type, event.data)
            except msgspec.MsgspecError as error:
                return Failure(codes.EVENT_INVALID, str(error))
            fact = Fact(self._seq, at_ms, event, data, future)
            first, others = handlers
            adapt = self._adapters.get(event.type)
            try:
                if adapt is not None:
                    fact = adapt(fact)
                first(fact)
            except Refused as refused:
                return Failure(refused.code, refused.reason, refused.evidence)
            except Repeated:
                return None
            try:
                for handler in others:
                    handler(fact)
            except (Refused, Repeated) as error:
                raise AssertionError(f"{event.type} was refused after a flow had taken it: {error!r}") from error
        elif own := self._own.get(event.type):
            if event.type == CLOCK and event.at_ms >= CLOCK_END_MS:
                return Failure(codes.EVENT_INVALID, "The clock is near the end of the calendar.")
            own(event)
        if (event.metadata.category or event.metadata.tags) and self._any:
            fact = Fact(self._seq, at_ms, event, None, future)
            for handler in self._any:
                handler(fact)
        return None

    def _replay(self, event: Event, failed: Failure | None) -> None:
        """Fold a letter's event again: at its own time, at this place in the log.

        Args:
            failed: a flow raises on it.
        """
        asked = msgspec.json.decode(event.data, type=LetterReplayed)
        letter = self.letters.get(asked.seq)
        if letter is None:
            return  # it has been dealt with meanwhile
        again = self.letters.event(letter, asked)
        failure = again if isinstance(again, Failure) else failed or self._hand_on(again, *self._counts_at(again))
        if failure is None:
            self.letters.replayed(letter, event.at_ms)
        else:
            self.rejected.append(Rejected(letter.seq, letter.event_id, letter.type, failure.code, failure.reason))
            self.letters.failed(letter, asked, failure, event.at_ms)

    def _clock(self, event: Event) -> None:
        at_ms = event.at_ms
        if event.source != CLOCK_SOURCE and self._now_ms:
            self._set_now(0)  # a recorded book's time has nothing to do with the server's
        while self._clocks and self._clocks[0][0] <= self._seq:
            self._clocks.popleft()
        moved = at_ms > self._watermark_ms
        self._watermark_ms = max(at_ms, self._watermark_ms)
        self._bound()
        if moved:
            for flow in self.flows:
                flow.watermark_ms = at_ms
                flow.clock()

    def _told_now(self, event: Event) -> None:
        self._set_now(event.at_ms)
        self._bound()

    def _set_now(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._now_told = True

    def _bound(self) -> None:
        """Work out anew beyond which time a fact is from the future."""
        known_ms = self._now_ms or (self._clocks[0][1] if self._clocks else 0)
        if known_ms:
            self._latest_ms = max(known_ms, self._watermark_ms) + AHEAD_MS_MAX
        else:
            self._latest_ms = self._watermark_ms + UNTOLD_AHEAD_MS_MAX if self._watermark_ms else _NEVER_MS
        for flow in self.flows:
            flow.latest_ms = self._latest_ms

    def _counts_at(self, event: Event) -> tuple[int, bool]:
        """When an event counts, and whether it is from the future."""
        at_ms = event.at_ms
        if at_ms <= self._latest_ms:
            return at_ms, False
        return self._watermark_ms or self._latest_ms - AHEAD_MS_MAX, True

    def _idle(self) -> None:
        for flow in self.flows:
            flow.idle()

    def _configured_by(self, event: Event) -> None:
        self._configure(bytes(event.data))

    def _configure(self, data: bytes) -> None:
        configured = msgspec.json.decode(data, type=Configured)
        self.configuration = data
        self._configured = True
        for flow in self.flows:
            if flow.name in configured.flows:
                flow.configure(configured.flows[flow.name].settings)

    def _rows(self) -> tuple[Rows, ...]:
        rows: list[Rows] = []
        if self._configured:
            self._configured = False
            rows.append(Rows(_ENGINE, [("configuration", self.configuration)]))
        if self._now_told:
            self._now_told = False
            rows.append(Rows(_ENGINE, [("now", b"%d" % self._now_ms)]))
        for name, table in self._tables.items():
            if table.is_changed:
                rows.append(Rows(name, table.take_changed()))
        return tuple(rows)


def _is_clock(event: Event) -> bool:
    """Whether an event moves the watermark; a clock that the calendar has no room after is a dead letter."""
    return event.type == CLOCK and event.at_ms < CLOCK_END_MS


def _pass_over(key: str, value: bytes) -> None:
    """A row of a table that this version does not have any more."""
