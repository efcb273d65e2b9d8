"""What can be done: events published, commands performed, dead letters dealt with. Answered once it is durable."""

import asyncio
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fire22.core import codes
from fire22.core.command import as_number
from fire22.core.errors import RequestError
from fire22.core.event import Time, parse_events
from fire22.gateways.dead_letters import DeadLetters
from fire22.gateways.http.requests import JSON, body_of, check_parameters, json_response, parse, principal_of
from fire22.gateways.service import Service
from fire22.log.base import Appended

EVENTS_MAX: Final = 10_000  # in one request


class _Replay(Struct, forbid_unknown_fields=True):
    data: Raw | UnsetType = UNSET
    timestamp: Time | UnsetType = UNSET


class _Dismiss(Struct, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


def routes(service: Service) -> list[Route]:
    """Its addresses."""
    writing = _Writing(service)
    return [
        Route("/v1/events", writing.events, methods=["POST"]),
        Route("/v1/commands/{name}", writing.command, methods=["POST"]),
        Route("/v1/dead-letters/{seq}/replay", writing.replay_letter, methods=["POST"]),
        Route("/v1/dead-letters/{seq}/dismiss", writing.dismiss_letter, methods=["POST"]),
    ]


class _Writing:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._letters = DeadLetters(service)

    async def events(self, request: Request) -> Response:
        """Append one event or an array of them, all or none; answered once they are durable."""
        service = self._service
        principal = principal_of(service, request)
        service.access.check_publish(principal)
        events = parse_events(await body_of(request, service.limits.events_bytes_max))
        if not 0 < len(events) <= EVENTS_MAX:
            raise RequestError(codes.EVENT_INVALID, f"A request holds 1 to {EVENTS_MAX} events, not {len(events)}.")
        appended = await service.publish(principal, events)
        status = 200 if all(each.repeat for each in appended) else 202
        return json_response({"results": appended}, status=status)

    async def command(self, request: Request) -> Response:
        """Perform a command of the domain once; answered once its effect is durable."""
        service = self._service
        principal = principal_of(service, request)
        check_parameters(request, set())
        key = request.headers.get("idempotency-key")
        body = await body_of(request, service.limits.message_bytes_max)
        answer = await service.act(principal, request.path_params["name"], body, key)
        return Response(answer, media_type=JSON)

    async def replay_letter(self, request: Request) -> Response:
        """Fold a dead letter's event again, as it is or corrected; answered once that is durable."""
        principal = principal_of(self._service, request)
        body = await body_of(request, self._service.limits.events_bytes_max)
        asked = parse(body, _Replay) if body.strip() else _Replay()
        return await self._done(self._letters.replay(principal, _seq(request), asked.data, asked.timestamp))

    async def dismiss_letter(self, request: Request) -> Response:
        """Put a dead letter away; answered once that is durable."""
        principal = principal_of(self._service, request)
        asked = parse(await body_of(request, self._service.limits.events_bytes_max), _Dismiss)
        return await self._done(self._letters.dismiss(principal, _seq(request), asked.reason))

    async def _done(self, appending: "asyncio.Future[list[Appended]]") -> Response:
        [appended] = await appending
        return json_response({"seq": appended.seq}, status=202)


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
