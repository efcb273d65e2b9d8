"""What is enforced of a row of the table of routes before its handler runs."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from fire22.core import codes
from fire22.core.errors import AuthError, Fire22Error
from fire22.core.role import Role
from fire22.gateways.http.route import ANYBODY, SIGNED_IN, Call, Route, Table
from fire22.gateways.network import NetworkConfig, Networks
from fire22.gateways.rates import LimitsConfig, Rates
from fire22.gateways.service import Service
from fire22.security.access import Access
from fire22.security.principal import Principal
from tests.support.notes import unaudited

ROLES = {
    "admin": Role(None, publish=True, operate=True),
    "service": Role(None, publish=True, kind="machine"),
    "agent": Role(frozenset(), kind="agent"),
}


class Parameters(Struct):
    """Of a query."""

    scope: str | None = None


class Handled:
    """A handler that notes what reached it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def __call__(self, call: Call) -> Response:
        """Note it."""
        self.calls.append(call)
        return Response(status_code=204)


async def identify(token: str | None, address: str = "", *, enrolling: bool = False) -> Principal:
    """Everybody is known whose token is the name of a role."""
    if token not in ROLES:
        raise AuthError(codes.AUTH_REQUIRED, "Who is asking?")
    return Principal("test", token, "/", 1, kind=ROLES[token].kind)


def service(user_units_per_s: float = 0) -> Service:
    """What a table of routes needs of a service, at a moment that does not pass."""
    limits = LimitsConfig(connection_units_per_s=0, user_units_per_s=user_units_per_s, scope_units_per_s=0, burst_s=10)
    rates = Rates(limits)
    found = SimpleNamespace(
        access=Access(ROLES),
        identify=identify,
        audit=unaudited(),
        charge=lambda payer, units: rates.take(payer, units, 0),
        left=lambda payer: rates.left(payer, 0),
        limits=SimpleNamespace(rates=limits),
        network=Networks(NetworkConfig()),
    )
    return cast("Service", found)


async def ask(
    route: Route, token: str = "", *, query: str = "", body: bytes = b"", at: Service | None = None, **headers: str
) -> int | str:
    """The status of a request to a route, or the code of the error that it ends with."""
    [found] = Table(at or service(), [route]).starlette()
    given = {"host": "book", "authorization": f"Bearer {token}"} | headers
    scope: dict[str, Any] = {
        "type": "http",
        "method": route.method,
        "path": route.path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
    }
    chunks = [body[:10], body[10:]] if body else [b""]

    async def receive() -> Message:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    try:
        response: Response = await found.endpoint(Request(scope, receive))
    except Fire22Error as error:
        return error.code.name
    return response.status_code


async def test_who_may() -> None:
    """A route is for anybody, for everybody who is signed in, or for who has a right."""
    handled = Handled()
    for who, allowed in (
        (ANYBODY, {"", "admin", "service", "agent"}),
        (SIGNED_IN, {"admin", "service", "agent"}),
        ("publish", {"admin", "service"}),
        ("operate", {"admin"}),
    ):
        route = Route(method="GET", path="/x", handler=handled, who=who, summary="")
        for token in ("", *ROLES):
            answer = await ask(route, token)
            assert (answer == 204) is (token in allowed), (who, token)
            assert token or who == ANYBODY or answer == "auth_required"
    assert {call.caller.role for call in handled.calls if call.caller} == set(ROLES)


async def test_a_machine_keeps_to_what_machines_do() -> None:
    """A stolen machine's token opens nothing that is made for people."""
    route = Route(method="GET", path="/x", handler=Handled(), who=SIGNED_IN, summary="", machine=False)
    assert await ask(route, "service") == "forbidden"
    assert await ask(route, "agent") == 204


async def test_a_body_is_read_within_the_rows_limit() -> None:
    """A handler gets the whole body or does not run; where none is taken, none is read."""
    handled = Handled()
    route = Route(method="POST", path="/x", handler=handled, who=SIGNED_IN, summary="", body_bytes_max=20)
    assert await ask(route, "admin", body=b"x" * 20) == 204
    assert handled.calls[-1].body == b"x" * 20
    assert await ask(route, "admin", body=b"x" * 21) == "message_too_large"
    none = Route(method="POST", path="/x", handler=handled, who=SIGNED_IN, summary="")
    assert await ask(none, "admin", body=b"x" * 21) == 204
    assert [call.body for call in handled.calls] == [b"x" * 20, b""]


async def test_parameters_that_there_are_not() -> None:
    """A misspelt parameter is refused rather than ignored."""
    route = Route(method="GET", path="/x", handler=Handled(), who=ANYBODY, summary="", parameters=Parameters)
    assert await ask(route, query="scope=/M1") == 204
    assert await ask(route, query="scop=/M1") == "command_invalid"


async def test_a_page_of_another_origin_changes_nothing() -> None:
    """Not even where anybody may: it could sign a browser in as somebody else."""
    for route in (
        Route(method="POST", path="/x", handler=Handled(), who=ANYBODY, summary=""),
        Route(method="GET", path="/x", handler=Handled(), who=ANYBODY, summary=""),
    ):
        foreign = "origin_forbidden" if route.method == "POST" else 204
        assert await ask(route, origin="https://evil.example") == foreign
        assert await ask(route, origin="null") == foreign
        assert await ask(route, origin="https://book") == 204


async def test_a_table_with_a_mistake() -> None:
    """Two rows for one address, or a right that there is not, keep the server from starting."""
    route = Route(method="GET", path="/x", handler=Handled(), who=ANYBODY, summary="")
    with pytest.raises(AssertionError, match="two rows"):
        Table(service(), [route, route])
    with pytest.raises(AssertionError, match="no right"):
        Table(service(), [Route(method="GET", path="/x", handler=Handled(), who="fly", summary="")])


async def test_a_request_is_charged_before_its_body_is_read() -> None:
    """Who has used up what it may cost is answered at once; others are served, and the cost is the row's."""
    handled = Handled()
    route = Route(method="POST", path="/x", handler=handled, who=SIGNED_IN, summary="", cost=4, body_bytes_max=20)
    at = service(user_units_per_s=1)
    assert [await ask(route, "admin", at=at, body=b"x" * 21) for _ in range(2)] == ["message_too_large"] * 2
    assert await ask(route, "admin", at=at, body=b"x" * 21) == "rate_limited"
    assert not handled.calls
