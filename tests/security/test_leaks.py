"""Where nothing secret must get to, and no words of others: addresses, browsers, lines of the log."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from fire22 import app
from fire22.observability.logging import configure, get_logger
from fire22.security.provider import Provider
from tests.integration.inside import make_config, sign
from tests.integration.test_http import request
from tests.support.oidc_provider import world_of

LOOP_FACTORY = uvloop.new_event_loop
NAMES = ("access_token", "token", "auth", "bearer", "authorization", "jwt", "session", "api_key", "key", "code")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[app.Application]:
    """A server without a book."""
    async with app.running(make_config(tmp_path_factory.mktemp("leaks"))) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/v1/session", "/v1/users", "/v1/views/kpi", "/v1/history/wagers"])
async def test_no_token_is_read_from_an_address(server: app.Application, path: str) -> None:
    """Addresses stand in histories and in the logs of proxies, so a good token there signs nobody in."""
    token = sign(server)
    assert (await request(server, "GET", path, token=token)).status == 200
    for name in NAMES:
        answer = await request(server, "GET", f"{path}?{name}={token}", token=None)
        assert answer.status == 401, name


@pytest.mark.asyncio(loop_scope="module")
async def test_a_providers_tokens_stay_on_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser gets a session, and neither the access token nor the ID token that the server got for it."""
    given: list[Any] = []
    redeem = Provider.redeem

    async def keeping(self: Provider, *args: Any, **more: Any) -> Any:
        given.append(await redeem(self, *args, **more))
        return given[-1]

    monkeypatch.setattr(Provider, "redeem", keeping)
    async with world_of(tmp_path) as world, world.browser() as browser:
        answers = [await browser.sign_in("ann")]
        answers += [await browser.go(path) for path in ("/", "/v1/session", "/v1/sessions")]
    [tokens] = given
    for answer in answers:
        assert answer.status_code == 200
        told = f"{answer.url} {answer.headers!r} {answer.headers.get_list('set-cookie')} {answer.text}"
        assert not [each for each in (tokens.id_token, tokens.access_token) if each in told]


@pytest.mark.parametrize("as_json", [True, False])
def test_no_text_begins_a_line_of_the_log(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A name with line breaks or with codes for a terminal stays within its line, and moves nothing on a screen."""
    configure(json=as_json, level=logging.INFO)
    name = "ann\n2026-01-01 [info] signed in user=admin\r\x1b[2J\x85\u2028\u2029\x00"
    get_logger().warning("refused", name=name)
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 1
    assert all(each.isprintable() for each in text.rstrip("\n"))
    if as_json:
        assert json.loads(text)["name"] == name
