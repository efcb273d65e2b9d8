"""Turns that are fair between users."""

import asyncio
import random
from collections import defaultdict

import pytest

from fire22.gateways.turns import FairQueue, Turns, Work
from tests.support import virtual_time
from tests.support.seeds import seeds

SLICE = 2.0


def test_one_user_has_its_own_order() -> None:
    """What one user asks for is done as it came."""
    queue: FairQueue[int] = FairQueue(SLICE)
    for number in range(5):
        queue.put("ann", number)
    found = []
    while (taken := queue.take()) is not None:
        found.append(taken[1])
        queue.charge(taken[0], 1)
    assert found == [0, 1, 2, 3, 4]


def test_who_asks_little_waits_for_one_slice() -> None:
    """Beside twenty users who always want more, one who comes back is next, again and again."""
    queue: FairQueue[str] = FairQueue(SLICE)
    for number in range(20):
        for _ in range(10):
            queue.put(f"greedy {number}", "much")
    for _ in range(100):
        for _ in range(30):
            taken = queue.take()
            assert taken is not None
            queue.charge(taken[0], SLICE, "much")
        queue.put("good", "little")
        taken = queue.take()
        assert taken is not None
        assert taken[1] == "little"
        queue.charge(taken[0], 1)


@seeds(5, 200)
def test_everybody_who_wants_more_gets_the_same(seed: int) -> None:
    """Users who always have work get the same time, however long their pieces and however many wait, to a piece."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    queue: FairQueue[str] = FairQueue(SLICE)
    got: dict[str, float] = defaultdict(float)
    longest = {f"user {number}": chance.uniform(0.1, 4) for number in range(10)}
    for user in longest:
        for _ in range(chance.randint(1, 20)):
            queue.put(user, user)
    for _ in range(3_000):
        taken = queue.take()
        assert taken is not None
        flow, user = taken
        cost = chance.uniform(0, longest[user])
        got[user] += cost
        queue.charge(flow, cost, user)
    assert max(got.values()) - min(got.values()) <= 2 * max(longest.values()) + SLICE


def test_users_who_are_gone_are_forgotten() -> None:
    """Nothing is kept of users once nobody has work."""
    queue: FairQueue[int] = FairQueue(SLICE)
    for number in range(100):
        queue.put(str(number), number)
    while (taken := queue.take()) is not None:
        queue.charge(taken[0], 1)
    assert not queue._flows


def test_long_work_is_cut() -> None:
    """A long page of one user does not hold up another's short answer, nor the loop; counted by pieces, not by time."""
    done: list[str] = []
    worked_s = 0.0

    def work(name: str, pieces: int) -> Work[float]:
        nonlocal worked_s
        for _ in range(pieces):
            worked_s += 0.001
            yield None
        done.append(name)
        return worked_s

    async def main() -> None:
        turns = Turns(0.002, lambda: worked_s)
        long = [turns.perform(f"greedy {number}", work("long", 200)) for number in range(20)]
        for _ in range(40):
            for _ in range(25):  # as many slices of the others
                await asyncio.sleep(0)
            before_s = worked_s
            ended_s = await turns.perform("good", work("short", 1))
            assert ended_s - before_s <= 0.001 + 0.002 + 1e-9
        assert "long" not in done
        await asyncio.gather(*long)

    virtual_time.run(main())
    assert done[-1] == "long"


def test_storage_is_read_in_turns() -> None:
    """Who reads little from storage waits for one read of the others, and a failed read fails its own work alone."""
    order: list[str] = []

    async def read(name: str) -> str:
        await asyncio.sleep(1)
        order.append(name)
        if name == "broken":
            raise OSError
        return name

    def work(name: str, reads: int) -> Work[str]:
        found = ""
        for _ in range(reads):
            found = yield lambda: read(name)
        return found

    async def main() -> None:
        turns = Turns(0.002, asyncio.get_running_loop().time)
        much = [turns.perform("greedy", work("much", 10)) for _ in range(10)]
        await asyncio.sleep(5.5)
        little = turns.perform("good", work("little", 1))
        broken = turns.perform("other", work("broken", 1))
        assert await little == "little"
        assert "little" in order[5:8]
        with pytest.raises(OSError):
            await broken
        await asyncio.gather(*much)

    virtual_time.run(main())
