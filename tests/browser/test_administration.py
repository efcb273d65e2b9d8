"""Users, roles, tokens and approvals on the page, in a real Chromium."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.page import new_page
from tests.browser.people import confirm, go, office, sign_in
from tests.integration.processes import Server

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

# A cashier adjusts a balance; the page has no form for it.
ADJUST = """async () => {
  const body = JSON.stringify({ customerId: 'C1', kind: 'bonus', amountMinor: 125_050, reason: 'welcome' });
  const { csrf } = await (await fetch('v1/session')).json();
  const headers = { 'content-type': 'application/json', 'idempotency-key': 'one', 'x-csrf-token': csrf };
  const answer = await fetch('v1/commands/balance.adjust', { method: 'POST', headers, body });
  const said = await answer.json();
  return said.result?.status ?? said.message;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> AsyncIterator[tuple[Server, Browser]]:
    """A running demo and a browser."""
    async with office(tmp_path_factory.mktemp("office"), chromium) as started:
        yield started


async def test_an_agent_sees_no_administration(started: tuple[Server, Browser]) -> None:
    """Neither tabs nor, at an address of it, anything but why not."""
    demo, browser = started
    async with new_page(browser, demo.url) as page:
        await sign_in(page, "ada")
        tabs = await page.locator(".tabs a").all_inner_texts()
        assert "Account" in tabs and not {"Administration", "Approvals"} & set(tabs)
        for screen in ("users", "sessions", "roles", "tokens", "audit"):
            await go(page, screen)
            await page.wait_for_selector(".screen .empty:has-text('The role agent')")
            assert await page.locator(".screen :is(button, input, select, table)").count() == 0


async def shown_once(page: Page) -> str:
    """The secret that is shown; it is gone from the page afterwards."""
    secret = await page.input_value(".once")
    await page.keyboard.press("Escape")
    assert await page.locator(".once").count() == 1
    await page.get_by_role("button", name="I have kept it").click()
    await page.wait_for_selector(".once", state="detached")
    assert secret not in await page.content()
    return secret


async def test_users_roles_and_tokens_are_made_and_ended(started: tuple[Server, Browser]) -> None:
    """Each asks first and names what is given; secrets are shown once; a disabled user is out at once."""
    demo, browser = started
    async with new_page(browser, demo.url, width=1440, height=900) as page, new_page(browser, demo.url) as other:
        await sign_in(page, "ann")
        await go(page, "roles/new role")
        await page.fill("#name", "clerk")
        await page.get_by_label("payment.approve", exact=True).check()
        await page.get_by_label("payment.approve: alone up to").fill("1,000")
        await page.get_by_role("button", name="Add …").click()
        assert "Gives the command payment.approve, alone up to 1,000.00" in await confirm(page)
        await page.get_by_role("link", name="clerk").click()
        assert await page.get_by_label("payment.approve: alone up to").input_value() == "1,000.00"

        await go(page, "users")
        await page.fill("#name", "bob")
        await page.select_option("#role", "risk")
        await page.get_by_role("button", name="Add …").click()
        assert "bob gets the role risk in /" in await confirm(page)
        await page.wait_for_selector(".once")
        await sign_in(other, "bob", await shown_once(page))
        await page.get_by_role("link", name="bob").click()
        await page.get_by_role("button", name="Disable").click()
        assert "bob" in await confirm(page)
        await other.wait_for_selector(".sign-in-note:has-text('Your session has ended')")

        await go(page, "tokens")
        await page.fill("#name", "feed")
        await page.fill("#purpose", "prices")
        await page.select_option("#role", "service")
        await page.get_by_role("button", name="Make …").click()
        assert "service in / for 90 days" in await confirm(page)
        await page.wait_for_selector(".once")
        assert len(await shown_once(page)) > 20
        await page.get_by_role("button", name="Revoke feed").click()
        await confirm(page)
        await page.wait_for_selector("text=No machine has a token")


async def test_a_second_person_approves(started: tuple[Server, Browser]) -> None:
    """What a cashier may not do alone waits: the cashier, on a phone, is not offered to decide about it; another person
    is, after a question that names amount and person. The cashier's page asks for nothing that cashiers do not see."""
    demo, browser = started
    async with new_page(browser, demo.url, width=1440, height=900) as page:
        await sign_in(page, "ann")
        await go(page, "roles/cashier")
        await page.get_by_label("balance.adjust: alone up to").fill("1,000")
        await page.get_by_role("button", name="Change …").click()
        assert "balance.adjust: alone up to 1,000.00" in await confirm(page)
        await page.wait_for_selector(".notice:has-text('is changed')")
        async with new_page(browser, demo.url, width=390, height=844) as cashier:
            sent: list[str] = []
            cashier.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(str(frame))))
            await sign_in(cashier, "cleo")
            await cashier.wait_for_selector("[aria-current=page]:has-text('Cashier')")
            assert await cashier.evaluate(ADJUST) == "pending"
            await go(cashier, "approvals")
            await cashier.wait_for_selector(".card:has-text('You asked for it')")
            await cashier.wait_for_selector("text=Nothing waits for you")
            assert await cashier.locator(".card button").count() == 0
            assert any("payment_queue" in each for each in sent)
            assert not [each for each in sent for topic in ("kpi", "wagers", "activity") if f'"{topic}"' in each]
        await go(page, "approvals")
        await page.wait_for_selector(".tab-approvals .badge:text-is('1')")
        await page.get_by_role("button", name="Approve 1,250.50, C1", exact=True).click()
        asked = await confirm(page)
        assert "1,250.50" in asked and "C1" in asked and "cleo" in asked
        await page.wait_for_selector(".notice:has-text('is approved and done')")
        await page.wait_for_selector("text=Nothing waits for a second person")


async def test_an_auditor_reads_who_did_what(started: tuple[Server, Browser]) -> None:
    """Entries come as things are done, the newest first, and are found by user and action; all of them are a file."""
    demo, browser = started
    async with new_page(browser, demo.url, width=1440, height=900) as page, new_page(browser, demo.url) as other:
        await sign_in(page, "otto")
        await page.get_by_role("link", name="Administration").click()
        await page.wait_for_selector(".tabs-inside a")
        assert await page.locator(".tabs-inside a").all_inner_texts() == ["Audit trail"]
        entries = page.get_by_role("table", name="Audit trail").locator("tbody tr")
        await page.wait_for_selector(".rows tr:has-text('session.opened'):has-text('staff:otto')")
        await sign_in(other, "ada")
        await page.wait_for_selector(".rows tr:has-text('agent:ada')")
        users = [text.split()[0] for text in await entries.all_inner_texts()]
        assert users.index("agent:ada") < users.index("staff:otto")
        await page.get_by_label("User").fill("OTTO")
        await page.get_by_label("Action").fill("session.")
        await page.wait_for_selector(".panel-head:has-text('1 of the newest')")
        assert "session.opened" in await entries.first.inner_text()
        await page.get_by_label("User").fill("nobody")
        await page.wait_for_selector("text=None of these entries has both.")
        async with page.expect_download() as started_download:
            await page.get_by_role("link", name="CSV").click()
        exported = (await (await started_download.value).path()).read_text()
        assert "session.opened" in exported and "staff:otto" in exported
        await page.get_by_label("User").fill("otto")
        await page.get_by_label("Action").fill("archive.exported")
        await page.wait_for_selector(".rows tr:has-text('audit /')")
