"""The relay: an application's own events, delivered on open topics as they came."""

import msgspec
import pytest
from msgspec import Raw

from fire22.core.errors import SetupError
from fire22.core.event import Event, Metadata, encode_event
from fire22.core.times import to_datetime
from fire22.core.topic import DIRECT, Kind
from fire22.feed.base import Batch, Entry
from fire22.flows.engine import Engine, configuration
from fire22.flows.relay import Relay
from fire22.log.base import Group
from tests.support.storage import START_MS, event


def engine(*served: str) -> Engine:
    """An engine with the relay alone."""
    return Engine((Relay(served),), lambda type, data: None)


def fold(engine: Engine, *events: Event) -> Batch:
    """A group of these events."""
    return engine.fold_group(Group(engine.checkpoint.seq + 1, tuple(encode_event(each).body for each in events))).batch


def opening(engine: Engine, *topics: str) -> Event:
    """The event that says which topics are open."""
    data = configuration(engine.flows, {"relay": {"open_topics": list(topics)}})
    return Event("c", "system.configured", "server", to_datetime(START_MS), Raw(data))


def addressed(data: object, metadata: Metadata, *, type: str = "app.said") -> Event:
    """An event with an address."""
    return msgspec.structs.replace(event("a", type=type, data=data), metadata=metadata)


def test_data_is_delivered_as_it_came() -> None:
    """A developer publishes any JSON with a category and finds it on that topic, byte for byte."""
    one = engine("bench")
    raw = Raw(b'{ "b" : [1, 2.50, null],\t"a":"\\u00fc" }')
    said = Event("a", "app.said", "s", to_datetime(START_MS), raw, Metadata(category="bench"))
    batch = fold(one, opening(one, "bench"), said)
    (record,) = batch.records
    assert record.topic == "bench"
    assert record.entries == (Entry("/", "", "update", START_MS, 1, bytes(raw)),)
    assert batch.documents == ()


@pytest.mark.parametrize("data", [None, True, 7, "text", [1], {}])
def test_data_may_be_any_json(data: object) -> None:
    """Not only objects are delivered."""
    one = engine("bench")
    batch = fold(one, opening(one, "bench"), addressed(data, Metadata(category="bench")))
    assert msgspec.json.decode(batch.records[0].entries[0].data) == data


def test_tags_choose_the_type_of_the_message() -> None:
    """`as:alert` and `as:notification` say what the message is; otherwise it is an update."""
    one = engine("bench")
    tags: tuple[tuple[str, ...], ...] = (
        ("as:alert",),
        ("x", "as:notification"),
        ("as:notification", "as:alert"),
        ("alert",),
    )
    batch = fold(one, opening(one, "bench"), *(addressed(1, Metadata(category="bench", tags=each)) for each in tags))
    assert [entry.type for entry in batch.records[0].entries] == ["alert", "notification", "alert", "update"]


def test_priority_and_expiry_go_along() -> None:
    """Priority is clamped to what there is, and a message says when it is no longer worth delivering."""
    one = engine("bench")
    events = [
        addressed(
            1, Metadata(category="bench", priority=priority, expires_at=to_datetime(START_MS + 5) if priority else None)
        )
        for priority in (-7, 0, 3, 99)
    ]
    entries = fold(one, opening(one, "bench"), *events).records[0].entries
    assert [(entry.priority, entry.expires_ms) for entry in entries] == [
        (0, START_MS + 5),
        (0, 0),
        (3, START_MS + 5),
        (3, START_MS + 5),
    ]


def test_only_open_topics_are_relayed() -> None:
    """A category that names no open topic, or one that is served but not open, is silent."""
    one = engine("bench", "news")
    served = [topic for topic in one.topics.values() if not topic.internal and topic.name != "dead_letters"]
    assert [topic.name for topic in served] == ["bench", "news"]
    assert {topic.kind for topic in served} == {Kind.STREAM}
    before = addressed(1, Metadata(category="bench"))
    after = [addressed(number, Metadata(category=name)) for number, name in enumerate(("bench", "news", "kpi", ""))]
    batch = fold(one, before, opening(one, "bench", "elsewhere"), *after)
    assert [(record.topic, len(record.entries)) for record in batch.records] == [("bench", 1)]


def test_a_topic_may_be_closed_again() -> None:
    """From the event that closes it on, a topic is silent; what was said stays."""
    one = engine("bench")
    said = addressed(1, Metadata(category="bench"))
    closing = msgspec.structs.replace(opening(one), id="d")
    batch = fold(one, opening(one, "bench"), said, closing, said)
    assert len(batch.records[0].entries) == 1
    assert fold(one, said).records == ()


def test_open_topics_are_known_after_a_restart() -> None:
    """A restarted engine relays as before."""
    first, second = engine("bench"), engine("bench")
    folded = first.fold_group(Group(1, (encode_event(opening(first, "bench")).body,)))
    rows = [(table, key, value) for table, key, value in folded.each_row() if value]
    second.load(first.checkpoint, rows, folded.batch.documents)
    assert fold(second, addressed(1, Metadata(category="bench"))).records[0].topic == "bench"


def test_events_of_the_domain_may_be_relayed_too() -> None:
    """An event that flows know and that has a category does both."""

    def decode(type: str, data: Raw) -> object:
        return None

    one = Engine((Relay(("bench",)),), decode)
    said = addressed({"x": 1}, Metadata(category="bench"), type="wager.placed")
    assert fold(one, opening(one, "bench"), said).records[0].entries[0].data == b'{"x":1}'


# Events for somebody alone.


def said_to(batch: Batch) -> list[tuple[str, str, bytes]]:
    """The topic, target and data of each message of a batch."""
    return [(record.topic, entry.target, entry.data) for record in batch.records for entry in record.entries]


@pytest.mark.parametrize("category", ["bench", "news", "kpi", ""])
def test_addressed_data_goes_to_those_it_names_alone(category: str) -> None:
    """A program tells one user something; whoever follows the open topic of the same category does not see it."""
    one = engine("bench")
    said = addressed({"x": 1}, Metadata(category=category, tags=("bulk:1", "to:user:staff:7")))
    batch = fold(one, opening(one, "bench"), said)
    assert batch.records[0].topic == DIRECT
    assert batch.records[0].entries == (Entry("/", "", "update", START_MS, 1, b'{"x":1}', target="user:staff:7"),)
    assert len(batch.records) == 1


def test_each_address_is_one_message() -> None:
    """Several users, clients and everyone are told in the order of the tags; an address said twice counts once."""
    tags = ("to:user:staff:7", "to:client:till-3", "x", "to:user:staff:7", "to:everyone", "to:user:staff:8")
    batch = fold(engine(), addressed(1, Metadata(tags=tags)))
    assert said_to(batch) == [
        (DIRECT, target, b"1") for target in ("user:staff:7", "client:till-3", "everyone", "user:staff:8")
    ]


def test_people_are_reached_whatever_topics_are_open() -> None:
    """A server without open topics, and one that has not been told about any yet, delivers to users."""
    for one in (engine(), engine("bench")):
        assert said_to(fold(one, addressed(1, Metadata(tags=("to:user:staff:7",))))) == [(DIRECT, "user:staff:7", b"1")]


def test_type_priority_and_expiry_of_addressed_messages() -> None:
    """An alert for one user is as urgent as it was said to be, and ends when it was said to end."""
    metadata = Metadata(priority=99, tags=("to:user:staff:7", "as:alert"), expires_at=to_datetime(START_MS + 5))
    (entry,) = fold(engine(), addressed(1, metadata)).records[0].entries
    assert (entry.type, entry.priority, entry.expires_ms, entry.path) == ("alert", 3, START_MS + 5, "/")


@pytest.mark.parametrize("tag", ["to:", "to:user:", "to:user:7", "to:user:x:7", "to:role:x", "to:user:a b"])
def test_a_malformed_address_reaches_nobody(tag: str) -> None:
    """What was meant for somebody and names nobody is not shown to everybody; the other addresses hold."""
    one = engine("bench")
    for tags, targets in (((tag,), []), ((tag, "to:user:staff:7"), ["user:staff:7"])):
        batch = fold(one, opening(one, "bench"), addressed(1, Metadata(category="bench", tags=tags)))
        assert [target for _, target, _ in said_to(batch)] == targets


def test_other_tags_address_nobody() -> None:
    """Tags of an application's own bring no message, nor do they keep one from an open topic."""
    one = engine("bench")
    said = [
        addressed(number, Metadata(category=name, tags=("bulk:1", "as:alert")))
        for number, name in enumerate(("", "bench"))
    ]
    assert said_to(fold(one, opening(one, "bench"), *said)) == [("bench", "", b"1")]


def test_events_of_the_domain_may_be_addressed_too() -> None:
    """A fact that flows know is folded by them and told to whom it names."""
    said = addressed({"x": 1}, Metadata(tags=("to:client:till-3",)), type="wager.placed")
    assert said_to(fold(engine(), said)) == [(DIRECT, "client:till-3", b'{"x":1}')]


def test_no_open_topic_takes_the_place_of_the_internal_one() -> None:
    """Nobody publishes to everybody what the server takes for addressed."""
    with pytest.raises(SetupError) as caught:
        Relay(("bench", DIRECT))
    assert caught.value.code.name == "config_invalid"
    assert "direct" in caught.value.message
