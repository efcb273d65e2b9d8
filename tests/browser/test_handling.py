"""Working with the page by hand: rows that hold still, money that asks first, a network that goes away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page

from tests.browser.page import READY, open_page
from tests.integration.processes import Server, serving

pytestmark = pytest.mark.browser

SCRIPT = (Path(__file__).parent / "queue.js").read_text()
TEN = [{"key": f"p{number}"} for number in range(10)]
APPROVE_P5 = "Approve 1,250.50, Name p5 (P5)"

# Answers a question as soon as it is there; tried again where the machine was too slow for that to be soon.
AT_ONCE = """async (name) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  for (let attempt = 0; attempt < 20; attempt++) {
    const began = performance.now();
    document.querySelector(`[aria-label="${name}"]`).click();
    while (!document.querySelector('.confirm[open]')) await frame();
    if (performance.now() - began < 200) {
      document.querySelector('.confirm .button-main').click();
      return true;
    }
    document.querySelector('.confirm .button').click();
    while (document.querySelector('.confirm')) await frame();
  }
  return false;
}"""


async def tell(page: Page, payments: list[dict[str, str]]) -> None:
    """These payments wait."""
    await page.evaluate("(payments) => window.queue(payments)", payments)


async def rows(page: Page) -> list[str]:
    """The customers, in the order of the rows."""
    shown: list[str] = await page.evaluate("() => window.rows()")
    return shown


async def sent(page: Page) -> list[Any]:
    """What was sent so far."""
    commands: list[Any] = await page.evaluate("() => window.sent")
    return commands


async def place(button: Locator) -> tuple[float, float]:
    """Where a button is."""
    box = await button.bounding_box()
    assert box is not None
    return box["x"], box["y"]


@contextlib.asynccontextmanager
async def cashier(tmp_path: Path, chromium: str) -> AsyncIterator[Page]:
    """The cashier's screen with ten payments that wait."""
    demo = Server("demo", tmp_path / "demo", "--rate", "1")
    async with serving(demo), open_page(chromium, demo.url) as page:
        await page.wait_for_selector("input#link")
        await page.evaluate(f"() => {{ {SCRIPT} }}")
        await tell(page, TEN)
        yield page


async def test_rows_hold_still_under_the_pointer(tmp_path: Path, chromium: str) -> None:
    """A cashier who aims at a row hits it: none moves or becomes another; what came is counted, and comes after."""
    async with cashier(tmp_path, chromium) as page:
        approve = page.get_by_role("button", name=APPROVE_P5)
        await approve.hover()
        before = await place(approve)
        changed = [*TEN[3:5], {"key": "p5", "status": "approved"}, *TEN[6:], {"key": "p10"}, {"key": "p11"}]
        await tell(page, changed)
        assert await place(approve) == before
        assert await rows(page) == [f"P{number}" for number in range(10)]
        assert await page.locator(".since").inner_text() == "2 new, 3 done: shown when you leave the list"
        await page.mouse.down()
        await page.mouse.up()
        assert await page.locator(".confirm").count() == 0 and await sent(page) == []
        await page.mouse.move(0, 0)
        await page.wait_for_function("() => window.rows().at(-1) === 'P11'")
        assert await rows(page) == [f"P{number}" for number in range(3, 12)]
        assert await page.locator(".since").inner_text() == ""


async def test_money_moves_by_an_answer_alone(tmp_path: Path, chromium: str) -> None:
    """Neither Enter that is held down nor a double click moves money; the question names amount and person; the focus
    comes back to where it was and stays there while the list changes."""
    async with cashier(tmp_path, chromium) as page:
        approve = page.get_by_role("button", name=APPROVE_P5)
        await approve.focus()
        await page.keyboard.press("Enter")
        asked = await page.locator(".confirm").inner_text()
        assert "1,250.50" in asked and "Name p5 (P5)" in asked and "withdrawal" in asked
        for _ in range(3):
            await page.keyboard.down("Enter")
        await page.keyboard.up("Enter")
        await page.keyboard.press("Escape")
        await page.wait_for_selector(".confirm", state="detached")
        focused = "(name) => document.activeElement.getAttribute('aria-label') === name"
        assert await page.evaluate(focused, APPROVE_P5)
        await tell(page, [*TEN[2:], {"key": "p10"}])
        assert await page.evaluate(focused, APPROVE_P5)

        assert await page.evaluate(AT_ONCE, APPROVE_P5)
        assert await sent(page) == []
        await page.keyboard.press("Escape")

        await approve.dblclick()
        await page.evaluate(READY)
        assert await sent(page) == []
        await page.keyboard.press("Escape")
        await approve.click()
        await page.evaluate(READY)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".confirm", state="detached")
        assert await sent(page) == [["/v1/commands/payment.approve", {"paymentId": "p5"}]]
        await tell(page, [*TEN[2:5], {"key": "p5", "status": "approved"}, *TEN[6:]])
        assert await page.evaluate(focused, APPROVE_P5)
        await page.keyboard.press("Enter")
        assert len(await sent(page)) == 1 and await page.locator(".confirm").count() == 0


class Cable:
    """A network between the browser and a server; where it is cut, nothing arrives and nothing is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self) -> None:
        """From here on everything is lost in silence."""
        self._whole.clear()

    def mend(self) -> None:
        """From here on everything arrives again, also what was held."""
        self._whole.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(OSError):
            await self._whole.wait()
            there = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(self._pass(reader, there[1]), self._pass(there[0], writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


async def test_the_end_of_the_network_shows_on_every_screen(tmp_path: Path, chromium: str) -> None:
    """A connection that stays open and says nothing is told, wherever one looks; the page comes back by itself.

    That it is told after two and a half seconds is a matter of the page's clock: `tests/js/hold.test.js`.
    """
    demo = Server("demo", tmp_path / "demo", "--rate", "20")
    async with serving(demo):
        cable = Cable(demo.port)
        server = await asyncio.start_server(cable.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with open_page(chromium, demo.link.replace(str(demo.port), str(port))) as page:
                await page.wait_for_function("() => document.title.startsWith('● Live')")
                cable.cut()
                await page.wait_for_selector(".banner:has-text('has not answered')")
                assert await page.locator(".pill").inner_text() == "No answer"
                for name in ("alerts", "exposure", "figures", "cashier", "letters"):
                    await page.evaluate("(name) => { window.location.hash = `#/${name}`; }", name)
                    await page.wait_for_selector(".screen")
                    assert await page.locator(".banner").is_visible()
                    assert await page.locator(".pill").inner_text() != "Live"
                    assert await page.locator(".screen.is-stale").count() == 1
                cable.mend()
                await page.wait_for_function("() => document.title.startsWith('● Live')")
                await page.wait_for_selector(".banner", state="detached")
        finally:
            server.close()
