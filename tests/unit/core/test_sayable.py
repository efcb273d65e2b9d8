"""Which values every codec can say."""

import msgspec
import pytest

from fire22.core.message import Json
from fire22.core.sayable import INTEGER_MAX, INTEGER_MIN, is_sayable, left_out, salvage, sayable_part, why_unsayable


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"18446744073709551615", ""),
        (b"18446744073709551616", "64 bits"),
        (b"-9223372036854775808", ""),
        (b"[-9223372036854775809]", "64 bits"),
        (b"1.7976931348623157e308", ""),
        (b'{"a":1.8e308}', "double"),
        (b"-1e400", "double"),
        (b"1e-400", ""),
        (b"1" + b"0" * 5000, "double"),
        (b"0." + b"1" * 5000, ""),
        (b'"\\ud83d\\ude00"', ""),
        (b'"\\ud83d"', "surrogate"),
        (b'{"\\udc00":1}', "surrogate"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b"NaN", "not JSON"),
    ],
)
def test_why(data: bytes, why: str) -> None:
    """A sender is told which kind of value nobody could be sent."""
    assert (why in why_unsayable(data)) if why else not why_unsayable(data)
    if "JSON" not in why:
        assert is_sayable(salvage(data)) is not bool(why)


def test_what_passes_can_be_written_by_every_codec() -> None:
    """The bounds are those of MessagePack, so that what is accepted can be delivered."""
    for value in (INTEGER_MIN, INTEGER_MAX):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == value
    for value in (INTEGER_MIN - 1, INTEGER_MAX + 1):
        with pytest.raises(OverflowError):
            msgspec.msgpack.encode(value)


def test_of_a_reply_the_rest_is_kept() -> None:
    """A snapshot loses the one message that cannot be said; a message that is all there is, itself."""
    good: Json = {"type": "update", "data": 1}
    bad: Json = {"type": "update", "target": "bench", "offset": 7, "data": 2**70}
    reply: Json = {"type": "reply", "id": 3, "data": {"position": "p", "snapshot": [good, bad]}}
    assert sayable_part(reply) == ({"type": "reply", "id": 3, "data": {"position": "p", "snapshot": [good]}}, [bad])
    assert sayable_part(bad) == (None, [bad])
    error = left_out(bad)
    assert (error.code, error.details, error.id) == ("message_unsayable", {"target": "bench", "offset": 7}, None)
    assert left_out({"type": "reply", "id": 3, "data": 2**70}).id == 3
