"""The dashboard as a risk manager sees it: a real demo, a real Chromium, a server that dies and comes back."""

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.browser.page import new_page, open_browser, open_page
from tests.integration.processes import Server, serving

pytestmark = pytest.mark.browser

# Every wager that the ticker has shown as placed, also those that scrolled away since.
WATCH = """() => {
  window.placed = new Set();
  const look = () => {
    for (const row of document.querySelectorAll('.ticker [role=row]')) {
      const chip = row.querySelector('.chip');
      const wager = row.querySelector('.c-wager');
      if (chip && wager && chip.textContent === 'Placed') window.placed.add(Number(wager.textContent.slice(1)));
    }
  };
  look();
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""
LIVE = "() => document.title.startsWith('● Live')"


async def pending(page: Page) -> int:
    """The figure under Pending."""
    text = await page.locator("article.kpi", has_text="Pending").locator(".kpi-value").inner_text()
    return int(re.sub(r"\D", "", text) or -1)


async def placed(page: Page) -> list[int]:
    """The numbers of the wagers that were seen as placed."""
    numbers: list[int] = await page.evaluate("() => [...window.placed].sort((a, b) => a - b)")
    return numbers


async def wait_for_wagers(page: Page, count: int) -> None:
    """Until so many more wagers were seen."""
    target = len(await placed(page)) + count
    await page.wait_for_function(f"() => window.placed.size >= {target}")


def held_back(demo: Server) -> set[int]:
    """The numbers of wagers that were asked for and are not placed, or not yet."""
    with contextlib.closing(sqlite3.connect(demo.data / "book.db")) as book:
        rows = book.execute("SELECT wager_number FROM wagers WHERE status IN ('review', 'rejected', 'expired')")
        return {number for (number,) in rows}


@pytest.fixture
def demo(tmp_path: Path) -> Server:
    """A demo on a fresh folder, not started yet."""
    return Server("demo", tmp_path / "demo", "--rate", "40")


async def test_figures_move_and_the_page_goes_on_after_a_kill(demo: Server, chromium: str) -> None:
    """The page shows moving figures; killed and started again, the server's page goes on by itself, no wager lost."""
    async with serving(demo), open_page(chromium, demo.link) as page:
        await page.wait_for_function(LIVE)
        assert "#code" not in page.url
        await page.evaluate(WATCH)
        before = await pending(page)
        await wait_for_wagers(page, 20)
        assert await pending(page) > before

        await demo.kill()
        await page.wait_for_function("() => !document.title.startsWith('● Live')")
        await demo.start()
        await page.wait_for_function(LIVE)
        await wait_for_wagers(page, 20)

        held = held_back(demo)
        numbers = await placed(page)
        held |= held_back(demo)
        assert set(range(numbers[0], numbers[-1] + 1)) - held == set(numbers) - held


async def test_without_a_session_the_page_asks_to_sign_in(demo: Server, chromium: str) -> None:
    """Who opens the bare address is told where the link comes from; a used link does not sign in again elsewhere."""
    async with serving(demo), open_browser(chromium) as browser:
        async with new_page(browser, demo.url) as page:
            await page.wait_for_selector("input#link")
        async with new_page(browser, demo.link) as page:
            await page.wait_for_function(LIVE)
            await page.reload()
            await page.wait_for_function(LIVE)
        async with new_page(browser, demo.link) as page:
            await page.wait_for_selector("input#link")
