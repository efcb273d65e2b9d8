"""The one rule by which a request's token is found, and the session cookie trusted."""

import pytest

from fire22.core import codes
from fire22.core.errors import AuthError
from fire22.gateways.sign_in import HOST_PREFIX, SESSION_COOKIE, token_of
from fire22.security.sessions import SessionSecret

HOST = "flows.example:8080"
COOKIE = f"theme=dark; {SESSION_COOKIE}=of-the-cookie; x=1"
OWN = f"https://{HOST}"
PLAIN = f"http://{HOST}"


@pytest.mark.parametrize(
    ("headers", "offered", "found"),
    [
        ({}, None, None),
        ({"authorization": "Bearer mine"}, None, "mine"),
        ({"authorization": "bearer  mine "}, None, "mine"),
        ({"authorization": "Basic bWluZQ=="}, None, None),
        ({"authorization": "Bearer "}, None, ""),
        ({}, "offered", "offered"),
        ({"authorization": "Bearer mine", "cookie": COOKIE}, "offered", "mine"),
        ({"cookie": COOKIE, "origin": "https://evil.example"}, "offered", "offered"),
        ({"cookie": COOKIE, "origin": PLAIN}, None, "of-the-cookie"),
        ({"cookie": COOKIE, "origin": OWN}, None, None),
        ({"cookie": f"{COOKIE}; {HOST_PREFIX}{SESSION_COOKIE}=of-tls", "origin": OWN}, None, "of-tls"),
        ({"cookie": f"{COOKIE}; {HOST_PREFIX}{SESSION_COOKIE}=of-tls", "origin": PLAIN}, None, "of-tls"),
        ({"cookie": f"{SESSION_COOKIE}=x", "authorization": "Bearer mine"}, None, "mine"),
        ({"cookie": f"my_{SESSION_COOKIE}=other", "origin": PLAIN}, None, None),
    ],
)
def test_where_a_token_comes_from(headers: dict[str, str], offered: str | None, found: str | None) -> None:
    """What a client put into its request goes before the cookie, which its browser adds by itself."""
    for safe in (True, False):
        brought = token_of({"host": HOST, **headers}, safe=safe, offered=offered)
        assert brought == found
        assert isinstance(brought, SessionSecret) is (found is not None and found in ("of-the-cookie", "of-tls"))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", f"https://{HOST}1", f"https://x.{HOST}", HOST])
@pytest.mark.parametrize("safe", [True, False])
def test_cookie_of_another_page(origin: str, safe: bool) -> None:
    """A page of any other origin cannot use the cookie, whatever it asks for."""
    with pytest.raises(AuthError) as refused:
        token_of({"host": HOST, "cookie": COOKIE, "origin": origin}, safe=safe)
    assert refused.value.code is codes.ORIGIN_FORBIDDEN


def test_cookie_without_an_origin() -> None:
    """A browser may leave `Origin` away where it reads from its own server, and nowhere else."""
    headers = {"host": HOST, "cookie": COOKIE}
    assert token_of(headers, safe=True) == "of-the-cookie"
    with pytest.raises(AuthError) as refused:
        token_of(headers, safe=False)
    assert refused.value.code is codes.ORIGIN_FORBIDDEN
