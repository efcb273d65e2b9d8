"""The page under a path of a reverse proxy, in a real Chromium."""

from pathlib import Path

import pytest

from tests.browser.page import open_page
from tests.integration.processes import Server, serving
from tests.support.prefix_proxy import PREFIX, prefixed

pytestmark = pytest.mark.browser


async def test_the_page_works_under_a_path_of_a_proxy(tmp_path: Path, chromium: str) -> None:
    """Behind a proxy that serves it under a path the page signs in, follows and stays signed in."""
    demo = Server("demo", tmp_path / "demo", "--rate", "40")
    async with serving(demo), prefixed(demo.port) as url:
        async with open_page(chromium, f"{url}#{demo.link.partition('#')[2]}") as page:
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:")))
            await page.wait_for_function("() => document.title.startsWith('● Live')")
            await page.wait_for_selector(".ticker [role=row] .chip")
            [cookie] = await page.context.cookies(f"{url}v1/session")
            assert cookie["path"] == f"{PREFIX}v1"
            await page.reload()
            await page.wait_for_function("() => document.title.startsWith('● Live')")
            await page.wait_for_function("() => document.querySelector('h1 img').naturalWidth > 0")
            assert [each for each in asked if not each.startswith(url)] == []
            assert f"{url}v1/ws" in asked
        async with open_page(chromium, url) as page:  # another browser is not signed in
            await page.wait_for_selector("input#link")
