"""Names that are markup, on every screen, in a real Chromium."""

from pathlib import Path

import pytest

from tests.browser.page import new_page, open_browser
from tests.integration.processes import Server, serving

pytestmark = pytest.mark.browser

SCRIPT = (Path(__file__).parent / "hostile.js").read_text()


async def test_names_are_text_on_every_screen(tmp_path: Path, chromium: str) -> None:
    """A user, agent, customer, role or browser whose name is markup is shown by that name and does nothing, on a phone
    and on a desk; no screen becomes wider than its window by it."""
    demo = Server("demo", tmp_path / "demo", "--rate", "1")
    async with serving(demo), open_browser(chromium) as browser:
        for width, height in ((390, 844), (1440, 900)):
            async with new_page(browser, demo.url, width=width, height=height) as page:
                await page.wait_for_selector("input#link")
                told = await page.evaluate(f"async () => {{ {SCRIPT}; return window.hostile(); }}")
                assert told["hit"] is False
                for each in told["found"]:
                    assert (each["images"], each["wide"]) == (0, False), each
                    assert each["shown"] > 0, each
