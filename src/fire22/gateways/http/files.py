"""The files of the page and of the JavaScript client, which a browser asks for again by their ETag."""

from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from fire22.gateways.http.route import Call

_AGAIN = {"cache-control": "no-cache"}


class Files:
    """Its handlers.

    Args:
        dashboard: folder of the page.
        client: folder of the JavaScript client's modules.
    """

    def __init__(self, dashboard: Path, client: Path) -> None:
        self._page = dashboard / "index.html"
        self._assets = StaticFiles(directory=dashboard)
        self._client = StaticFiles(directory=client)

    async def page(self, call: Call) -> Response:
        """The page."""
        return FileResponse(self._page, headers=_AGAIN)

    async def asset(self, call: Call) -> Response:
        """What the page loads."""
        return await _file(self._assets, call)

    async def client(self, call: Call) -> Response:
        """A module of the JavaScript client."""
        return await _file(self._client, call)


async def _file(files: StaticFiles, call: Call) -> Response:
    response = await files.get_response(call.request.path_params["path"], call.request.scope)
    response.headers.update(_AGAIN)
    return response
