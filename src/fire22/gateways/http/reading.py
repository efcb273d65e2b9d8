"""What can be read: snapshots of views, a stream's past, closed periods, and answers to questions."""

from functools import partial
from zlib import crc32

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace
from starlette.responses import Response

from fire22.core import codes
from fire22.core.command import History, as_number
from fire22.core.errors import RequestError
from fire22.core.times import to_text
from fire22.core.topic import Kind
from fire22.feed.base import Archived
from fire22.gateways.http import archive
from fire22.gateways.http.requests import JSON, address_of, json_response
from fire22.gateways.http.route import Call
from fire22.gateways.rates import units_of
from fire22.gateways.replies import page_data
from fire22.gateways.service import Service
from fire22.gateways.turns import reading
from fire22.hub.base import LaneKey
from fire22.hub.codec import PLAIN
from fire22.hub.mask import Mask, masked_bytes


class ViewParameters(Struct):
    """Of the query; `at` is reserved."""

    scope: str | None = None
    at: str | None = None


class HistoryParameters(Struct):
    """Of the query."""

    scope: str | None = None
    before: int | None = None
    limit: int = 100


class QueryParameters(Struct):
    """Of the query, beside those of the question."""

    scope: str | None = None


class View(Struct, omit_defaults=True):
    """A view's documents as messages, and where a subscription goes on from them."""

    topic: str
    scope: str
    position: str
    watermark: str
    documents: Raw
    problem: str = ""


class Reading:
    """Its handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def view(self, call: Call) -> Response:
        """One snapshot of a view, with its position and an ETag."""
        service = self._service
        principal, request = call.principal, call.request
        if "at" in request.query_params:
            raise RequestError(codes.NOT_SUPPORTED, "The field `at` is reserved and not served by this version.")
        name = request.path_params["topic"]
        topic, scope = service.find(principal, name, request.query_params.get("scope"))
        if topic.kind is not Kind.VIEW:
            raise RequestError(codes.TOPIC_UNKNOWN, f"{name} is a stream, not a view; subscribe to it.")
        hub = service.hub
        mask = service.access.mask(principal, name)
        tag = f'"{hub.position(hub.changed_at(name, scope))}{_mark(mask)}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        key = LaneKey(name, scope, None, False, PLAIN.name, mask=mask)
        page, offset = await service.turns.perform(principal.user, hub.snapshot(topic, key, 0))
        service.settle(call.payer, units_of(page.looked, len(page.messages)))
        messages = Raw(hub.opened(b"[%b]" % page.messages))
        complete = to_text(hub.complete_ms(name, scope))
        view = View(name, scope, str(hub.position(offset)), complete, messages, hub.problem)
        return json_response(view, headers={"etag": tag})

    async def history(self, call: Call) -> Response:
        """A page of a stream's past, as the history command gives it."""
        service = self._service
        principal, request = call.principal, call.request
        asked = {name: as_number(value) for name, value in request.query_params.items()}
        try:
            command = msgspec.convert({"id": 0, "target": request.path_params["topic"]} | asked, History)
        except msgspec.ValidationError as error:
            raise RequestError(codes.COMMAND_INVALID, f"The request is not valid: {error}.") from None
        key = service.history(principal, command, PLAIN)
        work = service.hub.history(key, command.before, command.limit)
        page = await service.turns.perform(principal.user, work)
        service.settle(call.payer, units_of(page.looked, len(page.messages)))
        return Response(service.hub.opened(page_data(page)), media_type=JSON)

    async def archive(self, call: Call) -> Response:
        """A page of what is kept for ever of a topic, under the same check as its messages."""
        service = self._service
        principal, request = call.principal, call.request
        query = dict(request.query_params)
        asked = archive.parse(query)
        topic, scope = service.find(principal, request.path_params["topic"], asked.scope)
        if not topic.archived:
            raise RequestError(codes.TOPIC_UNKNOWN, f"{topic.name} has no archive.")
        read = partial(
            service.hub.feed.archived,
            topic.name,
            scope,
            key_from=asked.from_,
            key_to=asked.to,
            every_revision=asked.revisions == "all",
            after=asked.position,
            limit=asked.limit + 1,
        )
        found: list[Archived] = await service.turns.perform(principal.user, reading(read))
        mask = service.access.mask(principal, topic.name)
        page = [replace(each, body=service.hub.opened(masked_bytes(each.body, mask))) for each in found[: asked.limit]]
        position = archive.after(page) if len(found) > len(page) else None
        name = archive.file_name(topic.name, scope, asked)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        if position is not None:
            headers["link"] = archive.next_link(query, position)
        service.audit.note(
            "archive.exported",
            principal=principal,
            address=address_of(request),
            target=f"{topic.name} {scope}",
            after={"from": asked.from_, "to": asked.to or "", "format": asked.format, "documents": len(page)},
        )
        is_csv = asked.format == "csv"
        work = archive.as_csv(page) if is_csv else archive.as_json(topic.name, scope, page, position)
        body = await service.turns.perform(principal.user, work)
        service.settle(call.payer, units_of(len(found), len(body)))
        return Response(body, media_type=archive.CSV if is_csv else JSON, headers=headers)

    async def query(self, call: Call) -> Response:
        """Answer a question from the flows as they are now; it says what parameters it has beside `scope`."""
        principal, request = call.principal, call.request
        asked = request.query_params
        parameters = {name: asked.getlist(name) for name in asked if name != "scope"}
        answer = await self._service.query(principal, request.path_params["name"], asked.get("scope"), parameters)
        return Response(self._service.hub.opened(answer), media_type=JSON)


def _mark(mask: Mask) -> str:
    """What tells the ETags of two masks apart."""
    return f"-{crc32(' '.join(sorted(mask)).encode()):08x}" if mask else ""
