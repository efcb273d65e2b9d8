"""Signing in with a provider on another site, in a real browser, which keeps to the rules for its cookies."""

from pathlib import Path

from fire22 import app
from tests.browser.page import open_page
from tests.integration.inside import make_config
from tests.support.oidc_provider import providing, trusting


async def test_sign_in_with_a_provider_in_a_browser(chromium: str, tmp_path: Path) -> None:
    """The button leads to the provider, and from there to the page, signed in by a SameSite=Strict cookie."""
    async with providing() as provider:
        config = make_config(tmp_path / "data", oidc=trusting(provider.issuer, tmp_path / "secret"))
        async with app.running(config) as server:
            await provider.serve(server.address.url)
            async with open_page(chromium, server.address.url) as page:
                await page.get_by_role("link", name="Sign in with Test").click()
                await page.fill('[name="login"]', "ann")
                await page.fill('[name="password"]', "any")
                await page.click('[type="submit"]')
                await page.click('[type="submit"]')  # consent
                await page.wait_for_url(f"{server.address.url}/**")
                await page.wait_for_selector("nav")
                [(_, session)] = server.people.sessions.of("staff:ann")
                assert session.how == "provider"
