"""People who sign in on the page: users as the command line adds them, and the page's form."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, Page
from typer.testing import CliRunner

from fire22.cli.terminal import program
from tests.browser.page import READY, open_browser
from tests.integration.processes import Server, serving

PASSWORD = "correct horse battery"


def add_user(data: Path, name: str, role: str, scope: str = "/") -> None:
    """A user who signs in by PASSWORD."""
    arguments = ["user", "add", name, "--role", role, "--scope", scope, "--data", str(data)]
    done = CliRunner().invoke(program, arguments, input=f"{PASSWORD}\n")
    assert done.exit_code == 0, done.output


@contextlib.asynccontextmanager
async def office(folder: Path, chromium: str) -> AsyncIterator[tuple[Server, Browser]]:
    """A demo with an administrator `ann`, a cashier `cleo`, an auditor `otto` and an agent `ada`, and a browser."""
    data = folder / "demo"
    roles = {"ann": "admin", "cleo": "cashier", "otto": "auditor", "ada": "agent"}
    for name, role in roles.items():
        scope = "/M1/A1" if role == "agent" else "/"
        await asyncio.to_thread(add_user, data, name, role, scope)
    demo = Server("demo", data, "--rate", "1")
    async with serving(demo), open_browser(chromium) as browser:
        yield demo, browser


async def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """By keys alone: the name has the focus from the start."""
    await page.wait_for_selector("input#name:focus")
    await page.keyboard.type(name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(password)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".tabs")


async def go(page: Page, screen: str) -> None:
    """To a screen, by its address."""
    await page.evaluate("(screen) => { window.location.hash = `#/${screen}`; }", screen)
    await page.wait_for_selector(".screen")


async def confirm(page: Page) -> str:
    """Say yes to the question that is open; what it asked."""
    asked = await page.locator(".confirm").inner_text()
    await page.evaluate(READY)
    await page.locator(".confirm .button-main").click()
    return asked
