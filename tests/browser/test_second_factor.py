"""The second factor on the page, in a real Chromium."""

import asyncio
import time
from collections.abc import AsyncIterator

import pyotp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.page import new_page, open_browser
from tests.browser.people import PASSWORD, add_user, confirm, go, sign_in
from tests.integration.processes import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> AsyncIterator[tuple[Server, Browser]]:
    """A running demo where cashiers must have a second factor, and a browser."""
    data = tmp_path_factory.mktemp("factor") / "demo"
    await asyncio.to_thread(add_user, data, "ann", "admin")
    await asyncio.to_thread(add_user, data, "cleo", "cashier")
    demo = Server("demo", data, "--rate", "1")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FIRE22_AUTH__SECOND_FACTOR_ROLES", '["cashier"]')
        async with serving(demo), open_browser(chromium) as browser:
            yield demo, browser


async def set_up(page: Page) -> list[str]:
    """Type the password, read the secret, type a code of it; the recovery codes, which are shown once."""
    await page.fill("#factor-password", PASSWORD)
    await page.get_by_role("button", name="Show the secret").click()
    secret = (await page.locator(".secret").inner_text()).replace(" ", "")
    await page.wait_for_selector("#otp:focus")
    await page.keyboard.type(pyotp.TOTP(secret).generate_otp(int(time.time()) // 30))
    await page.keyboard.press("Enter")
    codes = (await page.input_value("textarea.once")).split("\n")
    await page.get_by_role("button", name="I have kept it").click()
    await page.wait_for_selector(".once", state="detached")
    content = await page.content()
    assert secret not in content and codes[0] not in content
    return codes


async def type_code(page: Page, code: str) -> None:
    """Sign in as cleo by keys, up to the code."""
    await page.wait_for_selector("input#name:focus")
    await page.keyboard.type("cleo")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("input#otp:focus")
    await page.keyboard.type(code)
    await page.keyboard.press("Enter")


async def test_a_second_factor_is_set_up_asked_for_and_removed(started: tuple[Server, Browser]) -> None:
    """A cashier, on a phone, is led to set it up and goes on; the next sign-in asks for it and takes a recovery code;
    new codes are made on the account page, and an administrator removes a lost factor."""
    demo, browser = started
    async with new_page(browser, f"{demo.url}/#/account", width=390, height=844) as page:
        await page.wait_for_selector("input#name:focus")
        await page.keyboard.type("cleo")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("h1:has-text('Set up a second factor')")
        assert await page.locator(".tabs").count() == 0
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        codes = await set_up(page)
        await page.wait_for_selector("text=10 recovery codes are left")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await page.locator("button:visible:text-is('Sign out')").first.click()
        await page.wait_for_selector(".sign-in-note:has-text('You have signed out')")
        await type_code(page, "wrong")
        await page.wait_for_selector("#problem-password:has-text('The code is wrong')")
        await page.wait_for_selector("input#otp:focus")
        assert await page.input_value("#password") == PASSWORD
        await page.keyboard.type(codes[0])
        await page.keyboard.press("Enter")
        await page.wait_for_selector("text=9 recovery codes are left")
        await page.get_by_role("button", name="New recovery codes …").click()
        await page.fill("#factor-password", PASSWORD)
        await page.get_by_role("button", name="Make new codes").click()
        assert codes[1] not in await page.input_value("textarea.once")
        await page.get_by_role("button", name="I have kept it").click()
        await page.wait_for_selector("text=10 recovery codes are left")
        async with new_page(browser, demo.url, width=1440, height=900) as admin:
            await sign_in(admin, "ann")
            await go(admin, "users")
            await admin.get_by_role("link", name="cleo").click()
            await admin.get_by_role("button", name="Remove second factor").click()
            assert "cleo" in await confirm(admin)
            await page.wait_for_selector(".sign-in-note:has-text('Your session has ended')")
