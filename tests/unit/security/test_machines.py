"""Tokens of machines: made once, checked, listed within a scope, ended."""

import pytest

from fire22.core.errors import AuthError, RequestError
from fire22.security.machines import TOKEN, Machines
from fire22.security.revocation import Revocation
from tests.support.memory_store import MemoryStore

NOW_MS = 1_767_225_600_000
HOUR_MS = 3_600_000


class World:
    """Machines of one process; several may share a store.

    Attributes:
        now_ms: the time.
    """

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.now_ms = NOW_MS
        self.store = store or MemoryStore()
        self.revocation = Revocation(self.store, now_ms=lambda: self.now_ms)
        self.machines = Machines(self.store, self.revocation, now_ms=lambda: self.now_ms)

    async def create(self, name: str = "till", *, scope: str = "/M1", purpose: str = "prints slips") -> str:
        """The token of a new machine."""
        end_ms = self.now_ms + HOUR_MS
        _, token = await self.machines.create(
            name, purpose=purpose, role="agent", scope=scope, expires_ms=end_ms, created_by="staff:ann"
        )
        return token


async def test_a_token_is_good_and_is_not_kept() -> None:
    """A machine is let in with its role and scope, as a machine whatever the role; the store holds no token."""
    world = World()
    token = await world.create()
    principal = world.machines.verify(token)
    assert (principal.user, principal.role, principal.scope) == ("machine:till", "agent", "/M1")
    assert principal.expires_ms == NOW_MS + HOUR_MS
    assert token.startswith(TOKEN)
    secret = token.removeprefix(TOKEN).encode()
    assert all(secret not in row.value for row in world.store.rows.values())
    assert secret.decode() not in repr(world.machines.all("/"))


@pytest.mark.parametrize("token", ["", TOKEN, TOKEN + "A" * 43, "é", "x" * 10_000, "\ud800"])
async def test_guessed_tokens(token: str) -> None:
    """What was never given lets nobody in."""
    world = World()
    await world.create()
    with pytest.raises(AuthError, match="token_invalid"):
        world.machines.verify(token)


async def test_a_token_ends() -> None:
    """A machine's token ends by itself; then its name may be used again."""
    world = World()
    token = await world.create()
    with pytest.raises(RequestError, match="name_taken"):
        await world.create()
    world.now_ms += HOUR_MS
    with pytest.raises(AuthError, match="token_expired"):
        world.machines.verify(token)
    again = await world.create()
    assert world.machines.verify(again)
    with pytest.raises(AuthError, match="token_invalid"):
        world.machines.verify(token)


async def test_a_revoked_token() -> None:
    """A revoked token is refused, what it had opened ends, and a new machine of the name is another one."""
    world = World()
    token = await world.create()
    principal = world.machines.verify(token)
    await world.machines.revoke("till", "/")
    assert world.revocation.refuses(principal)
    with pytest.raises(AuthError):
        world.machines.verify(token)
    assert not world.revocation.refuses(world.machines.verify(await world.create()))


async def test_a_maker_who_is_gone() -> None:
    """With what its maker holds a machine's token ends: it is listed no more, its name is free, and its row goes."""
    world = World()
    principal = world.machines.verify(await world.create())
    await world.revocation.end_user("staff:bob")
    assert not world.revocation.refuses(principal)
    await world.revocation.end_user("staff:ann")
    assert world.revocation.refuses(principal)
    assert world.machines.all("/") == []
    with pytest.raises(RequestError, match="not_found"):
        await world.machines.revoke("till", "/")
    world.now_ms += 1
    await world.create()
    await world.create("other")
    await world.revocation.end_user("staff:ann")
    await world.machines.forget_ended()
    assert not [key for key in world.store.rows if key.startswith("machine/")]
    world.now_ms += 1
    assert not world.revocation.refuses(world.machines.verify(await world.create()))


async def test_scopes() -> None:
    """Who administers a sub-tree sees and ends its own machines alone, and learns of no others."""
    world = World()
    await world.create("one", scope="/M1")
    await world.create("two", scope="/M2")
    assert [machine.name for machine in world.machines.all("/M1")] == ["one"]
    assert [machine.name for machine in world.machines.all("/")] == ["one", "two"]
    for name in ("two", "three"):
        with pytest.raises(RequestError, match="not_found"):
            await world.machines.revoke(name, "/M1")


async def test_an_expired_machine_keeps_its_name_from_others() -> None:
    """Who administers a sub-tree does not take the name of a machine outside of it, whose token has expired."""
    world = World()
    await world.create("two", scope="/M2")
    world.now_ms += 2 * HOUR_MS
    end_ms = world.now_ms + HOUR_MS
    with pytest.raises(RequestError, match="name_taken"):
        await world.machines.create(
            "two", purpose="x", role="agent", scope="/M1", expires_ms=end_ms, created_by="staff:ann", within="/M1"
        )
    await world.create("two", scope="/M2")


async def test_last_use() -> None:
    """When a machine was last used is known, written in batches, and survives a restart."""
    world = World()
    tokens = [await world.create(f"m{number}") for number in range(150)]
    assert {machine.used_ms for machine in world.machines.all("/")} == {0}
    for token in tokens:
        world.machines.verify(token)
    await world.machines.write_used()
    rows = len(world.store.rows)
    await world.machines.write_used()
    assert len(world.store.rows) == rows == 300
    again = World(world.store)
    await again.machines.load()
    assert {machine.used_ms for machine in again.machines.all("/")} == {NOW_MS}
    assert again.machines.verify(tokens[0])


async def test_another_process() -> None:
    """What another process makes and revokes counts here once it is loaded."""
    server = World()
    program = World(server.store)
    token = await program.create()
    await server.machines.load()
    principal = server.machines.verify(token)
    await program.machines.revoke("till", "/")
    await server.revocation.load()
    await server.machines.load()
    assert server.revocation.refuses(principal)
    with pytest.raises(AuthError):
        server.machines.verify(token)


@pytest.mark.parametrize("name", ["", "Till", "a b", "../x", "x" * 65, "é", "-a", "a/b", "a\n"])
async def test_bad_names(name: str) -> None:
    """A name is a short plain word."""
    with pytest.raises(RequestError, match="command_invalid"):
        await World().create(name)


async def test_a_purpose_is_needed() -> None:
    """Whoever finds a machine in the list can tell what it is for."""
    for purpose in ("", "  ", "x" * 201):
        with pytest.raises(RequestError, match="command_invalid"):
            await World().create(purpose=purpose)
