"""A server that trusts an issuer: tokens over HTTP and WebSocket, a key that was just made, and one that is gone."""

from pathlib import Path

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey

from fire22 import app
from tests.integration.inside import talking
from tests.integration.test_http import request
from tests.integration.test_websocket import own
from tests.unit.security.test_jwks import Issuer, issuing, until


def issued(key: ECKey, kid: str) -> str:
    """A token of the issuer."""
    now_s = app.now_ms() // 1000
    claims = {"sub": "ann", "role": "admin", "scope": "/", "exp": now_s + 60, "iss": "https://idp", "aud": "fire22"}
    return jws.serialize_compact({"alg": "ES256", "kid": kid}, msgspec.json.encode(claims), key, algorithms=["ES256"])


def trusting(issuer: Issuer) -> dict[str, object]:
    """The section of the configuration."""
    return {"jwks_url": issuer.url, "issuer": "https://idp", "audience": "fire22", "jwks_refresh_s": 0.5}


async def test_a_key_that_has_just_been_made(tmp_path: Path) -> None:
    """A token by a key that the server has not seen waits for the issuer's answer; its commands keep their order."""
    key = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
    async with issuing() as issuer:
        issuer.publish(key)
        issuer.holds.clear()
        async with own(tmp_path, auth=trusting(issuer)) as server:
            async with talking(server, token=issued(key, "one")) as talk, talking(server) as other:
                await talk.send("subscribe", target="kpi")
                await other.ask("ping")
                assert not talk.messages
                issuer.holds.set()
                await talk.ask("ping")
                assert [each.type for each in talk.messages if each.type in ("error", "reply")] == ["reply"]
            answer = await request(server, "GET", "/v1/session", token=issued(key, "one"))
            assert answer.json["subject"] == "ann"
            assert (await request(server, "GET", "/v1/session", token=issued(key, "two"))).code == "token_invalid"


async def test_a_key_that_the_issuer_withdraws(tmp_path: Path) -> None:
    """When the issuer has a key no more, the connections by its tokens end, and the tokens are refused."""
    key, next_key = (ECKey.generate_key("P-256", {"kid": kid, "use": "sig"}) for kid in ("one", "two"))
    async with issuing() as issuer:
        issuer.publish(key)
        async with own(tmp_path, auth=trusting(issuer)) as server:
            await until(lambda: bool(server.tokens.ring.find("ES256", "one")))
            async with talking(server, token=issued(key, "one")) as talk:
                await talk.ask("ping")
                issuer.publish(next_key)
                _, said = await talk.closed()
                assert said[-1].code == "token_revoked"
            assert (await request(server, "GET", "/v1/session", token=issued(key, "one"))).code == "token_invalid"
            assert (await request(server, "GET", "/v1/session", token=issued(next_key, "two"))).status == 200
