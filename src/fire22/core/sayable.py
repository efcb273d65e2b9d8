"""Which JSON values can be said in every codec, so that one value never stops anybody else.

JSON's grammar has values that its readers do not agree on: an integer beyond 64 bits cannot be written in MessagePack,
a number beyond a double is none in Python and Infinity in JavaScript, half of a surrogate pair is no text in UTF-8.
What enters is refused where it holds one; what an older log holds costs only its own message.
"""

import json
import math
from typing import Final

import msgspec
from msgspec import Raw

from fire22.core import codes
from fire22.core.message import Json, Message, error_message

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1
_DIGITS_MAX: Final = 400  # more than any number has that can be said
FEW_BYTES: Final = 4096  # up to here it is the least to do what every codec would do
_DIGITS: Final = bytes.maketrans(b"123456789E", b"000000000e")
_LONG: Final = b"0" * 19  # an integer, or a fraction, that may be beyond 64 bits
_LARGE: Final = (b"e000", b"e+000")  # an exponent of three digits and more; a small number is 0
_decode: Final = msgspec.json.Decoder().decode
_skip: Final = msgspec.json.Decoder(Raw).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def why_unsayable(data: bytes) -> str:
    """Why JSON cannot be said in every codec; empty where it can. One pass of the decoder and the encoder, about 2 µs.

    Raises:
        RecursionError: it is nested too deep to be looked at.
    """
    if len(data) > FEW_BYTES and _is_plain(data):
        return ""
    try:
        _encode(_decode(data))
    except OverflowError:
        return "it holds an integer beyond 64 bits"
    except msgspec.ValidationError:
        return "it holds a number beyond a double"
    except UnicodeDecodeError:
        return "it holds text that is not UTF-8"
    except msgspec.DecodeError:
        return "it holds half of a surrogate pair" if is_grammatical(data) else "it is not JSON"
    return ""


def _is_plain(data: bytes) -> bool:
    """Whether JSON is valid and can be said by what its bytes show, without an object for each value."""
    digits = data.translate(_DIGITS)
    if _LONG in digits or any(exponent in digits for exponent in _LARGE):
        return False
    try:
        _skip(data)
        return data.isascii() or bool(data.decode())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def is_grammatical(data: bytes) -> bool:
    """Whether this is JSON by its grammar alone, whatever its numbers and texts."""
    try:
        json.loads(data, parse_int=_nothing, parse_float=_nothing, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def salvage(text: str | bytes) -> Json:
    """JSON as its grammar has it: a number that cannot be said is infinite, and what is no UTF-8 is half a surrogate.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        decoded = text.decode(errors="surrogateescape") if isinstance(text, bytes) else text
        found: Json = json.loads(decoded, parse_int=_integer, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return found


def sayable_part(message: Json) -> tuple[Json, list[Json]]:
    """What can be said of a message: of a reply with messages in it, those that can; None where nothing can.

    Returns:
        The rest, and what was left out.
    """
    if is_sayable(message):
        return message, []
    if isinstance(message, dict) and message.get("type") == "reply" and isinstance(message.get("data"), dict):
        data: dict[str, Json] = dict(message["data"])  # type: ignore[arg-type]
        lost: list[Json] = []
        for name, value in data.items():
            if isinstance(value, list):
                lost += (each for each in value if not is_sayable(each))
                data[name] = [each for each in value if is_sayable(each)]
        rest: Json = {**message, "data": data}
        if is_sayable(rest):
            return rest, lost
    return None, [message]


def left_out(message: Json) -> Message:
    """The error in the place of a message that cannot be said; it answers the command that the message answered."""
    fields = message if isinstance(message, dict) else {}
    about: dict[str, Json] = {name: fields[name] for name in ("target", "scope", "offset") if name in fields}
    id = fields.get("id")
    code = codes.MESSAGE_UNSAYABLE
    timestamp = str(fields.get("timestamp", ""))
    return error_message(
        "error", timestamp, code.name, code.meaning, id=id if isinstance(id, int) else None, details=about
    )


def is_sayable(value: Json) -> bool:
    """Whether every codec can say a value."""
    if isinstance(value, dict):
        return all(is_sayable(key) and is_sayable(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(is_sayable, value))
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or INTEGER_MIN <= value <= INTEGER_MAX


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS_MAX else math.inf


def _nothing(_: str) -> None:
    """Numbers are not looked at."""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
