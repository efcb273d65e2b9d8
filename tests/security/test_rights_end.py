"""Rights end in time on a running server: whatever ends them, the open connection ends, and nothing lets it back in."""

import asyncio
import hmac
import time
from pathlib import Path

import msgspec
import pytest

from fire22 import app
from fire22.core.message import Json
from fire22.security.machines import Machines
from fire22.security.revocation import Revocation
from fire22.security.signature import encode
from fire22.store.sqlite import SqliteStore
from tests.integration.inside import Talk, sign, talking
from tests.integration.test_http import request
from tests.integration.test_websocket import own

POS: dict[str, Json] = {"name": "pos", "purpose": "till 3", "role": "service", "scope": "/M1", "hours": 1}
LATE_S = 1.0  # no right outlives its end by more; measured where this process itself was not late


async def ended(talk: Talk) -> tuple[str | None, float]:
    """The code that a connection ends with, and when."""
    _, said = await talk.closed()
    return said[-1].code, time.time()


class Lateness:
    """How late this process's own loop was, at most: what a busy machine adds to everything that is measured here."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(0.02)
            self.worst_s = max(self.worst_s, time.monotonic() - began_s - 0.02)

    def stop(self) -> float:
        """The worst, and no more measuring."""
        self._task.cancel()
        return self.worst_s


async def test_a_token_that_expires(tmp_path: Path) -> None:
    """The connection of a token that expires ends within a second, however long the heartbeat is."""
    async with own(tmp_path) as server:
        late = Lateness()
        end_s = (app.now_ms() // 1000) + 2
        token = server.tokens.sign(subject="u", role="admin", scope="/", ttl_s=2, now_ms=app.now_ms())
        async with talking(server, token=token) as talk:
            await talk.ask("subscribe", target="kpi")
            code, at_s = await ended(talk)
        assert code == "token_expired"
        assert 0 <= at_s - end_s < LATE_S + 10 * late.stop()


async def test_a_key_that_is_replaced(tmp_path: Path) -> None:
    """When the key's file is replaced, the connections by the old key end, its tokens are refused, new ones hold."""
    async with own(tmp_path) as server:
        late = Lateness()
        token = sign(server)
        async with talking(server, token=token) as talk:
            await talk.ask("ping")
            new = tmp_path / "token.key.new"
            new.write_text("n" * 64)
            began_s = time.time()
            new.rename(tmp_path / "token.key")
            code, at_s = await ended(talk)
        assert code == "token_revoked"
        assert at_s - began_s < LATE_S + 10 * late.stop()
        assert (await request(server, "GET", "/v1/session", token=token)).code == "token_invalid"
        assert (await request(server, "GET", "/v1/session", token=sign(server))).status == 200


async def test_another_process_revokes(tmp_path: Path) -> None:
    """What the program revokes while the server runs ends on it: a machine's token, and all that a user holds."""
    async with own(tmp_path) as server:
        late = Lateness()
        made = (await request(server, "POST", "/v1/tokens", POS)).json
        store = SqliteStore(tmp_path / "store.db", asyncio.get_running_loop(), now_ms=app.now_ms)
        revocation = Revocation(store, now_ms=app.now_ms)
        machines = Machines(store, revocation, now_ms=app.now_ms)
        await machines.load()
        token = str(made["token"])
        async with talking(server, token=token) as machine, talking(server) as person:
            await machine.ask("ping")
            await person.ask("ping")
            await machines.revoke("pos", "/")
            began_s = time.time()
            code, at_s = await ended(machine)
            assert code == "token_revoked"
            assert at_s - began_s < LATE_S + 10 * late.stop()
            assert await person.ask("ping")
            await revocation.end_user("staff:test")
            assert (await ended(person))[0] == "token_revoked"
        store.close()
        assert (await request(server, "GET", "/v1/session", token=token)).code == "token_invalid"
        assert (await request(server, "GET", "/v1/session", token=sign(server))).status == 200


async def test_a_machine_ends_with_who_made_it(tmp_path: Path) -> None:
    """The token of a machine, and its connection, end within a second of a user who made it and was removed, got a
    smaller scope or was disabled; machines of others go on, and a restart brings none back.
    """
    makers = ("sam", "tim", "uma")
    changes: tuple[tuple[str, Json], ...] = (
        ("DELETE", None),
        ("PATCH", {"scope": "/M1"}),
        ("PATCH", {"disabled": True}),
    )
    async with own(tmp_path) as server:
        late = Lateness()
        assert (await request(server, "POST", "/v1/tokens", POS)).status == 201
        tokens = []
        for maker in makers:
            user: Json = {"name": maker, "role": "admin", "scope": "/"}
            assert (await request(server, "POST", "/v1/users", user)).status == 201
            whose = server.tokens.sign(subject=maker, role="admin", scope="/", ttl_s=60, now_ms=app.now_ms())
            made = await request(server, "POST", "/v1/tokens", POS | {"name": f"{maker}s"}, token=whose)
            tokens.append(str(made.json["token"]))
        for maker, token, (method, body) in zip(makers, tokens, changes, strict=True):
            async with talking(server, token=token) as machine:
                await machine.ask("ping")
                began_s = time.time()
                assert (await request(server, method, f"/v1/users/{maker}", body)).status in (200, 204)
                code, at_s = await ended(machine)
            assert code == "token_revoked"
            assert at_s - began_s < LATE_S + 10 * late.worst_s
            assert (await request(server, "GET", "/v1/session", token=token)).code == "token_revoked"
        late.stop()
        assert [each.name for each in server.machines.all("/")] == ["pos"]
    async with own(tmp_path) as server:
        for token in tokens:
            assert (await request(server, "GET", "/v1/session", token=token)).code in ("token_revoked", "token_invalid")


async def test_what_was_revoked_stays_so(tmp_path: Path) -> None:
    """A restart brings no revoked token back."""
    async with own(tmp_path) as server:
        token = sign(server)
        await server.revocation.end_user("staff:test")
        assert (await request(server, "GET", "/v1/session", token=token)).code == "token_revoked"
    async with own(tmp_path) as server:
        assert (await request(server, "GET", "/v1/session", token=token)).code == "token_revoked"


async def test_a_refresh_to_fewer_topics(tmp_path: Path) -> None:
    """A connection that brings a token for fewer topics is told which subscriptions have ended."""
    async with own(tmp_path) as server, talking(server) as talk:
        await talk.ask("subscribe", target="kpi")
        await talk.ask("subscribe", target="bench")
        assert await talk.ask("auth", token=for_topics(server, ["bench"])) == {}
        await talk.ask("ping")
        told = [(each.target, each.scope, each.code) for each in talk.messages if each.type == "error"]
        assert told == [("kpi", "/", "topic_forbidden")]
        assert await talk.refused("subscribe", target="kpi") == "topic_forbidden"


def for_topics(server: app.Application, topics: list[Json]) -> str:
    """A token of the same user for these topics alone, made by a program that has the key."""
    claims: dict[str, Json] = {"sub": "test", "role": "admin", "scope": "/", "exp": app.now_ms() // 1000 + 60}
    header = b'{"alg":"HS256","typ":"JWT"}'
    signed = f"{encode(header)}.{encode(msgspec.json.encode(claims | {'topics': topics}))}"
    return f"{signed}.{encode(hmac.digest(server.tokens.ring.own.secret, signed.encode(), 'sha256'))}"


# Who may make tokens of machines.


@pytest.mark.parametrize("role", ["service", "risk", "auditor", "master", "agent", "customer", "cashier"])
async def test_who_may_make_tokens(tmp_path: Path, role: str) -> None:
    """Only who administers may make, see or end tokens of machines; nobody gives what the own scope does not hold."""
    async with own(tmp_path) as server:
        token = sign(server, role=role, scope="/M1")
        asked: list[tuple[str, str, Json]] = [("GET", "", None), ("POST", "", POS), ("DELETE", "/x", None)]
        for method, path, body in asked:
            path = f"/v1/tokens{path}"
            assert (await request(server, method, path, body, token=token)).code == "forbidden"
        assert not server.machines.all("/")


async def test_only_within_the_own_scope(tmp_path: Path) -> None:
    """An administrator of a sub-tree makes, sees and ends tokens there, and nowhere else."""
    async with own(tmp_path) as server:
        within = sign(server, scope="/M1")
        assert (await request(server, "POST", "/v1/tokens", POS, token=within)).status == 201
        for scope in ("/", "/M2", "/M11"):
            answer = await request(server, "POST", "/v1/tokens", POS | {"scope": scope, "name": "other"}, token=within)
            assert answer.code == "scope_forbidden"
        assert (await request(server, "POST", "/v1/tokens", POS | {"scope": "/M2", "name": "two"})).status == 201
        listed = (await request(server, "GET", "/v1/tokens", token=within)).json["tokens"]
        assert isinstance(listed, list)
        assert [each["name"] for each in listed if isinstance(each, dict)] == ["pos"]
        assert (await request(server, "DELETE", "/v1/tokens/two", token=within)).code == "not_found"
        assert (await request(server, "DELETE", "/v1/tokens/pos", token=within)).status == 204


async def test_who_may_less_ends_no_token_of_more(tmp_path: Path) -> None:
    """An administrator ends no machine whose role may more than the administrator's own."""
    async with own(tmp_path) as server:
        small: Json = {"administer": True, "topics": ["kpi"]}
        assert (await request(server, "PUT", "/v1/roles/deputy", small)).status == 201
        assert (await request(server, "POST", "/v1/tokens", POS)).status == 201
        deputy = sign(server, role="deputy", scope="/")
        assert (await request(server, "DELETE", "/v1/tokens/pos", token=deputy)).code == "forbidden"
        assert (await request(server, "DELETE", "/v1/tokens/pos")).status == 204


async def test_a_machine_makes_no_machines(tmp_path: Path) -> None:
    """A machine's token, even of a role that administers, cannot make another one; the token is shown once."""
    async with own(tmp_path) as server:
        made = await request(server, "POST", "/v1/tokens", POS | {"role": "admin", "scope": "/"})
        assert made.headers["cache-control"] == "no-store"
        token = str(made.json["token"])
        assert (await request(server, "POST", "/v1/tokens", POS | {"name": "next"}, token=token)).code == "forbidden"
        assert token.encode() not in (await request(server, "GET", "/v1/tokens")).body
        assert (await request(server, "GET", "/v1/views/kpi", token=token)).status == 200


@pytest.mark.parametrize(
    "changes",
    [{"role": "nope"}, {"scope": "M1"}, {"hours": 0}, {"hours": -1}, {"name": "A"}, {"purpose": ""}, {"x": 1}],
)
async def test_bad_requests_for_tokens(tmp_path: Path, changes: dict[str, Json]) -> None:
    """A request that is not as it must be makes no machine."""
    async with own(tmp_path) as server:
        answer = await request(server, "POST", "/v1/tokens", POS | changes)
        assert answer.status == 400
        assert not server.machines.all("/")
