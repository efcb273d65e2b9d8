"""Events: what may go in, and what is said about what may not."""

import random
from datetime import UTC, datetime

import msgspec
import pytest

from fire22.core.errors import RequestError
from fire22.core.event import (
    Event,
    Metadata,
    Priority,
    decode_event,
    encode_event,
    parse_events,
    read_events,
    same_content,
)
from fire22.core.message import Json
from fire22.core.nesting import DEPTH_MAX, why_too_much
from fire22.core.times import to_text

GOOD: dict[str, Json] = {
    "id": "till-7:123",
    "type": "payment.completed",
    "source": "till-7",
    "timestamp": "2026-01-31T12:00:00.250Z",
    "data": {"amount": 12.5, "näme": [None, True]},
    "metadata": {"priority": 2, "category": "bench", "tags": ["a", "b"], "expiresAt": "2026-01-31T13:00:00+01:00"},
}


def parse(**changes: Json) -> Event:
    """The good event with some fields changed; None takes one away."""
    changed = {name: value for name, value in (GOOD | changes).items() if value is not None}
    [event] = parse_events(msgspec.json.encode(changed))
    return event


def test_fields() -> None:
    """Every public field arrives as it was sent."""
    event = parse()
    assert (event.id, event.type, event.source) == ("till-7:123", "payment.completed", "till-7")
    assert to_text(event.at_ms) == GOOD["timestamp"]
    assert msgspec.json.decode(event.data) == GOOD["data"]
    assert event.metadata == Metadata(2, "bench", ("a", "b"), datetime(2026, 1, 31, 12, tzinfo=UTC))


def test_only_what_must_be() -> None:
    """An event without metadata is of normal priority and has no address; null is data."""
    event = parse(metadata=None)
    assert event.metadata == Metadata()
    assert event.metadata.level is Priority.NORMAL
    assert parse_events(b'{"id":"a","type":"a.b","source":"s","timestamp":"2026-01-31T12:00:00Z","data":null}')


def test_round_trip() -> None:
    """The log gives back what was appended."""
    event = parse()
    encoded = encode_event(event)
    assert encoded.id == event.id
    assert encode_event(decode_event(encoded.body)) == encoded


def test_many() -> None:
    """An array is many events, in order, and may begin behind white space."""
    body = b" \n[%b,%b]" % (msgspec.json.encode(GOOD), msgspec.json.encode(GOOD | {"id": "other"}))
    assert [event.id for event in parse_events(body)] == ["till-7:123", "other"]
    assert parse_events(b"[]") == []


def test_many_are_read_one_by_one() -> None:
    """Thousands of events are read in steps, between which others go on; what is wrong names its place among them."""
    one = msgspec.json.encode(GOOD)
    steps = read_events(b"[" + b",".join([one] * 1_000) + b"]")
    assert sum(1 for _ in steps) == 1_000
    for wrong, place in ((GOOD | {"id": 1}, "`$[2].id`"), ({"id": "a"}, "`$[2]`")):
        with pytest.raises(RequestError) as caught:
            parse_events(b"[" + b",".join([one, one, msgspec.json.encode(wrong)]) + b"]")
        assert caught.value.code.name == "event_invalid"
        assert place in caught.value.message


@pytest.mark.parametrize(("given", "level"), [(-(10**30), 0), (-1, 0), (0, 0), (3, 3), (4, 3), (10**30, 3)])
def test_priorities_are_clamped(given: int, level: int) -> None:
    """A priority outside 0 to 3 is the nearest of them."""
    assert parse(metadata={"priority": given}).metadata.level == level


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"id": 5}, "id"),
        ({"type": None}, "type"),
        ({"type": "payment"}, "type"),
        ({"type": "Payment.Completed"}, "type"),
        ({"type": "payment..completed"}, "type"),
        ({"type": "payment.completed\n"}, "type"),
        ({"type": "a." + "b" * 100}, "type"),
        ({"source": None}, "source"),
        ({"source": ""}, "source"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-01-31T12:00:00"}, "timestamp"),
        ({"timestamp": 1_769_860_800}, "timestamp"),
        ({"timestamp": "2026-02-30T12:00:00Z"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59.999999Z"}, "timestamp"),
        ({"data": None}, "data"),
        ({"metadata": 5}, "metadata"),
        ({"metadata": {"priority": "high"}}, "metadata.priority"),
        ({"metadata": {"priority": 1.5}}, "metadata.priority"),
        ({"metadata": {"category": "x" * 65}}, "metadata.category"),
        ({"metadata": {"tags": "a"}}, "metadata.tags"),
        ({"metadata": {"tags": ["x"] * 33}}, "metadata.tags"),
        ({"metadata": {"tags": ["x" * 257]}}, "metadata.tags"),
        ({"metadata": {"expiresAt": "soon"}}, "metadata.expiresAt"),
        ({"metadata": {"expiresAt": "1970-01-01T00:00:00Z"}}, "expiresAt"),
        ({"metadata": {"expiresAt": "9999-12-31T23:59:59-14:00"}}, "expiresAt"),
    ],
)
def test_refused(changes: dict[str, Json], named: str) -> None:
    """Whoever sends a bad event is told which field is wrong."""
    with pytest.raises(RequestError) as caught:
        parse(**changes)
    assert caught.value.code.name == "event_invalid"
    assert named in caught.value.message


@pytest.mark.parametrize("at", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2026-01-31T12:00:00-12:00"])
def test_times_can_be_said(at: str) -> None:
    """Every time that is accepted can be written on the wire."""
    written = to_text(parse(timestamp=at).at_ms)
    assert datetime.fromisoformat(written) == datetime.fromisoformat(at)


@pytest.mark.parametrize("body", [b"", b"{", b"[", b'{"id":"a"', b"\xff", b'{"id":"\xff"}', b"nonsense", b"[{}}"])
def test_not_json(body: bytes) -> None:
    """What is not JSON is told from an event that is wrong."""
    with pytest.raises(RequestError) as caught:
        parse_events(body)
    assert caught.value.code.name in ("json_invalid", "event_invalid")


def nested(depth: int) -> Json:
    """Arrays and objects in each other."""
    value: Json = "[{" * 100
    for level in range(depth):
        value = [1, value, "]"] if level % 2 else {"a": True, "b": value}
    return value


def test_nesting() -> None:
    """An event is nested so deep that every reader can take it, and no deeper."""
    assert parse(data=nested(DEPTH_MAX))
    with pytest.raises(RequestError, match="nested") as caught:
        parse(data=nested(DEPTH_MAX + 1))
    assert caught.value.code.name == "event_invalid"
    for bomb in (b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 100_000):
        with pytest.raises(RequestError):
            parse_events(b'{"id":"a","type":"a.b","source":"s","timestamp":"2026-01-31T12:00:00Z","data":%b}' % bomb)
        with pytest.raises(RequestError):
            parse_events(bomb)


def test_depth_is_that_of_the_text() -> None:
    """Brackets within texts and wide arrays are not depth; the measure agrees with a count by hand."""
    seed = 20_260_131
    print("seed", seed)
    chance = random.Random(seed)

    def build(depth: int) -> Json:
        if not depth:
            return chance.choice(["]", '"[', "\\", '[\\"{', 1, None, [], {}])
        beside: list[Json] = ["}", 2]
        inner = [build(depth - 1), *(chance.choice(beside) for _ in range(chance.randrange(3)))]
        chance.shuffle(inner)
        if chance.random() < 0.5:
            return inner
        return {f'"{{{number}': each for number, each in enumerate(inner)}

    for _ in range(300):
        depth = chance.choice([1, DEPTH_MAX - 2, DEPTH_MAX - 1, DEPTH_MAX, DEPTH_MAX + 1])
        value = build(depth)
        deepest = 0

        def measure(each: Json, level: int) -> None:
            nonlocal deepest
            if isinstance(each, dict | list):
                deepest = max(deepest, level)
                for inner in each.values() if isinstance(each, dict) else each:
                    measure(inner, level + 1)

        measure(value, 1)
        assert bool(why_too_much(msgspec.json.encode(value))) is (deepest > DEPTH_MAX)
    assert not why_too_much(b"[" + b"[]," * 10_000 + b"{}]")


HEAD = '"id":"a","type":"a.b","source":"s"'
AT = '"timestamp":"2026-01-31T12:00:00Z"'


def an_event(data: str, *, at: str = AT, metadata: str = "") -> bytes:
    """An event as the log could hold it."""
    return f'{{{HEAD},{at},"data":{data}{metadata}}}'.encode()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (an_event('{"a":1,"b":[2,3]}'), an_event('{"b":[2,3],"a":1}'), True),
        (an_event('{"a":[1,2]}'), an_event('{"a":[2,1]}'), False),
        (an_event('{"a":1}'), an_event('{"a":"1"}'), False),
        (an_event('"\\u00e9"'), an_event('"é"'), True),
        (an_event("1"), an_event("1.0"), True),
        (an_event("[100, 1e2]"), an_event("[1e2,100.00]"), True),
        (an_event("1"), an_event("true"), False),
        (an_event("0"), an_event("false"), False),
        (an_event("9007199254740993"), an_event("9007199254740992.0"), False),
        (an_event("null"), an_event("0"), False),
        (an_event("1"), an_event("1", metadata=',"metadata":{"priority":1,"tags":[],"category":""}'), True),
        (an_event("1"), an_event("1", metadata=',"metadata":{"priority":2}'), False),
        (an_event("1"), an_event("1", at='"timestamp":"2026-01-31T14:00:00.000+02:00"'), True),
        (an_event("1"), an_event("1", at='"timestamp":"2026-01-31T12:00:00.001Z"'), False),
        (
            an_event("1", metadata=',"metadata":{"expiresAt":"2026-02-01T00:00:00Z"}'),
            an_event("1", metadata=',"metadata":{"expiresAt":"2026-02-01T01:00:00+01:00"}'),
            True,
        ),
        (an_event("1e400"), an_event("1e400", metadata=',"metadata":{"priority":1}'), True),
        (an_event("1e400"), an_event("1e401"), False),
    ],
)
def test_same_content(one: bytes, other: bytes, same: bool) -> None:
    """A repeat is known by what it says: not by the order of keys, a said default, or how a number is written."""
    assert same_content(one, other) is same
    assert same_content(other, one) is same
