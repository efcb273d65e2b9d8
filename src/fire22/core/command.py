"""Commands: what a WebSocket client asks for. Each has a client-chosen integer `id` and gets one answer with it."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.event import Event
from fire22.core.message import Json

LAST_MAX: Final = 500


class _Command(Struct, frozen=True, tag_field="command", tag=str.lower, forbid_unknown_fields=True):
    id: int


class Subscribe(_Command, frozen=True):
    """Follow a topic; a second one on the same (target, scope) replaces the first."""

    target: str
    scope: str | None = None
    filter: dict[str, Json] | None = None
    delta: bool = False
    last: Annotated[int, Meta(ge=0, le=LAST_MAX)] = 0
    after: str | None = None
    max_rate_hz: float | None = None
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
    before: int | None = None
    limit: int = 100


class Publish(_Command, frozen=True):
    """Append an event, where the role allows it."""

    event: Event


class Ping(_Command, frozen=True):
    """Ask for the server's time and the watermark."""


Command = Subscribe | Unsubscribe | Auth | History | Publish | Ping
NAMES: Final = ("subscribe", "unsubscribe", "auth", "history", "publish", "ping")

_decoder: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)


class _Loose(Struct):
    id: int | UnsetType = UNSET
    command: Json | UnsetType = UNSET


class CommandError(RequestError):
    """A frame that is no command; `id` is the sender's where one could be read."""

    id: int | None = None


def parse_command(frame: str | bytes) -> Command:
    """Read one frame.

    Raises:
        CommandError: `json_invalid`, `command_unknown`, `command_invalid` or `event_invalid`; names the field.
    """
    try:
        return _decoder.decode(frame)
    except msgspec.ValidationError as error:
        raise _explain(frame, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandError(codes.JSON_INVALID, f"The frame is not JSON: {error}.") from None


def _explain(frame: str | bytes, why: str) -> CommandError:
    try:
        loose = msgspec.json.decode(frame, type=_Loose)
    except msgspec.ValidationError:
        loose = _Loose()
    if loose.command is UNSET or loose.command not in NAMES:
        known = ", ".join(NAMES)
        error = CommandError(codes.COMMAND_UNKNOWN, f"A frame is an object with a `command` out of: {known}.")
    elif loose.command == "publish" and "`$.event" in why:
        error = CommandError(codes.EVENT_INVALID, f"The event is not valid: {why}.")
    else:
        error = CommandError(codes.COMMAND_INVALID, f"The {loose.command} command is not valid: {why}.")
    if isinstance(loose.id, int):
        error.id = loose.id
    return error
