"""What can be read: snapshots of views, a stream's past, closed periods, and answers to questions."""

import asyncio

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fire22.core import codes
from fire22.core.command import History, as_number
from fire22.core.errors import RequestError
from fire22.core.times import to_text
from fire22.core.topic import Kind
from fire22.gateways.http import archive
from fire22.gateways.http.requests import JSON, check_parameters, json_response, principal_of
from fire22.gateways.replies import page_data
from fire22.gateways.service import Service
from fire22.hub.base import LaneKey
from fire22.hub.codec import PLAIN


class _View(Struct, omit_defaults=True):
    topic: str
    scope: str
    position: str
    watermark: str
    documents: Raw
    problem: str = ""


def routes(service: Service) -> list[Route]:
    """Its addresses."""
    reading = _Reading(service)
    return [
        Route("/v1/views/{topic}", reading.view),
        Route("/v1/history/{topic}", reading.history),
        Route("/v1/archive/{topic}", reading.archive),
        Route("/v1/query/{name}", reading.query),
    ]


class _Reading:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def view(self, request: Request) -> Response:
        """One snapshot of a view, with its position and an ETag."""
        service = self._service
        principal = principal_of(service, request)
        check_parameters(request, {"scope", "at"})
        if "at" in request.query_params:
            raise RequestError(codes.NOT_SUPPORTED, "The field `at` is reserved and not served by this version.")
        name = request.path_params["topic"]
        topic, scope = service.find(principal, name, request.query_params.get("scope"))
        if topic.kind is not Kind.VIEW:
            raise RequestError(codes.TOPIC_UNKNOWN, f"{name} is a stream, not a view; subscribe to it.")
        hub = service.hub
        tag = f'"{hub.position(hub.changed_at(name, scope))}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        page, offset = await hub.snapshot(topic, LaneKey(name, scope, None, False, PLAIN.name), 0)
        messages = Raw(b"[%b]" % page.messages)
        complete = to_text(hub.complete_ms(name, scope))
        view = _View(name, scope, str(hub.position(offset)), complete, messages, hub.problem)
        return json_response(view, headers={"etag": tag, "cache-control": "no-cache"})

    async def history(self, request: Request) -> Response:
        """A page of a stream's past, as the history command gives it."""
        service = self._service
        principal = principal_of(service, request)
        check_parameters(request, {"scope", "before", "limit"})
        asked = {name: as_number(value) for name, value in request.query_params.items()}
        try:
            command = msgspec.convert({"id": 0, "target": request.path_params["topic"]} | asked, History)
        except msgspec.ValidationError as error:
            raise RequestError(codes.COMMAND_INVALID, f"The request is not valid: {error}.") from None
        key = service.history(principal, command, PLAIN)
        page = await service.hub.history(key, command.before, command.limit)
        return Response(page_data(page), media_type=JSON, headers={"cache-control": "no-cache"})

    async def archive(self, request: Request) -> Response:
        """A page of what is kept for ever of a topic, under the same check as its messages."""
        service = self._service
        principal = principal_of(service, request)
        query = dict(request.query_params)
        asked = archive.parse(query)
        topic, scope = service.find(principal, request.path_params["topic"], asked.scope)
        if not topic.archived:
            raise RequestError(codes.TOPIC_UNKNOWN, f"{topic.name} has no archive.")
        found = await service.hub.feed.archived(
            topic.name,
            scope,
            key_from=asked.from_,
            key_to=asked.to,
            every_revision=asked.revisions == "all",
            after=asked.position,
            limit=asked.limit + 1,
        )
        page = found[: asked.limit]
        position = archive.after(page) if len(found) > len(page) else None
        name = archive.file_name(topic.name, scope, asked)
        headers = {"cache-control": "no-cache", "content-disposition": f'attachment; filename="{name}"'}
        if position is not None:
            headers["link"] = archive.next_link(query, position)
        if asked.format == "csv":
            # A large table is not made while others wait.
            return Response(await asyncio.to_thread(archive.as_csv, page), media_type=archive.CSV, headers=headers)
        return Response(archive.as_json(topic.name, scope, page, position), media_type=JSON, headers=headers)

    async def query(self, request: Request) -> Response:
        """Answer a question from the flows as they are now; it says what parameters it has beside `scope`."""
        principal = principal_of(self._service, request)
        asked = request.query_params
        parameters = {name: asked.getlist(name) for name in asked if name != "scope"}
        answer = await self._service.query(principal, request.path_params["name"], asked.get("scope"), parameters)
        return Response(answer, media_type=JSON, headers={"cache-control": "no-cache"})
