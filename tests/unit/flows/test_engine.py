"""The engine: groups in, batches out, the same for every run."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import ClassVar

import msgspec
import pytest
from msgspec import Raw

from fire22 import app
from fire22.core import codes
from fire22.core.event import Event, Metadata, encode_event
from fire22.core.message import Json
from fire22.core.patch import apply
from fire22.core.times import to_datetime, to_ms
from fire22.core.topic import Kind, Topic
from fire22.feed.base import Archived, Batch, Checkpoint, Document, Rows, decode_entries, encode_entries
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.flows.engine import Engine, Folded, configuration
from fire22.log.base import Group
from fire22.sportsbook import domain
from tests.support import archiver
from tests.support.histories import OPEN_TOPICS, History
from tests.support.storage import START_MS, event


class Number(msgspec.Struct, frozen=True):
    """`data` of `number.said`."""

    value: int
    name: str = "x"


class Settings(msgspec.Struct, frozen=True):
    """How the counting flow counts."""

    factor: int = 1


class Sum(Flow):
    """Adds numbers by name: a view of the sums, and a stream of what was said."""

    name: ClassVar[str] = "sum"
    version: ClassVar[int] = 3

    def __init__(self) -> None:
        super().__init__()
        self.topics = (Topic("sums", Kind.VIEW), Topic("numbers", Kind.STREAM))
        self._sums: Table[int] = Table("sums", int)
        self._touched: dict[str, int] = {}
        self._factor = 1
        self.clocks: list[int] = []

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The sums."""
        return (self._sums,)  # type: ignore[return-value]

    def configure(self, settings: Raw) -> None:
        """Take the factor."""
        self._factor = msgspec.json.decode(settings, type=Settings).factor

    def handlers(self) -> dict[str, Handler]:
        """Numbers."""
        return {"number.said": self._said, "number.taken": self._taken}

    def clock(self) -> None:
        """Remember that time moved."""
        self.clocks.append(self.watermark_ms)

    def flush(self) -> None:
        """The sums that changed."""
        for name, at_ms in self._touched.items():
            total = self._sums.get(name)
            document: dict[str, Json] = {"name": name}
            if total:
                document["sum"] = total
            self.out.view("sums", "/", name, "update", at_ms, document)
        self._touched = {}

    def _said(self, fact: Fact) -> None:
        number = expect(fact, Number)
        self._sums.put(number.name, (self._sums.get(number.name) or 0) + number.value * self._factor)
        self._touched[number.name] = fact.at_ms
        self.out.stream("numbers", "/", "update", fact.at_ms, msgspec.json.encode(number.value))

    def _taken(self, fact: Fact) -> None:
        name = expect(fact, Number).name
        self._sums.pop(name)
        self._touched[name] = fact.at_ms


def decode(type: str, data: Raw) -> object:
    """The test's domain."""
    return msgspec.json.decode(data, type=Number) if type.startswith("number.") else None


def engine() -> Engine:
    """An engine with one flow."""
    return Engine((Sum(),), decode)


def fold(engine: Engine, *events: Event) -> Batch:
    """What a group of these events says."""
    return fold_all(engine, *events).batch


def fold_all(engine: Engine, *events: Event) -> Folded:
    """The same, with the rows that are stored."""
    return engine.fold_group(Group(engine.checkpoint.seq + 1, tuple(encode_event(each).body for each in events)))


def said(value: int, name: str = "x", *, at_ms: int = START_MS) -> Event:
    """A number."""
    return event(f"n{value}", type="number.said", at_ms=at_ms, data={"value": value, "name": name})


def taken(name: str) -> Event:
    """A sum is taken away."""
    return event(f"t{name}", type="number.taken", data={"value": 0, "name": name})


def clock(at_ms: int) -> Event:
    """The watermark."""
    return event(f"c{at_ms}", type="system.clock", at_ms=at_ms, data={})


def test_a_group_becomes_one_record_for_each_topic() -> None:
    """A client's position is an offset; each message of a group has one, and each record says where it belongs."""
    one = engine()
    batch = fold(one, said(5), said(7, "y", at_ms=START_MS + 3), said(1, at_ms=START_MS + 1))
    assert [(r.topic, r.offset, r.last, r.seq, r.index, r.count, r.at_ms) for r in batch.records] == [
        ("sums", 1, 2, 3, 0, 2, START_MS + 3),
        ("numbers", 3, 5, 3, 1, 2, START_MS + 3),
    ]
    assert (batch.seq, batch.offset, batch.expected, batch.expected_seq) == (3, 5, 0, 0)
    assert [entry.data for entry in batch.records[1].entries] == [b"5", b"7", b"1"]
    assert [entry.at_ms for entry in batch.records[1].entries] == [START_MS, START_MS + 3, START_MS + 1]
    batch = fold(one, taken("never"))
    assert [(r.topic, r.offset, r.index, r.count) for r in batch.records] == [("sums", 6, 0, 1)]
    assert (batch.seq, batch.offset, batch.expected, batch.expected_seq) == (4, 6, 5, 3)


def test_a_silent_group_moves_the_checkpoint_alone() -> None:
    """Events that nobody follows say nothing and are not folded again."""
    one = engine()
    batch = fold(one, event("e", type="weather.changed"))
    assert batch == Batch(1, 0, 0, 0, 0, (), ())
    assert one.checkpoint == Checkpoint(1, 0, 0)


def test_a_view_says_the_whole_document_first_and_patches_then() -> None:
    """A client applies each patch to the document as of `base`, and has the document."""
    one = engine()
    batches = [
        fold(one, said(5)),
        fold(one, said(7, "y")),
        fold(one, said(1)),
        fold(one, taken("x")),
        fold(one, said(2)),
    ]
    entries = [batch.records[0].entries[0] for batch in batches]
    assert [(entry.key, entry.base, entry.data) for entry in entries] == [
        ("x", 0, b'{"name":"x","sum":5}'),
        ("y", 0, b'{"name":"y","sum":7}'),
        ("x", 1, b'{"sum":6}'),
        ("x", 5, b'{"sum":null}'),
        ("x", 7, b'{"sum":2}'),
    ]
    assert [batch.documents[0].offset for batch in batches] == [1, 3, 5, 7, 8]
    assert batches[4].documents[0].body == {"name": "x", "sum": 2}


def test_a_document_of_several_scopes_is_compared_with_what_each_had() -> None:
    """A scope that has the document already gets the change, another one the whole."""
    one = engine()
    before: dict[str, Json] = {"name": "x", "sum": 1}
    after: dict[str, Json] = {"name": "x", "sum": 2}
    for scope in ("/", "/a"):
        one.output.view("sums", scope, "x", "update", START_MS, before)
    one.flush()
    for scope in ("/", "/a", "/b", "/c"):
        one.output.view("sums", scope, "x", "update", START_MS, after)
    (record,) = one.flush().batch.records
    assert [(entry.path, entry.base, entry.data) for entry in record.entries] == [
        ("/", 1, b'{"sum":2}'),
        ("/a", 2, b'{"sum":2}'),
        ("/b", 0, b'{"name":"x","sum":2}'),
        ("/c", 0, b'{"name":"x","sum":2}'),
    ]


def test_an_unchanged_document_is_not_said_again() -> None:
    """Nothing is sent for nothing."""
    one = engine()
    fold(one, said(5))
    batch = fold(one, said(0))
    assert [record.topic for record in batch.records] == ["numbers"]
    assert batch.documents == ()


def test_changed_rows_go_with_the_batch_and_only_once() -> None:
    """State is stored with the messages that came of it, so a restart needs no replay."""
    one = engine()
    assert fold_all(one, said(5), said(1), said(7, "y")).rows == (Rows("sum/sums", [("x", b"\x06"), ("y", b"\x07")]),)
    assert fold_all(one, event("e")).rows == ()
    assert fold_all(one, taken("x"), said(1, "y")).rows == (Rows("sum/sums", [("x", None), ("y", b"\x08")]),)
    assert fold_all(one, taken("never")).rows == ()


def test_an_event_that_does_not_fit_costs_only_itself() -> None:
    """Bad data is rejected and told; the events beside it count."""
    one = engine()
    bad = [
        event("bad1", type="number.said", data={"value": "many"}),
        event("bad2", type="number.said", data=[1]),
        event("bad3", type="number.said"),
    ]
    batch = fold(one, said(5), *bad, said(1))
    assert [(each.seq, each.id, each.type, each.code) for each in one.rejected] == [
        (number, f"bad{number - 1}", "number.said", codes.EVENT_INVALID) for number in (2, 3, 4)
    ]
    assert "value" in one.rejected[0].reason
    assert batch.seq == 5
    assert (batch.documents[0].body or {})["sum"] == 6


def test_a_configuration_is_an_event() -> None:
    """Settings change at a place in the log: what was said before stays, what comes after follows them."""
    one = engine()
    settings = configuration(one.flows, {"sum": {"factor": 10}})
    assert msgspec.json.decode(settings) == {
        "flows": {"letters": {"version": 1, "settings": {}}, "sum": {"version": 3, "settings": {"factor": 10}}}
    }
    configured = Event("c", "system.configured", "server", to_datetime(START_MS), Raw(settings))
    folded = fold_all(one, said(1), configured, said(1))
    assert (folded.batch.documents[0].body or {})["sum"] == 11
    assert one.configuration == settings
    assert Rows("engine", [("configuration", settings)]) in folded.rows
    assert fold_all(one, said(1)).rows == (Rows("sum/sums", [("x", b"\x15")]),)


def test_equal_settings_give_equal_bytes() -> None:
    """A start with the settings of before writes no event."""
    one = engine()
    assert configuration(one.flows, {"sum": {"a": 1, "b": 2}}) == configuration(one.flows, {"sum": {"b": 2, "a": 1}})


def test_time_only_moves_forward() -> None:
    """Flows hear of each later watermark, and not of one that goes back."""
    flow = Sum()
    one = Engine((flow,), decode)
    assert fold(one, clock(START_MS)).watermark_ms == START_MS
    fold(one, clock(START_MS - 5), clock(START_MS))
    batch = fold(one, clock(START_MS + 7), clock(START_MS + 3))
    assert flow.clocks == [START_MS, START_MS + 7]
    assert flow.watermark_ms == batch.watermark_ms == START_MS + 7
    assert one.checkpoint == Checkpoint(5, 0, START_MS + 7)


def test_a_clock_near_the_end_of_the_calendar_is_a_dead_letter() -> None:
    """A program that writes the largest time there is as its clock costs that row alone; the figures go on."""
    one = small_book()
    fold(one, clock(START_MS))
    batch = fold(one, clock(to_ms(datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC))), clock(START_MS + 1))
    assert batch.watermark_ms == START_MS + 1
    assert [each.type for each in one.rejected] == ["system.clock"]
    late = to_ms(datetime(8999, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert fold(one, clock(late)).watermark_ms == late


def test_a_record_of_the_future_does_not_outlive_retention() -> None:
    """An event with a wrong clock, years ahead, does not keep the feed from being trimmed by age."""
    one = engine()
    fold(one, clock(START_MS))
    year = 365 * 24 * 3_600_000
    (sums, numbers) = fold(one, said(1, at_ms=START_MS + 2 * year)).records
    assert sums.at_ms == numbers.at_ms == START_MS
    assert fold(one, said(1, at_ms=START_MS + 100)).records[0].at_ms == START_MS + 100


def test_a_group_must_follow() -> None:
    """A hole in what is folded is a mistake that must not pass."""
    one = engine()
    fold(one, said(1))
    with pytest.raises(AssertionError, match="does not follow"):
        one.fold_group(Group(3, (encode_event(said(2)).body,)))


def test_only_events_with_a_category_reach_the_relay() -> None:
    """An application's own events pass beside the flows of the domain."""
    one = app.build_engine(("bench",))
    configured = Event(
        "c",
        "system.configured",
        "s",
        to_datetime(START_MS),
        Raw(configuration(one.flows, {"relay": {"open_topics": ["bench"]}})),
    )
    addressed = msgspec.structs.replace(event("a", data={"x": 1}), metadata=Metadata(category="bench"))
    batch = fold(one, configured, event("b", data={"x": 2}), addressed)
    assert [(r.topic, [entry.data for entry in r.entries]) for r in batch.records] == [("bench", [b'{"x":1}'])]


def test_what_is_archived_goes_with_the_batch_and_only_once() -> None:
    """A closed period is stored together with the messages of its group, and is in memory no longer."""
    one = archiver.engine()
    bodies = tuple(archiver.number(f"n{index}", "day", index).body for index in range(2))
    assert one.fold_group(Group(1, bodies)).batch.archived == (
        Archived("kpi", "/", "day", 1, START_MS, b'{"value":0,"name":""}'),
        Archived("kpi", "/", "day", 2, START_MS, b'{"value":1,"name":""}'),
    )
    assert fold(one, event("e")).archived == ()


def test_only_a_topic_that_says_so_has_an_archive() -> None:
    """A flow that archives without declaring it is a mistake that must not pass: nobody could read it."""
    one = archiver.engine()
    with pytest.raises(AssertionError, match="plain"):
        one.output.archive("plain", "/", "day", 1, START_MS, {})


# Restarts.


class Stored:
    """What a feed keeps of the batches it was given, as bytes."""

    def __init__(self) -> None:
        self.checkpoint = Checkpoint(0, 0, 0)
        self.rows: dict[tuple[str, str], bytes] = {}
        self.documents: dict[tuple[str, str, str], bytes] = {}
        self.records: list[tuple[object, ...]] = []
        self.archive: dict[tuple[str, str, str, int], Archived] = {}

    def take(self, folded: Folded) -> None:
        """Write a batch and its rows."""
        batch = folded.batch
        assert (batch.expected_seq, batch.expected) == (self.checkpoint.seq, self.checkpoint.offset)
        self.checkpoint = batch.checkpoint
        for table, key, value in folded.each_row():
            if value is None:
                self.rows.pop((table, key), None)
            else:
                self.rows[table, key] = value
        for document in batch.documents:
            self.documents[document.topic, document.scope, document.key] = msgspec.json.encode(document)
        for each in batch.archived:
            self.archive[each.topic, each.scope, each.key, each.revision] = each
        for record in batch.records:
            self.records.append(
                (
                    *(record.offset, record.topic, record.seq, record.index, record.count, record.at_ms),
                    encode_entries(record.entries),
                )
            )

    def load(self, engine: Engine, random: Random) -> Engine:
        """A fresh engine that goes on from here; rows come in any order."""
        rows = [(table, key, value) for (table, key), value in self.rows.items()]
        random.shuffle(rows)
        documents = [msgspec.json.decode(body, type=Document) for body in self.documents.values()]
        random.shuffle(documents)
        engine.load(self.checkpoint, rows, documents)
        return engine


def cut(events: Sequence[Event], random: Random, longest: int) -> list[Group]:
    """The events in random groups."""
    groups: list[Group] = []
    bodies = [encode_event(each).body for each in events]
    while bodies:
        size = random.randint(1, longest)
        groups.append(Group(groups[-1].last + 1 if groups else 1, tuple(bodies[:size])))
        del bodies[:size]
    return groups


def run(groups: list[Group], random: Random, restart: set[int]) -> Stored:
    """Fold the groups, with a restart before each of those in `restart`."""
    stored = Stored()
    one = app.build_engine(OPEN_TOPICS)
    for index, group in enumerate(groups):
        if index in restart:
            one = stored.load(app.build_engine(OPEN_TOPICS), random)
        stored.take(one.fold_group(group))
    return stored


def same(one: Stored, other: Stored) -> None:
    """Both kept the same bytes."""
    assert one.records == other.records
    assert one.documents == other.documents
    assert one.rows == other.rows
    assert one.archive == other.archive
    assert one.checkpoint == other.checkpoint


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_at_any_group_changes_no_byte(seed: int) -> None:
    """Wherever a server is restarted, and even before every group, it says what an undisturbed one says."""
    random = Random(seed)
    groups = cut(History(seed, late=0.3).take(140), random, 4)
    undisturbed = run(groups, random, set())
    for index in range(1, len(groups)):
        same(run(groups, random, {index}), undisturbed)
    same(run(groups, random, set(range(len(groups)))), undisturbed)


@pytest.mark.parametrize("seed", range(10, 14))
def test_restarts_at_random_groups_of_a_long_log(seed: int) -> None:
    """The same for a long log and a handful of restarts."""
    random = Random(seed)
    groups = cut(History(seed).take(1500), random, 12)
    same(run(groups, random, set(random.sample(range(len(groups)), 6))), run(groups, random, set()))


@pytest.mark.parametrize("customer", ["C|1", "C|/M1", "|", "Ö / ü", "@C"])
def test_a_restart_with_a_customer_of_any_name(customer: str) -> None:
    """A customer's code may hold any character, and the customer is the same one after a restart."""
    random = Random(customer)
    events = [
        event(
            f"w{number}", type="wager.placed", at_ms=START_MS + number,
            data={
                "wagerId": f"w{number}", "wagerNumber": number, "customerId": customer, "agentId": "M1", "path": "/M1",
                "type": "straight", "riskMinor": 100, "toWinMinor": 90, "freePlay": False, "channel": "web",
                "status": "accepted", "version": 1,
            },
        )
        for number in range(3)
    ]  # fmt: skip
    events.append(clock(START_MS + 25 * 3_600_000))
    groups = cut(events, random, 1)
    for index in range(1, len(groups)):
        same(run(groups, random, {index}), run(groups, random, set()))


def test_the_documents_are_the_sum_of_the_patches() -> None:
    """What a client builds from the first message on is what a snapshot would give it."""
    groups = cut(History(4).take(600), Random(4), 8)
    stored = run(groups, Random(4), set())
    built: dict[tuple[str, str, str], Json] = {}
    offsets: dict[tuple[str, str, str], int] = {}
    views = {name for name, topic in app.build_engine(OPEN_TOPICS).topics.items() if topic.kind is Kind.VIEW}
    for offset, topic, *_, body in stored.records:
        assert isinstance(offset, int) and isinstance(body, bytes)
        for place, entry in enumerate(decode_entries(body)):
            if topic in views:
                key = (str(topic), entry.path, entry.key)
                data = msgspec.json.decode(entry.data)
                # A document that was removed begins anew.
                assert entry.base == (offsets[key] if built.get(key) is not None else 0)
                built[key] = apply(built[key], data) if entry.base else data
                offsets[key] = offset + place
    kept = {key: msgspec.json.decode(body, type=Document) for key, body in stored.documents.items()}
    assert built == {key: document.body for key, document in kept.items()}
    assert offsets == {key: document.offset for key, document in kept.items()}


# Values that no figure can hold.


def small_book() -> Engine:
    """All flows, and a book of one agent and one customer."""
    one = app.build_engine(())
    agent = {"agentId": "M1", "path": "/M1", "name": "n", "level": 1, "status": "active"}
    customer = {"customerId": "C", "agentId": "M1", "path": "/M1", "name": "n", "status": "active"}
    told = event("agent", type="agent.created", data=agent), event("customer", type="customer.created", data=customer)
    fold(one, *told)
    return one


@pytest.mark.parametrize(
    ("type", "wrong"),
    [
        ("wager.placed", {"riskMinor": 10**19}),
        ("wager.placed", {"toWinMinor": 1 << 80}),
        ("wager.placed", {"wagerNumber": 10**400}),
        ("wager.placed", {"version": 10**40}),
        ("wager.placed", {"legs": [{"marketId": "m", "selectionId": "s", "odds": 1e308}] * 2}),
        ("wager.placed", {"legs": [{"marketId": "m", "selectionId": "s", "odds": 100.0}] * 500}),
        ("wager.placed", {"path": "/a" * 20_000}),
        ("wager.placed", {"path": "/M1//A"}),
        ("wager.placed", {"path": "/M1/"}),
        ("wager.placed", {"path": "/M|1"}),
        ("wager.placed", {"path": "/M1/A1\n"}),
        ("wager.settled", {"returnMinor": 10**30}),
        ("wager.settled", {"previousReturnMinor": 10**30}),
        ("wager.settled", {"revision": 10**400}),
        ("wager.cancelled", {"settledReturnMinor": 10**30}),
        ("revenue.imported", {"revenueMinor": -(10**30)}),
        ("payment.requested", {"amountMinor": 10**400}),
        ("customer.limit_changed", {"after": {"creditLimitMinor": 0, "maxWagerMinor": 10**400}}),
        ("customer.limit_changed", {"after": {"creditLimitMinor": 0, "maxWagerMinor": -(10**400)}}),
        ("agent.created", {"level": 10**40}),
        ("customer.imported", {"lastWagerAt": "9999-12-31T23:59:59-12:00"}),
        ("customer.imported", {"lastWagerAt": "0001-01-01T00:00:00+14:00"}),
    ],
)
def test_a_monstrous_value_is_rejected_and_the_server_goes_on(type: str, wrong: dict[str, object]) -> None:
    """One event with an absurd number or path never stops the figures of everybody, now or at the next restart."""
    good: dict[str, object] = {
        "wagerId": "w", "wagerNumber": 1, "customerId": "C", "agentId": "M1", "path": "/M1", "type": "straight",
        "riskMinor": 100, "toWinMinor": 90, "freePlay": False, "channel": "web", "status": "accepted", "version": 1,
        "revision": 1, "result": "win", "returnMinor": 190, "previousReturnMinor": 0, "revenueMinor": 5, "level": 1,
        "name": "n", "paymentId": "p", "direction": "deposit", "method": "card", "amountMinor": 5,
        "before": {"creditLimitMinor": 1, "maxWagerMinor": 1}, "after": {"creditLimitMinor": 1, "maxWagerMinor": 1},
    }  # fmt: skip
    one = small_book()
    if type in ("wager.settled", "wager.cancelled"):
        fold(one, event("placed", type="wager.placed", data=good))
    fold(one, event("good", type=type, data=good))
    assert not one.rejected
    for number in range(2):
        fold(one, event(f"bad{number}", type=type, data={**good, "wagerId": "v", **wrong}))
        with pytest.raises(msgspec.ValidationError):
            domain.decode(type, Raw(msgspec.json.encode({**good, **wrong})))
    assert [each.id for each in one.rejected] == ["bad0", "bad1"]
    before = one.checkpoint.offset
    fold(one, event("next", type="wager.placed", data={**good, "wagerId": "u"}))
    assert one.checkpoint.offset > before


def test_the_largest_values_that_are_taken_can_be_added_up() -> None:
    """Figures stay exact and can be stored when every amount is the largest possible."""
    one = small_book()
    for number in range(300):
        data = {
            "wagerId": f"w{number}", "wagerNumber": number, "customerId": "C", "agentId": "M1", "path": "/M1",
            "type": "straight", "riskMinor": 10**13, "toWinMinor": 10**13, "freePlay": False, "channel": "web",
            "status": "accepted", "version": 1,
        }  # fmt: skip
        fold(one, event(f"w{number}", type="wager.placed", data=data))
    assert not one.rejected
    kpi = {document.scope: document for document in one.output.documents.values() if document.topic == "kpi"}
    assert (kpi["/"].body or {})["handle"] == 300 * 10**11


SHAPE = """
from fire22 import app
print(app.build_engine(("bench",)).shape)
"""


def test_the_shape_is_that_of_the_flows_alone() -> None:
    """Another process finds the same shape, whatever its hash seed; else each start would make all figures again."""
    shapes = {
        subprocess.run(
            [sys.executable, "-c", SHAPE], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert shapes == {f"{app.build_engine(('bench',)).shape}\n".encode()}


def test_another_version_or_form_of_rows_is_another_shape() -> None:
    """What would say other messages, or read rows otherwise, is told from what made them."""

    class Newer(Sum):
        version = Sum.version + 1

    class Wider(Sum):
        @property
        def tables(self) -> tuple[Table[object], ...]:
            return (Table[object]("sums", str),)

    shapes = [Engine((flow(),), decode).shape for flow in (Sum, Newer, Wider)]
    assert len(set(shapes)) == 3
