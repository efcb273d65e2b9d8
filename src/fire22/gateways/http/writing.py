"""What can be done: events published, commands performed, dead letters dealt with. Answered once it is durable."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from fire22.core import codes
from fire22.core.command import as_number
from fire22.core.errors import RequestError
from fire22.core.event import EVENT_BYTES_MAX, Time, read_events
from fire22.gateways.dead_letters import DeadLetters
from fire22.gateways.http.requests import JSON, json_response, parse
from fire22.gateways.http.route import Call
from fire22.gateways.service import Service
from fire22.gateways.turns import Work
from fire22.log.base import Appended

EVENTS_MAX: Final = 10_000  # in one request
COMMAND_BYTES_MAX: Final = 128 << 10  # of the content of one command
REPLAY_BYTES_MAX: Final = EVENT_BYTES_MAX + 1024  # a dead letter's data, and what is around it
DISMISS_BYTES_MAX: Final = 4096  # a reason of 500 characters, however they are written


class Published(Struct):
    """What became of each event of a request, in its order."""

    results: list[Appended]


class Done(Struct):
    """The place in the log of what was done."""

    seq: int


class Replay(Struct, forbid_unknown_fields=True):
    """What to correct in a dead letter's event."""

    data: Raw | UnsetType = UNSET
    timestamp: Time | UnsetType = UNSET


class Dismiss(Struct, forbid_unknown_fields=True):
    """Why a dead letter is put away."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Writing:
    """Its handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._letters = DeadLetters(service)

    async def events(self, call: Call) -> Response:
        """Append one event or an array of them, all or none; answered once they are durable."""
        appended = await (await self._service.turns.perform(call.principal.user, self._publishing(call)))
        status = 200 if all(each.repeat for each in appended) else 202
        return json_response(Published(appended), status=status)

    def _publishing(self, call: Call) -> Work[Awaitable[list[Appended]]]:
        """Read, check and append them; thousands of events take many slices."""
        events = yield from read_events(call.body)
        if not 0 < len(events) <= EVENTS_MAX:
            raise RequestError(codes.EVENT_INVALID, f"A request holds 1 to {EVENTS_MAX} events, not {len(events)}.")
        return (yield from self._service.publishing(call.principal, events))

    async def command(self, call: Call) -> Response:
        """Perform a command of the domain once; answered once its effect is durable."""
        key = call.request.headers.get("idempotency-key")
        answer = await self._service.act(call.principal, call.request.path_params["name"], call.body, key)
        return Response(answer, media_type=JSON)

    async def approvals(self, call: Call) -> Response:
        """The commands that wait for a second person."""
        return Response(await self._service.approvals(call.principal), media_type=JSON)

    async def replay_letter(self, call: Call) -> Response:
        """Fold a dead letter's event again, as it is or corrected; answered once that is durable."""
        asked = parse(call.body, Replay) if call.body.strip() else Replay()
        return await self._done(self._letters.replay(call.principal, _seq(call.request), asked.data, asked.timestamp))

    async def dismiss_letter(self, call: Call) -> Response:
        """Put a dead letter away; answered once that is durable."""
        asked = parse(call.body, Dismiss)
        return await self._done(self._letters.dismiss(call.principal, _seq(call.request), asked.reason))

    async def _done(self, appending: "asyncio.Future[list[Appended]]") -> Response:
        [appended] = await appending
        return json_response(Done(appended.seq), status=202)


def _seq(request: Request) -> int:
    """The number of a dead letter in the path.

    Raises:
        RequestError: `not_found`, it is none; `command_invalid`, it has more digits than any.
    """
    text = request.path_params["seq"]
    seq = as_number(text)
    if isinstance(seq, int):
        return seq
    code = codes.COMMAND_INVALID if text.isdecimal() else codes.NOT_FOUND
    raise RequestError(code, "A dead letter is named by its `seq`, a whole number.")
