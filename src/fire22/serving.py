"""The port: the table of routes, HTTP and WebSocket behind it, and how many connections there can be."""

import ssl
from collections.abc import Mapping
from typing import Any, Final

import uvicorn
from msgspec import Struct

from fire22 import __version__
from fire22.config import Config
from fire22.gateways.arrivals import Port, Timeouts
from fire22.gateways.deadlines import Deadlines
from fire22.gateways.echo import EchoWebSocket
from fire22.gateways.http.application import application
from fire22.gateways.http.files import Files
from fire22.gateways.http.oidc import OidcRoutes
from fire22.gateways.http.operating import Operating
from fire22.gateways.http.protocol import Front, HttpProtocol
from fire22.gateways.http.route import Table
from fire22.gateways.http.routes import rows
from fire22.gateways.http.session import Session
from fire22.gateways.register import Connections
from fire22.gateways.service import Service
from fire22.gateways.websocket import WebSocket
from fire22.observability.logging import get_logger
from fire22.process import Server, connections_allowed, page_folders, raise_descriptor_limit

DESCRIPTORS_SPARE: Final = 256  # for files, HTTP and what is being accepted
TLS_SHUTDOWN_S: Final = 5.0  # in which a peer answers the end of TLS
CONNECTIONS_FEW: Final = 1_000  # with fewer than so many by the system's limit the start says so


def serve(
    service: Service,
    connections: Connections,
    unfinished: Deadlines[HttpProtocol],
    config: Config[Any],
    *,
    operating: Operating,
    commands: Mapping[str, type[Struct]],
    context: ssl.SSLContext | None,
) -> tuple[Server, Table, Front]:
    """What listens, the routes that it serves, and what judges a request before it is read.

    Args:
        unfinished: the connections whose request has not arrived.
        commands: what the body of each of the domain's commands is read as, by its name.
        context: of TLS; None is plain HTTP.
    """
    websocket = EchoWebSocket if config.server.echo else WebSocket
    session_s = int(config.auth.session_hours * 3600)
    routes = rows(
        service,
        session=Session(service, session_s),
        oidc=OidcRoutes(service, session_s),
        operating=operating,
        files=Files(*page_folders()),
        websockets=websocket.paths,
        commands=commands,
        version=__version__,
    )
    table = Table(service, routes)
    app = application(service, table, lambda error: get_logger().error("request failed", exc_info=error))
    front = Front(service, table.row, unfinished)
    server = Server(
        uvicorn.Config(
            app,
            ws=connections.bind(websocket),
            http=type("BoundHttp", (HttpProtocol,), {"front": front}),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whom to believe is `[network]`
            timeout_graceful_shutdown=3,
            backlog=4096,
            ssl_context_factory=None if context is None else lambda *_: context,
        ),
        Port(
            service.network,
            context,
            Timeouts(config.server.handshake_timeout_s, config.server.handshake_timeout_s, TLS_SHUTDOWN_S),
            lambda error, address: service.count(error, address=address, route="http"),
        ),
    )
    return server, table, front


def places(wanted: int) -> int:
    """How many connections are taken; says where the system allows the process too few open files for it.

    Args:
        wanted: 0 is as many as there can be.

    Raises:
        SetupError: `config_invalid`, it allows so few that nobody could be served.
    """
    descriptors = raise_descriptor_limit()
    allowed = connections_allowed(descriptors, DESCRIPTORS_SPARE, wanted)
    if allowed < (wanted or CONNECTIONS_FEW):
        get_logger().warning(
            "connection limit is low",
            connections_max=allowed,
            open_files=descriptors,
            help="raise it with `ulimit -n`",
        )
    return allowed
