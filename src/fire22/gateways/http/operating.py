"""How the server is, for those who look after it."""

from collections.abc import Callable

from msgspec import Struct
from starlette.responses import Response

from fire22.gateways.http.requests import json_response
from fire22.gateways.http.route import Call


class Health(Struct, frozen=True):
    """How the server is: `ok` or the codes of what is wrong, part by part."""

    status: str
    parts: dict[str, str]


class Alive(Struct, frozen=True):
    """The process is alive."""

    status: str = "ok"


class Operating:
    """Its handlers.

    Args:
        metrics: in Prometheus' text format.
        health: how each stage is.
    """

    def __init__(self, metrics: Callable[[], bytes], metrics_type: str, health: Callable[[], Health]) -> None:
        self._metrics = metrics
        self._metrics_type = metrics_type
        self._health = health

    async def healthz(self, call: Call) -> Response:
        """The process is alive."""
        return json_response(Alive())

    async def readyz(self, call: Call) -> Response:
        """Every stage works."""
        health = self._health()
        return json_response(health, status=200 if health.status == "ok" else 503)

    async def metrics(self, call: Call) -> Response:
        """For Prometheus."""
        return Response(self._metrics(), headers={"content-type": self._metrics_type})
