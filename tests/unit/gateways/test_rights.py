"""Rights: who is found, who is due, and that many who end do not hold the loop."""

import asyncio
import random
import time

from fire22.core.errors import Fire22Error
from fire22.gateways.rights import Expiries, Index, Rights
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.ring import ring_of
from tests.support.memory_store import MemoryStore

NOW_MS = 1_767_225_600_000


class Held:
    """A connection that takes some time to end."""

    def __init__(self, principal: Principal, work_s: float = 0.0) -> None:
        self.principal: Principal | None = principal
        self.ended_by = ""
        self._work_s = work_s

    def fail(self, error: Fire22Error) -> None:
        """See Holder."""
        until_s = time.perf_counter() + self._work_s
        while time.perf_counter() < until_s:
            pass
        self.ended_by = error.code.name


def person(subject: str, *, session: str = "", expires_ms: int = NOW_MS + 60_000, jti: str = "") -> Principal:
    return Principal(subject, "admin", "/", expires_ms, session=session, jti=jti, issued_ms=NOW_MS)


def test_index() -> None:
    """However many belong to a name, each is found, and the last that goes leaves nothing."""
    index: Index[int] = Index()
    for number in range(5):
        index.add("a", number)
        assert index.of("a") == tuple(range(number + 1))
        assert index.count("a") == number + 1
    index.add("b", 9)
    for number in (2, 0, 4, 1, 3):
        assert number in index.of("a")
        index.remove("a", number)
        assert number not in index.of("a")
    assert (index.of("a"), index.count("a"), index.of("b")) == ((), 0, (9,))
    index.remove("b", 9)
    assert len(index) == 0


def test_due() -> None:
    """Nobody is due before its time, and everybody within a quarter of a second, in whichever order they came."""
    seed = 7
    print("seed", seed)
    chance = random.Random(seed)
    expiries: Expiries[int] = Expiries()
    at = {who: NOW_MS + chance.randrange(5_000) for who in range(300)}
    for who, at_ms in at.items():
        expiries.add(at_ms, who)
    gone = {who for who in at if chance.random() < 0.3}
    for who in gone:
        expiries.remove(at[who], who)
        expiries.remove(at[who], who)
    ended: set[int] = set()
    for now_ms in range(NOW_MS, NOW_MS + 5_400, 50):
        for who in expiries.due(now_ms):
            assert who not in gone | ended
            assert 0 <= now_ms - at[who] < 250
            ended.add(who)
    assert ended == set(at) - gone
    assert len(expiries) == 0


def test_who_leaves_takes_no_memory() -> None:
    """A crowd that comes and goes for a day leaves no entry behind in the queue."""
    expiries: Expiries[int] = Expiries()
    expiries.add(NOW_MS, -1)
    for number in range(20_000):
        expiries.add(NOW_MS + number * 1_000, number)
        expiries.remove(NOW_MS + number * 1_000, number)
    assert len(expiries) == 1
    assert len(expiries._times) < 200


async def test_only_who_is_concerned_ends() -> None:
    """A sign-out ends the connections of that session, a disabled user all of its own, a token its own."""
    revocation = Revocation(MemoryStore(), now_ms=lambda: NOW_MS)
    open: dict[Held, None] = {}
    rights = Rights(revocation, ring_of(b"k" * 32), open, lambda: NOW_MS)
    who = [
        person("ann", session="s1"),
        person("ann", session="s2"),
        person("bob", jti="t1"),
        person("bob"),
        person("c"),
    ]
    held = [Held(each) for each in who]
    for each in held:
        open[each] = None
        assert each.principal is not None
        rights.add(each, each.principal)
    said = []
    for end in (
        revocation.end_session("s1"),
        revocation.end_token("t1"),
        revocation.end_user("staff:ann"),
        revocation.end_before(NOW_MS),
    ):
        await end
        said.append("".join("x" if each.ended_by else "-" for each in held))
    assert said == ["x----", "x-x--", "xxx--", "xxxxx"]
    assert {each.ended_by for each in held} == {"token_revoked"}


async def test_expired_connections_end() -> None:
    """A connection ends when its token does; one that has left or was refreshed is not touched."""
    now_ms = NOW_MS
    rights = Rights(Revocation(MemoryStore(), now_ms=lambda: now_ms), ring_of(b"k" * 32), {}, lambda: now_ms)
    first, left, later = (Held(person("ann", expires_ms=NOW_MS + 1_000)) for _ in range(3))
    for each in (first, left, later):
        assert each.principal is not None
        rights.add(each, each.principal)
    assert left.principal is not None
    rights.remove(left, left.principal)
    assert later.principal is not None
    rights.remove(later, later.principal)
    rights.add(later, person("ann", expires_ms=NOW_MS + 9_000))
    rights.end_due()
    assert first.ended_by == ""
    now_ms += 1_000
    rights.end_due()
    assert [each.ended_by for each in (first, left, later)] == ["token_expired", "", ""]


async def test_many_end_in_slices() -> None:
    """When thousands are ended at once, others are served in between."""
    now_ms = NOW_MS
    rights = Rights(Revocation(MemoryStore(), now_ms=lambda: now_ms), ring_of(b"k" * 32), {}, lambda: now_ms)
    held = [Held(person(f"u{number}"), work_s=0.001) for number in range(50)]
    for each in held:
        assert each.principal is not None
        rights.add(each, each.principal)
    now_ms += 60_000
    rights.end_due()
    turns = 0
    while not all(each.ended_by for each in held):
        turns += 1
        await asyncio.sleep(0)
    assert turns > 5
