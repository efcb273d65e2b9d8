"""Revocation: what has ended before its time is refused, by this process and by the next one."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from fire22.core.errors import AuthError
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation, Revoked
from fire22.store.sqlite import SqliteStore
from tests.support.memory_store import MemoryStore

NOW_MS = 1_767_225_600_000
AGENT = Principal("M1", "agent", "/M1", NOW_MS + 60_000, kind="agent", jti="t1", session="s1", issued_ms=NOW_MS)
CUSTOMER = Principal("M1", "customer", "/M1/@M1", NOW_MS + 60_000, kind="customer", issued_ms=NOW_MS)


def made(store: MemoryStore | None = None) -> Revocation:
    """A revocation at one moment."""
    return Revocation(store or MemoryStore(), now_ms=lambda: NOW_MS)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_nothing_is_revoked_at_first() -> None:
    """Somebody without a session, a token's id or a time of issue is let in as long as nothing has ended."""
    nobody = Principal("u1", "admin", "/", 0)
    made().check(nobody)
    made().check(AGENT)


@pytest.mark.parametrize(
    ("end", "others"),
    [
        (lambda ended: ended.end_session("s1"), True),
        (lambda ended: ended.end_token("t1"), True),
        (lambda ended: ended.end_user("agent:M1"), True),
        (lambda ended: ended.end_before(NOW_MS), False),
    ],
    ids=["session", "token", "user", "all"],
)
def test_what_has_ended(end: Any, others: bool) -> None:
    """Ending a session, a token or a user ends that alone: the customer M1 is not the agent M1."""

    async def main() -> None:
        ended = made()
        await end(ended)
        with pytest.raises(AuthError, match="token_revoked"):
            ended.check(AGENT)
        assert ended.refuses(CUSTOMER) is not others

    run(main())


def test_what_is_issued_later_is_good() -> None:
    """A user whose tokens were ended may sign in again at once; a token of unknown age is older than any end."""

    async def main() -> None:
        ended = made()
        await ended.end_user("agent:M1")
        later = Principal("M1", "agent", "/M1", 0, kind="agent", issued_ms=NOW_MS + 1)
        undated = Principal("M1", "agent", "/M1", 0, kind="agent")
        assert not ended.refuses(later)
        assert ended.refuses(undated)
        await ended.end_before(NOW_MS + 1)
        assert ended.refuses(later)
        await ended.end_before(NOW_MS)
        assert ended.refuses(later)

    run(main())


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """What was ended is ended for the next process too, however long its name."""

    async def main() -> None:
        name = "agent:" + "安" * 200
        long = Principal("安" * 200, "agent", "/M1", 0, kind="agent", issued_ms=NOW_MS)
        for first in (True, False):
            store = SqliteStore(tmp_path / "store.db", asyncio.get_running_loop(), now_ms=lambda: NOW_MS)
            ended = Revocation(store, now_ms=lambda: NOW_MS)
            await ended.load()
            if first:
                await ended.end_user(name)
                await ended.end_token("t1", until_ms=NOW_MS + 1)
            assert ended.refuses(long)
            assert ended.refuses(AGENT)
            assert not ended.refuses(CUSTOMER)
            store.close()

    run(main())


def test_another_process_ends_something() -> None:
    """What another process has written is known once it is loaded, and told once, with all of many pages."""

    async def main() -> None:
        store = MemoryStore()
        server, program = made(store), made(store)
        told: list[Revoked] = []
        server.listen(told.extend)
        for number in range(1_100):
            await program.end_token(f"token-{number}")
        await program.end_session("s1")
        assert not server.refuses(AGENT)
        await server.load()
        assert server.refuses(AGENT)
        assert len(told) == 1_101
        await server.load()
        assert len(told) == 1_101

    run(main())


def test_it_ends_before_it_is_stored() -> None:
    """Who listens is told in the turn of the loop in which something ends, before the disk is waited for."""

    async def main() -> None:
        ended = made()
        told: list[tuple[Revoked, bool]] = []
        ended.listen(lambda new: told.extend((each, ended.refuses(AGENT)) for each in new))
        ending = ended.end_session("s1")
        assert told == []
        with pytest.raises(StopIteration):
            ending.send(None)
        assert told == [(Revoked("session", "s1", NOW_MS), True)]
        await ended.end_session("s1")
        assert len(told) == 1

    run(main())


def test_what_has_expired_is_forgotten() -> None:
    """A token that has ended by itself takes no memory, and no row."""

    async def main() -> None:
        now_ms = NOW_MS
        store = MemoryStore(lambda: now_ms)
        ended = Revocation(store, now_ms=lambda: now_ms)
        await ended.end_token("t1", until_ms=NOW_MS + 1_000)
        await ended.end_token("t2")
        now_ms += 1_000
        ended.forget_expired()
        assert not ended.refuses(AGENT)
        again = Revocation(store, now_ms=lambda: now_ms)
        await again.load()
        assert not again.refuses(AGENT)
        assert again.refuses(Principal("x", "admin", "/", 0, jti="t2"))

    run(main())


def test_the_empty_id_cannot_end() -> None:
    """Ending the session without an id would end everybody who has none."""
    with pytest.raises(AssertionError, match="empty id"):
        run(made().end_session(""))


async def test_expired_rows_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server runs, what has ended by itself leaves memory and the store."""
    monkeypatch.setattr("fire22.security.revocation.FORGET_S", 0.001)
    now_ms = NOW_MS
    store = MemoryStore(lambda: now_ms)
    ended = Revocation(store, now_ms=lambda: now_ms)
    await ended.end_token("t1", until_ms=NOW_MS + 1_000)
    await ended.end_token("t2")
    now_ms += 1_000
    running = asyncio.create_task(ended.run())
    async with asyncio.timeout(20):
        while len(store.rows) > 1:
            await asyncio.sleep(0.001)
    running.cancel()
    assert not ended.refuses(AGENT)
