"""The table of routes: every address of the server, with who may use it and what it may cost.

A new address is a row here, or in `people.py`, and nowhere else. `route.py` says what a row holds and enforces it. The
server's routes, the API's document and the tests of rights are all made from these rows.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from fire22.gateways.http import archive, people
from fire22.gateways.http.files import Files
from fire22.gateways.http.oidc import OidcRoutes
from fire22.gateways.http.openapi import COMMANDS, Description
from fire22.gateways.http.operating import Alive, Health, Operating
from fire22.gateways.http.reading import HistoryParameters, QueryParameters, Reading, View, ViewParameters
from fire22.gateways.http.route import ANYBODY, OPERATORS, SIGNED_IN, Route
from fire22.gateways.http.session import Session
from fire22.gateways.http.writing import (
    COMMAND_BYTES_MAX,
    DISMISS_BYTES_MAX,
    REPLAY_BYTES_MAX,
    Dismiss,
    Done,
    Published,
    Replay,
    Writing,
)
from fire22.gateways.service import Service

_READ: Final = 2.0  # what may have to be read from the disk
_WRITE: Final = 5.0  # what waits for the disk
_TABLE: Final = 20.0  # thousands of rows


def rows(
    service: Service,
    *,
    session: Session,
    oidc: OidcRoutes,
    operating: Operating,
    files: Files,
    websockets: Iterable[str],
    commands: Mapping[str, type[Struct]],
    version: str,
) -> tuple[Route, ...]:
    """All routes.

    Args:
        websockets: the paths at which a WebSocket may be opened.
        commands: what the body of each of the domain's commands is read as, by its name.
        version: of the program.
    """
    reading, writing = Reading(service), Writing(service)
    limits = service.limits
    described = (
        *people.rows(service, session=session, oidc=oidc),
        # What is read.
        Route(
            method="GET",
            path="/v1/views/{topic}",
            handler=reading.view,
            who=SIGNED_IN,
            summary="One snapshot of a view.",
            parameters=ViewParameters,
            answer=View,
            cost=_READ,
        ),
        Route(
            method="GET",
            path="/v1/history/{topic}",
            handler=reading.history,
            who=SIGNED_IN,
            summary="A page of a stream's past.",
            parameters=HistoryParameters,
            cost=_READ,
        ),
        Route(
            method="GET",
            path="/v1/archive/{topic}",
            handler=reading.archive,
            who=SIGNED_IN,
            summary="A page of what is kept for ever of a topic, as JSON or CSV.",
            parameters=archive.Asked,
            cost=_TABLE,
        ),
        Route(
            method="GET",
            path="/v1/query/{name}",
            handler=reading.query,
            who=SIGNED_IN,
            summary="Answer a question from the figures as they are now.",
            parameters=QueryParameters,
            open_parameters=True,
            cost=_WRITE,
        ),
        # What is changed.
        Route(
            method="POST",
            path="/v1/events",
            handler=writing.events,
            who="publish",
            summary="Append one event or an array of them, all or none.",
            body_bytes_max=limits.events_bytes_max,
            answer=Published,
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path=COMMANDS,
            handler=writing.command,
            who=SIGNED_IN,
            summary="Perform a command of the domain once for each Idempotency-Key.",
            headers=("Idempotency-Key",),
            body_bytes_max=COMMAND_BYTES_MAX,
            cost=_WRITE,
        ),
        Route(
            method="GET",
            path="/v1/approvals",
            handler=writing.approvals,
            who=SIGNED_IN,
            summary="The commands that wait for a second person, as the caller may see them.",
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path="/v1/dead-letters/{seq}/replay",
            handler=writing.replay_letter,
            who="operate",
            summary="Fold a dead letter's event again, as it is or corrected.",
            body_bytes_max=REPLAY_BYTES_MAX,
            request=Replay,
            answer=Done,
            cost=_WRITE,
        ),
        Route(
            method="POST",
            path="/v1/dead-letters/{seq}/dismiss",
            handler=writing.dismiss_letter,
            who="operate",
            summary="Put a dead letter away.",
            body_bytes_max=DISMISS_BYTES_MAX,
            request=Dismiss,
            answer=Done,
            cost=_WRITE,
        ),
        # Other transports; who asks is said in the handshake or by command.
        *(
            Route(method="GET", path=path, handler=None, who=ANYBODY, summary="Open a WebSocket.")
            for path in websockets
        ),
        # How the server is.
        Route(
            method="GET",
            path="/healthz",
            handler=operating.healthz,
            who=ANYBODY,
            summary="Whether the process is alive.",
            open_parameters=True,
            answer=Alive,
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=operating.readyz,
            who=OPERATORS,
            summary="Whether every stage works.",
            open_parameters=True,
            answer=Health,
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=operating.metrics,
            who=OPERATORS,
            summary="Measurements for Prometheus.",
            open_parameters=True,
        ),
        # The page.
        Route(
            method="GET",
            path="/",
            handler=files.page,
            who=ANYBODY,
            summary="The page.",
            open_parameters=True,
        ),
        Route(
            method="GET",
            path="/assets/{path:path}",
            handler=files.asset,
            who=ANYBODY,
            summary="What the page loads.",
            open_parameters=True,
        ),
        Route(
            method="GET",
            path="/client/{path:path}",
            handler=files.client,
            who=ANYBODY,
            summary="A module of the JavaScript client.",
            open_parameters=True,
        ),
    )
    return (*described, Description(described, commands, version).row)
