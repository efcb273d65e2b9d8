"""The dashboard in a real headless Chromium."""

import contextlib
from collections.abc import AsyncIterator

from playwright.async_api import Browser, Page, async_playwright

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
async def open_browser(chromium: str) -> AsyncIterator[Browser]:
    """A browser; each of its pages is as if in a browser of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS), timeout=WAIT_MS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def new_page(browser: Browser, link: str, *, width: int = 1360, height: int = 860) -> AsyncIterator[Page]:
    """A page at a link, which shares nothing with others. Whatever goes wrong in the page itself fails the test."""
    page = await browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(WAIT_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        await page.goto(link)
        yield page
        assert not problems, problems
    finally:
        await page.close()


@contextlib.asynccontextmanager
async def open_page(chromium: str, link: str, *, width: int = 1360, height: int = 860) -> AsyncIterator[Page]:
    """A page at a link, in a browser of its own."""
    async with open_browser(chromium) as browser, new_page(browser, link, width=width, height=height) as page:
        yield page
