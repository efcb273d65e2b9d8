"""The dashboard in a real headless Chromium."""

import contextlib
from collections.abc import AsyncIterator

from playwright.async_api import Page, async_playwright

WAIT_MS = 90_000  # ends early; so long only on a machine that is busy with much else
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Waits, by the page's own clock, until a question has been open for longer than it takes no answer.
READY = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  while (!document.querySelector('.confirm[open]')) await frame();
  const openMs = performance.now();
  while (performance.now() - openMs < 450) await frame();
}"""


@contextlib.asynccontextmanager
async def open_page(chromium: str, link: str, *, width: int = 1360, height: int = 860) -> AsyncIterator[Page]:
    """A page at a link. Whatever goes wrong in the page itself fails the test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        try:
            page = await browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(WAIT_MS)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            await page.goto(link)
            yield page
            assert not problems, problems
        finally:
            await browser.close()
