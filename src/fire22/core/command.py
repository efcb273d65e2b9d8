"""Commands: what a WebSocket client asks for. Each has a client-chosen integer `id` and gets one answer with it."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.event import NO_TEXT, SubmittedEvent
from fire22.core.message import Json
from fire22.core.nesting import BRACKETS_MAX, why_binary_too_much
from fire22.core.sayable import FEW_BYTES, salvage

LAST_MAX: Final = 500
RATE_HZ_MIN: Final = 0.1
RATE_HZ_MAX: Final = 1_000
INTEGER_MAX: Final = 2**63 - 1  # what SQLite and every codec can hold
DIGITS_MAX: Final = 18
COMMAND_BYTES_MAX: Final = 16_384  # of a frame that publishes nothing


class _Command(Struct, frozen=True, tag_field="command", tag=str.lower, forbid_unknown_fields=True):
    id: Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]


class Subscribe(_Command, frozen=True):
    """Follow a topic; a second one on the same (target, scope) replaces the first."""

    target: str
    scope: str | None = None
    filter: dict[str, Json] | None = None
    delta: bool = False
    last: Annotated[int, Meta(ge=0, le=LAST_MAX)] = 0
    after: str | None = None
    max_rate_hz: Annotated[float, Meta(ge=RATE_HZ_MIN, le=RATE_HZ_MAX)] | None = None
    lossy: bool = False
    at: str | None = None
    speed: float | None = None


class Unsubscribe(_Command, frozen=True):
    """Stop following."""

    target: str
    scope: str | None = None


class Auth(_Command, frozen=True):
    """Authenticate, or refresh the token without a reconnect."""

    token: str


class History(_Command, frozen=True):
    """Older messages of a stream."""

    target: str
    scope: str | None = None
    filter: dict[str, Json] | None = None
    before: Annotated[int, Meta(ge=1, le=INTEGER_MAX)] | None = None
    limit: Annotated[int, Meta(ge=1, le=LAST_MAX)] = 100


class Publish(_Command, frozen=True):
    """Append an event, where the role allows it."""

    event: SubmittedEvent


class Ping(_Command, frozen=True):
    """Ask for the server's time and the watermark."""


Command = Subscribe | Unsubscribe | Auth | History | Publish | Ping
NAMES: Final = ("subscribe", "unsubscribe", "auth", "history", "publish", "ping")
_UNKNOWN: Final = f"A frame is an object with a `command` out of: {', '.join(NAMES)}."

_decoder: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)


class _Named(Struct):
    """What a frame asks for; all else is passed over."""

    id: int = 0
    command: str = ""


_named: Final = msgspec.json.Decoder(_Named)


class _Loose(Struct):
    id: Json | UnsetType = UNSET
    command: Json | UnsetType = UNSET


class CommandError(RequestError):
    """A frame that is no command; `id` is the sender's where one could be read."""

    id: int | None = None


def as_number(text: str) -> int | str:
    """A whole number of a path or a query, where the text is one that SQLite could hold; else the text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX else text


def parse_command(frame: str | bytes) -> Command:
    """Read one frame.

    Raises:
        CommandError: `json_invalid`, `command_unknown`, `command_invalid` or `event_invalid`; names the field.
    """
    if len(frame) > FEW_BYTES:
        _check_size(frame)
    try:
        return _decoder.decode(frame)
    except msgspec.ValidationError as error:
        why = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _explain_text(frame, str(error)) from None
    except RecursionError:
        raise CommandError(codes.JSON_INVALID, "The frame is nested too deep.") from None
    raise _explain(frame, why)


def _check_size(frame: str | bytes) -> None:
    """Refuse a large frame before objects are made of it, by passes over its bytes.

    Raises:
        CommandError: `json_invalid` or `command_invalid`.
    """
    data = frame.encode() if isinstance(frame, str) else frame
    try:
        named = _named.decode(data)
    except msgspec.ValidationError:
        raise CommandError(codes.COMMAND_UNKNOWN, _UNKNOWN) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # What is wrong with a frame of moderate size is told more exactly.
        if len(data) > COMMAND_BYTES_MAX:
            raise CommandError(codes.JSON_INVALID, f"The frame is not a command in JSON: {error}.") from None
        return
    if named.command != "publish" and len(data) > COMMAND_BYTES_MAX:
        message = f"A frame has at most {COMMAND_BYTES_MAX} bytes unless it publishes."
        raise _answering(CommandError(codes.COMMAND_INVALID, message), named.id)
    if len(data) > BRACKETS_MAX and data.count(b"[") + data.count(b"{") > BRACKETS_MAX:
        message = f"The frame holds more than {BRACKETS_MAX} opening brackets."
        raise _answering(CommandError(codes.EVENT_INVALID, message), named.id)


def parse_binary_command(frame: bytes) -> Command:
    """Read one binary frame: MessagePack, or JSON all the same.

    Raises:
        CommandError: as `parse_command`.
    """
    if frame.lstrip()[:1] == b"{":
        return parse_command(frame)
    if not _is_map(frame):
        raise CommandError(codes.JSON_INVALID, "A binary frame holds a map in MessagePack, or a JSON object.")
    said = None
    why = why_binary_too_much(frame)
    if why and len(frame) > COMMAND_BYTES_MAX:
        raise CommandError(codes.JSON_INVALID, f"The frame is refused: {why}.")
    try:
        said = msgspec.msgpack.decode(frame)
        if not why:
            return parse_command(msgspec.json.encode(said))
        found = CommandError(codes.JSON_INVALID, f"The frame is refused: {why}.")
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
        found = CommandError(codes.JSON_INVALID, f"The frame is not MessagePack: {error}.")
    raise _answering(found, said.get("id") if isinstance(said, dict) else None)


def _is_map(frame: bytes) -> bool:
    """Whether a frame begins as a map does in MessagePack: nothing else is read, however much it would become."""
    return bool(frame) and (0x80 <= frame[0] <= 0x8F or frame[0] in (0xDE, 0xDF))


def _explain(frame: str | bytes, why: str) -> CommandError:
    """What is wrong with a frame that is no command; the decoder stops at the first thing that does not fit."""
    try:
        loose = msgspec.json.decode(frame, type=_Loose)
    except msgspec.ValidationError:
        loose = _Loose()  # no object
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return CommandError(codes.JSON_INVALID, f"The frame is not JSON: {error}.")
    except RecursionError:
        return CommandError(codes.JSON_INVALID, "The frame is nested too deep.")
    if loose.command is UNSET or loose.command not in NAMES:
        found = CommandError(codes.COMMAND_UNKNOWN, _UNKNOWN)
    elif loose.command == "publish" and "`$.event" in why:
        found = CommandError(codes.EVENT_INVALID, f"The event is not valid: {why}.")
    else:
        found = CommandError(codes.COMMAND_INVALID, f"The {loose.command} command is not valid: {why}.")
    return _answering(found, loose.id)


def _explain_text(frame: str | bytes, why: str) -> CommandError:
    """What is wrong with a frame that cannot be read: it is no JSON, or a text in it is none."""
    try:
        said = salvage(frame.decode() if isinstance(frame, bytes) else frame)
    except ValueError:
        return CommandError(codes.JSON_INVALID, f"The frame is not JSON: {why}.")
    if not isinstance(said, dict):
        return CommandError(codes.COMMAND_INVALID, "The frame is no object.")
    code = codes.EVENT_INVALID if said.get("command") == "publish" else codes.COMMAND_INVALID
    return _answering(CommandError(code, NO_TEXT), said.get("id"))


def _answering(error: CommandError, id: object) -> CommandError:
    """The error with the sender's id, where that is one."""
    if isinstance(id, int) and not isinstance(id, bool) and -INTEGER_MAX <= id <= INTEGER_MAX:
        error.id = id
    return error
