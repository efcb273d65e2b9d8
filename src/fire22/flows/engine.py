"""The engine: all flows, folded by hand. Pure: groups in, batches out.

The runner drives it from the log; tests, the replay check and benchmarks drive it from anything. What becomes of an
event on which a flow raises: `faults.py`. When a fact counts: `horizon.py`. What the flows say: `output.py`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.codes import Code
from fire22.core.event import Event, decode_event
from fire22.core.letter import DISMISSED, REPLAYED, ROW_REJECTED, LetterReplayed
from fire22.core.message import Json
from fire22.core.topic import Topic
from fire22.feed.base import Batch, Checkpoint, Document, Rows, StateRow
from fire22.flows.base import Fact, Flow, Handler, Refused, Repeated, Table
from fire22.flows.faults import FAILED, UNTRIED, Breaker, FlowFailed, FoldStopped
from fire22.flows.horizon import CLOCK, CLOCK_SOURCE, NEVER_MS, Horizon, is_clock
from fire22.flows.letters import Failure, Letters
from fire22.flows.output import Output
from fire22.flows.state import ENGINE, State
from fire22.log.base import Group

CONFIGURED: Final = "system.configured"
NOW: Final = "system.now"
IDLE: Final = "system.idle"
_ITS_OWN: Final = (CLOCK, CONFIGURED, NOW, IDLE)  # what the flows do on them belongs to no single event


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


class Engine:
    """Folds events and gathers what the flows say.

    Attributes:
        output: where the flows say their messages.
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
        self._aside: dict[int, Failure] = {}  # its events on which a flow failed
        self._is_wary = False  # whether any has, or may
        self._flushed = Checkpoint(0, 0, 0)
        self._committed_ms = 0  # of the running group
        self._time = Horizon()
        self.output = Output()
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
            flow.out = self.output
            flow.latest_ms = NEVER_MS
            for type, handler in flow.handlers().items():
                handlers.setdefault(type, []).append(handler)
        tables: dict[str, Table[object]] = {
            f"{flow.name}/{table.name}": table for flow in self.flows for table in flow.tables
        }
        tables[f"{ENGINE}/{self._breaker.table.name}"] = self._breaker.table  # type: ignore[assignment]
        self._state = State(tables)
        self._any = tuple(handlers.pop("*", ()))
        adapters = {type: adapt for flow in self.flows for type, adapt in flow.adapters().items()}
        self._handlers = {
            type: (adapters.get(type), first, tuple(others)) for type, (first, *others) in handlers.items()
        }
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
        self._group_ms = 0
        self.output.begin(self.topics)

    @property
    def waiting(self) -> Mapping[tuple[str, str], int]:
        """Topics and scopes that are not said as of now, with the watermark as of which they are."""
        return self.output.waiting

    @property
    def checkpoint(self) -> Checkpoint:
        """What has been folded and said so far."""
        return Checkpoint(self._seq, self.output.offset, self._time.watermark_ms)

    @property
    def shape(self) -> str:
        """One word for what the flows keep and say: with another one, what is stored has to be made again."""
        flows = [(flow.name, flow.version) for flow in self.flows]
        described = msgspec.json.Encoder(order="sorted").encode((flows, self._state.schema))
        return hashlib.blake2b(described, digest_size=16).hexdigest()

    def document(self, topic: str, scope: str, key: str = "") -> dict[str, Json] | None:
        """A view's document as of the last flush."""
        found = self.output.documents.get((topic, scope, key))
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
        self.output.load(documents)
        self._flushed = checkpoint
        self._load(rows)
        self.output.loaded()

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
        self._seq, self.output.offset = checkpoint.seq, checkpoint.offset
        self._time.load(checkpoint.watermark_ms)
        try:
            own = self._state.load(rows)
            self.configuration = own.get("configuration", b"")
            if self.configuration:
                self._configure(self.configuration)
            for flow in self.flows:
                flow.watermark_ms = flow.before_ms = checkpoint.watermark_ms
            self._time.now(int(own.get("now", b"0")))
            self._tell_latest()
            for flow in self.flows:
                flow.loaded()
        except Exception as error:
            self.is_whole = False
            raise FoldStopped(self._seq, "load") from error
        self._is_wary = bool(self._aside) or len(self._breaker.table) > 0

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
            at_ms, future = self._time.counts_at(event)
            if at_ms > self._group_ms:
                self._group_ms = at_ms
            fold = self._fold_warily if self._is_wary else self._hand_on
            failure = fold(event, at_ms, future)
            if failure is not None:
                self.rejected.append(Rejected(self._seq, event.id, event.type, failure.code, failure.reason))
                self.letters.add(self._seq, event, failure, self._time.watermark_ms or at_ms)
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
        """Look at a group before its events are folded: at its time, and its clocks tell what came before them."""
        self._committed_ms = group.committed_ms
        self._time.begin(enumerate(group.bodies, group.first))
        self._tell_latest()

    def flush(self) -> Folded:
        """End a commit group: let the flows speak, number what they said, and take the rows that changed.

        Raises:
            FoldStopped: a flow failed; the batches before this one are whole.
        """
        try:
            folded = Folded(self._flush(), self._state.take())
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
        watermark_ms = self._time.watermark_ms
        if watermark_ms != self._flushed.watermark_ms:
            for flow in self.flows:
                flow.before_ms = watermark_ms
        at_ms, self._group_ms = self._group_ms, 0
        return self.output.take(self._seq, watermark_ms, at_ms, self._flushed, self._committed_ms)

    def _hand_on(self, event: Event, at_ms: int, future: bool) -> Failure | None:
        """Let the flows fold an event; why they cannot, if so."""
        handlers = self._handlers.get(event.type)
        if handlers is not None:
            try:
                data = self._decode(event.type, event.data)
            except msgspec.MsgspecError as error:
                return Failure(codes.EVENT_INVALID, str(error))
            fact = Fact(self._seq, at_ms, event, data, future)
            adapt, first, others = handlers
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
            if event.type == CLOCK and not is_clock(event):
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
        failure = again if isinstance(again, Failure) else failed or self._hand_on(again, *self._time.counts_at(again))
        if failure is None:
            self.letters.replayed(letter, event.at_ms)
        else:
            self.rejected.append(Rejected(letter.seq, letter.event_id, letter.type, failure.code, failure.reason))
            self.letters.failed(letter, asked, failure, event.at_ms)

    def _clock(self, event: Event) -> None:
        if event.source != CLOCK_SOURCE and self._time.now_ms:
            self._set_now(0)  # a recorded book's time has nothing to do with the server's
        moved = self._time.clock(event.at_ms, self._seq)
        self._tell_latest()
        if moved:
            for flow in self.flows:
                flow.watermark_ms = event.at_ms
                flow.clock()

    def _told_now(self, event: Event) -> None:
        self._set_now(event.at_ms)
        self._tell_latest()

    def _set_now(self, now_ms: int) -> None:
        self._time.now(now_ms)
        self._state.put("now", b"%d" % now_ms)

    def _tell_latest(self) -> None:
        latest_ms = self._time.latest_ms
        for flow in self.flows:
            flow.latest_ms = latest_ms

    def _idle(self) -> None:
        for flow in self.flows:
            flow.idle()

    def _configured_by(self, event: Event) -> None:
        data = bytes(event.data)
        self._configure(data)
        self._state.put("configuration", data)

    def _configure(self, data: bytes) -> None:
        configured = msgspec.json.decode(data, type=Configured)
        self.configuration = data
        for flow in self.flows:
            if flow.name in configured.flows:
                flow.configure(configured.flows[flow.name].settings)
