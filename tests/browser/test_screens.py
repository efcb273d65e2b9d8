"""The screens beside the overview, in a real Chromium: dead letters, the cashier's queue, the tree."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.browser.page import READY, open_page
from tests.integration.processes import Server, serving

pytestmark = pytest.mark.browser


# Publishes an event with the page's own session; returns the HTTP status.
PUBLISH = """async ([id, type, data]) => (await fetch('/v1/events', {
  method: 'POST',
  headers: {'content-type': 'application/json', 'x-csrf-token': (await (await fetch('/v1/session')).json()).csrf},
  body: JSON.stringify({
    id, type, source: 'test', timestamp: new Date().toISOString(), data,
    metadata: {priority: 1, category: '', tags: []},
  }),
})).status"""
CUSTOMER = {"customerId": "NEW1", "agentId": "M1", "path": "/M1", "name": "New", "status": "active"}
WAGER = {
    "wagerId": "late-1", "wagerNumber": 900_001, "customerId": "NEW1", "agentId": "M1", "path": "/M1",
    "type": "straight", "riskMinor": 1000, "toWinMinor": 900, "freePlay": False, "channel": "web",
    "status": "accepted", "version": 1,
}  # fmt: skip


async def publish(page: Page, id: str, type: str, data: Mapping[str, object]) -> None:
    """Append an event as the signed-in user."""
    assert await page.evaluate(PUBLISH, [id, type, data]) == 202


async def show(page: Page, tab: str) -> None:
    """Open a screen by its tab."""
    await page.locator(".tabs a", has_text=tab).click()
    await page.wait_for_selector(".screen")


@pytest.fixture
def demo(tmp_path: Path) -> Server:
    """A demo on a fresh folder, not started yet."""
    return Server("demo", tmp_path / "demo", "--rate", "40")


async def test_a_fact_that_was_set_aside_is_seen_mended_and_tried_again(demo: Server, chromium: str) -> None:
    """A wager of an unknown customer shows with its reason, counts nowhere, and counts once the customer is known."""
    async with serving(demo), open_page(chromium, demo.link) as page:
        await page.wait_for_selector(".tabs")
        await publish(page, "t1", "wager.placed", WAGER)
        await page.wait_for_selector(".tabs a:has-text('Dead letters') .badge:text-is('1')")
        await show(page, "Dead letters")
        letter = page.locator(".card", has_text="There is no customer NEW1")
        await letter.get_by_role("button", name="Try again").click()
        await page.wait_for_selector(".card:has-text('tried 2 times')")
        await publish(page, "t2", "customer.created", CUSTOMER)
        await letter.get_by_role("button", name="Try again").click()
        await page.mouse.move(0, 0)
        await page.wait_for_selector("text=No dead letters.")


async def test_a_payment_is_decided_on_the_page(demo: Server, chromium: str) -> None:
    """A click asks, with amount and person, and the answer moves the payment in the book, of which the page tells."""
    async with serving(demo), open_page(chromium, demo.link) as page:
        await page.wait_for_selector(".tabs")
        await show(page, "Cashier")
        # The newest: the simulated cashier takes some seconds for each step.
        row = page.locator(".cashier [role=row]", has=page.locator("button:text-is('Approve')")).last
        await row.hover()  # the list holds still under the pointer, so the last row stays this one
        amount = await row.locator(".c-amount").inner_text()
        await row.get_by_role("button", name="Approve").click()
        asked = await page.locator(".confirm").inner_text()
        assert amount in asked and re.search(r"\w+ \w+ \(C\d+\)", asked), asked
        await page.evaluate(READY)
        await page.locator(".confirm .button-main").click()
        await page.wait_for_selector(f".notice:has-text('The deposit of {amount}'):has-text('approved')")


async def test_the_tree_is_walked_by_links(demo: Server, chromium: str) -> None:
    """Weekly figures lead down to an agent and back; exposure says what each result would bring."""
    async with serving(demo), open_page(chromium, demo.link) as page:
        await page.wait_for_selector(".tabs")
        await show(page, "Weekly figures")
        await page.get_by_role("link", name="M1", exact=True).click()
        await page.wait_for_selector(".crumbs a[aria-current]:text-is('M1')")
        assert page.url.endswith("#/figures/M1")
        await page.get_by_role("link", name="Whole book").click()
        await page.wait_for_selector(".crumbs a[aria-current]:text-is('Whole book')")
        await show(page, "Exposure")
        await page.wait_for_selector(".exposure .outcome b.tone-bad")
        for counted in ("Markets", "Parlays"):
            shown = await page.locator(".totals div", has_text=counted).locator("dd").inner_text()
            assert shown.replace(",", "").isdigit(), f"{counted}: {shown}"
