"""Commands: every frame a client can send is read, or refused with a code and its id."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fire22.core.command import (
    LAST_MAX,
    NAMES,
    Auth,
    Command,
    CommandError,
    History,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
    parse_binary_command,
    parse_command,
)

EVENT = '{"id":"a","type":"a.b","source":"s","timestamp":"2026-01-31T12:00:00Z","data":{}}'


def publish(id: int, event: str) -> str:
    """A frame that publishes an event."""
    return f'{{"id":{id},"command":"publish","event":{event}}}'


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"id":1,"command":"ping"}', Ping(1)),
        ('{"command":"ping","id":-9007199254740993}', Ping(-9007199254740993)),
        ('{"id":2,"command":"auth","token":"x"}', Auth(2, "x")),
        ('{"id":3,"command":"unsubscribe","target":"kpi","scope":"/M1"}', Unsubscribe(3, "kpi", "/M1")),
        ('{"id":4,"command":"history","target":"wagers"}', History(4, "wagers")),
        ('{"id":5,"command":"subscribe","target":"kpi"}', Subscribe(5, "kpi")),
        (
            '{"id":6,"command":"subscribe","target":"wagers","scope":"/M1","filter":{"a":[1]},"delta":true,"last":500,'
            '"after":"x","max_rate_hz":2,"lossy":true,"at":"y","speed":4}',
            Subscribe(6, "wagers", "/M1", {"a": [1]}, True, LAST_MAX, "x", 2.0, True, "y", 4.0),
        ),
    ],
)
def test_read(frame: str, expected: Command) -> None:
    """Each command is read with all its fields, from text and from bytes."""
    assert parse_command(frame) == expected
    assert parse_command(frame.encode()) == expected


def test_publish() -> None:
    """A published event is read whole."""
    command = parse_command(publish(7, EVENT))
    assert isinstance(command, Publish)
    assert (command.event.id, bytes(command.event.data)) == ("a", b"{}")


@pytest.mark.parametrize(
    ("frame", "code", "id"),
    [
        ("", "json_invalid", None),
        ("{", "json_invalid", None),
        ("nonsense", "json_invalid", None),
        (b'{"id":1,"command":"\xff"}', "json_invalid", None),
        ('{"id":1,"command":"nope"', "json_invalid", None),
        ('{"id":1,"command":"ping","x":1', "json_invalid", None),
        ('{"id":"a","command":"ping" ', "json_invalid", None),
        ('{"id":1,"command":"ping"} x', "json_invalid", None),
        ('{"id":1,"command":"subscribe","target":"kpi","filter":{"a":' + "[" * 100_000, "json_invalid", None),
        ('{"id":1,"command":"ping","x":' + "[" * 100_000 + "]" * 100_000 + "}", "json_invalid", None),
        ("[" * 100_000, "command_unknown", None),
        ("5", "command_unknown", None),
        ("null", "command_unknown", None),
        ('["ping"]', "command_unknown", None),
        ("{}", "command_unknown", None),
        ('{"id":1}', "command_unknown", 1),
        ('{"id":1,"command":"nope"}', "command_unknown", 1),
        ('{"id":1,"command":"Ping"}', "command_unknown", 1),
        ('{"id":1,"command":5}', "command_unknown", 1),
        ('{"id":1,"command":["ping"]}', "command_unknown", 1),
        ('{"id":1,"command":null}', "command_unknown", 1),
        ('{"command":"ping"}', "command_invalid", None),
        ('{"id":"a","command":"ping"}', "command_invalid", None),
        ('{"id":true,"command":"ping"}', "command_invalid", None),
        ('{"id":1.5,"command":"ping"}', "command_invalid", None),
        ('{"id":1,"command":"ping","extra":1}', "command_invalid", 1),
        ('{"id":1,"command":"subscribe"}', "command_invalid", 1),
        ('{"id":1,"command":"subscribe","target":5}', "command_invalid", 1),
        ('{"id":1,"command":"subscribe","target":"kpi","filter":[]}', "command_invalid", 1),
        ('{"id":1,"command":"subscribe","target":"kpi","last":-1}', "command_invalid", 1),
        ('{"id":1,"command":"subscribe","target":"kpi","last":501}', "command_invalid", 1),
        ('{"id":1,"command":"subscribe","target":"kpi","delta":1}', "command_invalid", 1),
        ('{"id":1,"command":"auth"}', "command_invalid", 1),
        ('{"id":1,"command":"publish"}', "command_invalid", 1),
        ('{"id":1,"command":"publish","event":5}', "event_invalid", 1),
        ('{"id":1,"command":"publish","event":{"id":"a"}}', "event_invalid", 1),
        (publish(1, EVENT.replace("a.b", "a")), "event_invalid", 1),
        (publish(1, EVENT.replace("2026", "1026")), "event_invalid", 1),
        (publish(1, EVENT.replace("{}", "[" * 70 + "]" * 70)), "event_invalid", 1),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refused(frame: str | bytes, code: str, id: int | None) -> None:
    """A frame that is no command is refused with a code, and with the sender's id where it has one."""
    with pytest.raises(CommandError) as caught:
        parse_command(frame)
    assert (caught.value.code.name, caught.value.id) == (code, id)


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ('{"id":1,"command":"ping","extra":1}', "extra"),
        ('{"id":1,"command":"subscribe","target":5}', "$.target"),
        ('{"id":"a","command":"subscribe","target":"kpi"}', "$.id"),
        ('{"id":1,"command":"nope"}', ", ".join(NAMES)),
        ('{"id":1,"command":"publish","event":{"id":7}}', "$.event.id"),
    ],
)
def test_names_what_is_wrong(frame: str, named: str) -> None:
    """The message says which field it is, or which commands there are."""
    with pytest.raises(CommandError) as caught:
        parse_command(frame)
    assert named in caught.value.message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), msgspec.msgpack.Ext(1, b"x")])
def test_a_binary_frame_with_what_json_lacks_is_answered_by_its_id(value: object) -> None:
    """Whoever sends MessagePack with such a value learns which of the commands it was in."""
    frame = msgspec.msgpack.encode({"id": 7, "command": "subscribe", "target": "kpi", "max_rate_hz": value})
    with pytest.raises(CommandError) as caught:
        parse_binary_command(frame)
    assert (caught.value.code.name, caught.value.id) == ("json_invalid", 7)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([*NAMES, "kpi", "/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["id", "command", "target", "scope", "filter", "last", "after", "event", "token", "x"])


@given(frame=st.dictionaries(FIELDS, VALUES), cut=st.integers(0, 200), junk=st.binary(max_size=4))
def test_any_frame(frame: dict[str, object], cut: int, junk: bytes) -> None:
    """Whatever comes, whole or cut or with junk in it, is a command or a CommandError, never anything else."""
    body = msgspec.json.encode(frame)
    for each in (body, body[:cut], body[:cut] + junk + body[cut:]):
        try:
            parse_command(each)
        except CommandError as error:
            assert error.code.name in ("json_invalid", "command_unknown", "command_invalid", "event_invalid")


def test_a_binary_frame_that_is_no_map_is_read_no_further() -> None:
    """A kilobyte on the wire can be a million arrays: only what can be a command is made into objects."""
    with pytest.raises(CommandError) as caught:
        parse_binary_command(b"\xdd\x00\x0f\xff\xf0" + b"\x90" * 1_000)
    assert caught.value.code.name == "json_invalid"
    assert "map" in caught.value.message
