"""No figure is cut, whatever its size and the screen's: the page's own views with twelve digits before the point."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page

from tests.browser.page import open_page
from tests.integration.processes import Server, serving

pytestmark = pytest.mark.browser

SCREENS = ("overview", "alerts", "exposure", "figures", "cashier", "letters")
# Widths as a browser has them: those of screens, and half of each, which is a screen at 200 % zoom.
WIDTHS = (1920, 1440, 1024, 960, 720, 512, 390, 195)
USUAL = 115_142.35
BIG = 123_456_789_012.34
SCRIPT = (Path(__file__).parent / "big_figures.js").read_text()
SHOW = "([screen, amount]) => window.showBig(screen, amount)"
Scheme = Literal["dark", "light"]


async def faults(page: Page, amount: float) -> list[str]:
    """What is wrong at each width, on each screen."""
    found: list[str] = []
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 860})
        for screen in SCREENS:
            wrong: list[str] = await page.evaluate(SHOW, [screen, amount])
            found += [f"{screen} at {width}: {each}" for each in wrong]
    return found


async def test_no_figure_is_cut_at_any_width(tmp_path: Path, chromium: str) -> None:
    """Totals of a large book stand whole on a desk's screen, a laptop, a phone, at twice the size, dark and light."""
    demo = Server("demo", tmp_path / "demo", "--rate", "1")
    async with serving(demo), open_page(chromium, demo.url) as page:
        await page.wait_for_selector("input#link")
        await page.evaluate(f"() => {{ {SCRIPT.replace('export async', 'async')} window.showBig = show; }}")
        schemes: tuple[Scheme, ...] = ("dark", "light")
        for scheme in schemes:
            await page.emulate_media(color_scheme=scheme)
            for amount in (USUAL, BIG):
                found = await faults(page, amount)
                assert not found, f"{scheme}: " + "\n".join(found)
