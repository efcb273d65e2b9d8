"""Signing in, and sessions that end, in a real Chromium."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.page import new_page
from tests.browser.people import PASSWORD, confirm, go, office, sign_in
from tests.integration.processes import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> AsyncIterator[tuple[Server, Browser]]:
    """A running demo and a browser."""
    async with office(tmp_path_factory.mktemp("office"), chromium) as started:
        yield started


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
async def test_a_wrong_password_says_so_and_the_right_one_goes_on(
    started: tuple[Server, Browser], width: int, height: int
) -> None:
    """By keys alone, on a phone and on a desk: the name stays, the password is asked for again, the address is kept,
    and signing out leads back and ends the session."""
    demo, browser = started
    async with new_page(browser, f"{demo.url}/#/cashier", width=width, height=height) as page:
        await page.wait_for_selector("input#name:focus")
        await page.keyboard.type("ann")
        await page.keyboard.press("Tab")
        await page.keyboard.type("not the password")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#problem-password:has-text('The name or the password is wrong.')")
        await page.wait_for_selector("input#password:focus")
        assert await page.input_value("#name") == "ann" and await page.input_value("#password") == ""
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("[aria-current=page]:has-text('Cashier')")
        await go(page, "account")
        await page.wait_for_selector(".rows")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await page.locator("button:visible:text-is('Sign out')").first.click()
        await page.wait_for_selector(".sign-in-note:has-text('You have signed out')")
        assert await page.evaluate("async () => (await fetch('v1/session')).status") == 401


async def test_a_password_is_hidden_and_can_be_pasted(started: tuple[Server, Browser]) -> None:
    """Nobody reads it over a shoulder, and a password manager knows the fields and fills them in."""
    demo, browser = started
    async with new_page(browser, demo.url) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.fill("#name", "ann")
        assert await page.get_attribute("#name", "autocomplete") == "username"
        await page.evaluate("(text) => navigator.clipboard.writeText(text)", PASSWORD)
        await page.focus("#password")
        await page.keyboard.press("Control+V")
        assert await page.input_value("#password") == PASSWORD
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".tabs")
        await go(page, "account")
        await page.wait_for_selector("input[autocomplete=new-password]")
        hidden = await page.locator("input[autocomplete$=-password]").all()
        assert [await each.get_attribute("type") for each in hidden] == ["password"] * len(hidden)


async def test_too_many_attempts_say_how_long_to_wait(started: tuple[Server, Browser]) -> None:
    """The button counts down, and takes nothing until it is over."""
    demo, browser = started
    async with new_page(browser, demo.url) as page:
        await page.fill("#name", "nobody")
        while not await page.locator("button:has-text('Try again in')").count():
            await page.fill("#password", "not the password")
            await page.keyboard.press("Enter")
            await page.wait_for_selector("#password:focus[aria-invalid=true], button:has-text('Try again in')")
        await page.wait_for_selector(".problem[role=alert]:not(:empty)")


async def test_the_link_signs_in_and_has_no_password_to_change(started: tuple[Server, Browser]) -> None:
    """What is pasted may be the link or its code; a text without one is refused at its field."""
    demo, browser = started
    async with new_page(browser, demo.url) as page:
        await page.fill("#link", "no code here")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#problem-link:has-text('no code')")
        await page.fill("#link", demo.link)
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".tabs")
        await go(page, "account")
        await page.wait_for_selector("text=no password to change")


async def test_an_ended_session_ends_the_other_browser_at_once(started: tuple[Server, Browser]) -> None:
    """The other browser goes to the sign-in page, keeps its address, and shows nothing of before."""
    demo, browser = started
    async with new_page(browser, f"{demo.url}/#/figures") as other, new_page(browser, demo.url) as page:
        await sign_in(other, "ada")
        await sign_in(page, "ada")
        await go(page, "account")
        await page.get_by_role("button", name="End the session of").click()
        assert "127.0.0.1" in await confirm(page)
        began = time.monotonic()
        await other.wait_for_selector(".sign-in-note:has-text('Your session has ended')")
        print(f"the other browser said so after {time.monotonic() - began:.2f} s")
        assert other.url.endswith("#/figures")
        assert await other.locator(".panel").count() == 0
        await sign_in(other, "ann")
        await other.wait_for_selector("[aria-current=page]:has-text('Weekly figures')")


async def test_a_changed_password_ends_the_other_sessions(started: tuple[Server, Browser]) -> None:
    """Two new passwords that differ are not sent; the own session goes on, and the next sign-in takes the new one."""
    demo, browser = started
    async with new_page(browser, demo.url) as other, new_page(browser, demo.url) as page:
        await sign_in(other, "cleo")
        await sign_in(page, "cleo")
        await go(page, "account")
        await page.fill("#password", PASSWORD)
        await page.fill("#new", "four words and more")
        await page.fill("#again", "four words and less")
        await page.keyboard.press("Enter")
        assert await page.evaluate("() => document.querySelector('#again').validationMessage") != ""
        await page.fill("#again", "four words and more")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".notice:has-text('The password is changed')")
        await sign_in(other, "cleo", "four words and more")
