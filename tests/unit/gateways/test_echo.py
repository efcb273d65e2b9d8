"""The echo endpoint of the conformance suite."""

from pathlib import Path

import msgspec
import pytest
import websockets

from fire22 import app


def configuration(folder: Path, *, echo: bool) -> app.Settings:
    """A server on a free port without a book."""
    config = app.convert({"data": str(folder)})
    return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, port=0, echo=echo, drain_s=0))


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_every_message_comes_back(tmp_path: Path, compression: str | None) -> None:
    """Text and binary, small and large, compressed and not, come back as they were sent."""
    async with app.running(configuration(tmp_path, echo=True)) as server:
        url = server.address.url.replace("http", "ws") + "/echo"
        async with websockets.connect(url, compression=compression, proxy=None, max_size=None) as socket:
            for message in ("", "häß", "x" * 70_000, b"", b"\x00\xff" * 40_000):
                await socket.send(message)
                assert await socket.recv() == message


async def test_there_is_no_echo_unless_asked_for(tmp_path: Path) -> None:
    """A server in use does not serve it."""
    async with app.running(configuration(tmp_path, echo=False)) as server:
        url = server.address.url.replace("http", "ws") + "/echo"
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(url, proxy=None)
        assert caught.value.response.status_code == 404
