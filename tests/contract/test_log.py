"""What every log must do. Another log joins by one more entry in OPENERS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Protocol

import pytest

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.event import EncodedEvent
from fire22.log.base import Appended, Group, Log, SourcePosition
from fire22.log.cipher import PLAIN, Cipher
from tests.support.storage import Storage, encoded


class Opened(Protocol):
    """A log under test."""

    @property
    def log(self) -> Log:
        """The log itself."""

    async def append_together(self, calls: Sequence[Sequence[EncodedEvent]]) -> list[object]:
        """Several appends that reach the disk together; their answers or errors."""


Open = Callable[..., AbstractAsyncContextManager[Opened]]


def open_sqlite(folder: Path, cipher: Cipher = PLAIN) -> Open:
    """Opens the log on one SQLite file, as often as it is called."""

    @contextlib.asynccontextmanager
    async def open(*, pending_max: int = 100_000) -> AsyncIterator[Opened]:
        storage = Storage(folder / "flows.db", pending_max=pending_max, cipher=cipher)
        storage.start()
        try:
            yield storage
        finally:
            storage.close()

    return open


def open_encrypted(folder: Path) -> Open:
    """The same, of a file whose rows are encrypted."""
    return open_sqlite(folder, Cipher([bytes(32)]))


OPENERS = {"sqlite": open_sqlite, "encrypted": open_encrypted}


@pytest.fixture(params=sorted(OPENERS))
def open(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the log under test; again on what was written before."""
    return OPENERS[request.param](tmp_path)


async def read_all(log: Log, *, events_max: int = 5000) -> list[Group]:
    """Every group of the log."""
    found: list[Group] = []
    while more := await log.groups(found[-1].last if found else 0, events_max=events_max):
        found += more
    return found


def bodies(groups: list[Group]) -> list[bytes]:
    """The events of the groups."""
    return [body for group in groups for body in group.bodies]


async def test_events_keep_their_order_and_get_contiguous_numbers(open: Open) -> None:
    """An engineer who appends events reads them back in that order, numbered without a hole."""
    events = [encoded(f"e{number}") for number in range(10)]
    async with open() as opened:
        answers = [*await opened.log.append(events[:3]), *await opened.log.append(events[3:])]
        assert answers == [Appended(f"e{number}", number + 1, False) for number in range(10)]
        assert opened.log.last_seq == 10
        assert bodies(await read_all(opened.log)) == [event.body for event in events]


async def test_an_empty_log_is_empty(open: Open) -> None:
    """Nothing is there before the first event."""
    async with open() as opened:
        assert opened.log.last_seq == 0
        assert await opened.log.groups(0) == []
        assert await opened.log.source_position("book") is None


async def test_numbers_go_on_after_a_restart(open: Open) -> None:
    """A restarted log knows its events and numbers on from the newest."""
    async with open() as opened:
        await opened.log.append([encoded("a"), encoded("b")])
    async with open() as opened:
        assert opened.log.last_seq == 2
        assert await opened.log.append([encoded("b"), encoded("c")]) == [
            Appended("b", 2, True),
            Appended("c", 3, False),
        ]
        assert bodies(await read_all(opened.log)) == [encoded(id).body for id in "abc"]


async def test_a_repeat_is_accepted_and_ignored(open: Open) -> None:
    """A source that sends an event again gets the number of the first time, and the log stays as it was."""
    async with open() as opened:
        await opened.log.append([encoded("a"), encoded("b")])
        assert await opened.log.append([encoded("b"), encoded("a")]) == [
            Appended("b", 2, True),
            Appended("a", 1, True),
        ]
        assert opened.log.last_seq == 2
        assert await opened.log.append([encoded("c"), encoded("a"), encoded("d")]) == [
            Appended("c", 3, False),
            Appended("a", 1, True),
            Appended("d", 4, False),
        ]
        assert len(bodies(await read_all(opened.log))) == 4


async def test_a_repeat_may_have_its_keys_in_another_order(open: Open) -> None:
    """The same content is the same event, however the source's JSON library orders keys."""
    first = encoded("a", data={"one": 1, "two": [{"x": 1, "y": 2}]})
    again = EncodedEvent(
        "a",
        first.body.replace(b'{"one":1,"two":[{"x":1,"y":2}]}', b'{"two":[{"y":2,"x":1}],"one":1}'),
    )
    assert again.body != first.body
    async with open() as opened:
        await opened.log.append([first])
        assert await opened.log.append([again]) == [Appended("a", 1, True)]
        assert bodies(await read_all(opened.log)) == [first.body]


async def test_an_event_may_come_twice_in_one_call(open: Open) -> None:
    """A batch that names an event twice gets one number for it, and the second is a repeat."""
    async with open() as opened:
        assert await opened.log.append([encoded("a"), encoded("b"), encoded("a"), encoded("c")]) == [
            Appended("a", 1, False),
            Appended("b", 2, False),
            Appended("a", 1, True),
            Appended("c", 3, False),
        ]
        assert bodies(await read_all(opened.log)) == [encoded(id).body for id in "abc"]


async def test_other_content_under_a_known_id_refuses_the_call_and_nothing_else(open: Open) -> None:
    """Who uses an id again for something else is told which, and costs neither the others in the group nor a number."""
    async with open() as opened:
        await opened.log.append([encoded("a", data=1)])
        before, refused, after = await opened.append_together(
            [[encoded("b")], [encoded("c"), encoded("a", data=2), encoded("d")], [encoded("e")]]
        )
        assert before == [Appended("b", 2, False)]
        assert after == [Appended("e", 3, False)]
        assert isinstance(refused, RequestError)
        assert refused.code is codes.ID_CONFLICT
        assert refused.details == {"id": "a"}
        assert bodies(await read_all(opened.log)) == [encoded("a", data=1).body, encoded("b").body, encoded("e").body]
        assert await opened.log.append([encoded("c")]) == [Appended("c", 4, False)]


async def test_two_contents_under_one_id_in_one_call_are_a_conflict(open: Open) -> None:
    """A call that contradicts itself is refused whole."""
    async with open() as opened:
        with pytest.raises(RequestError) as refused:
            await opened.log.append([encoded("x"), encoded("a", data=1), encoded("a", data=2)])
        assert refused.value.code is codes.ID_CONFLICT
        assert opened.log.last_seq == 0
        assert await opened.log.groups(0) == []


async def test_a_repeat_of_the_same_group(open: Open) -> None:
    """Two callers send the same event at the same moment: one number, and the later is told it repeats."""
    async with open() as opened:
        assert await opened.append_together([[encoded("a")], [encoded("a"), encoded("b")]]) == [
            [Appended("a", 1, False)],
            [Appended("a", 1, True), Appended("b", 2, False)],
        ]
        assert len(await read_all(opened.log)) == 1


async def test_a_source_position_is_stored_with_its_events(open: Open) -> None:
    """A source that starts again asks where it was; a refused call has not moved it."""
    async with open() as opened:
        await opened.log.append([encoded("a", data=1)], SourcePosition("book", "1"))
        await opened.log.append([], SourcePosition("other", "x"))
        with pytest.raises(RequestError):
            await opened.log.append([encoded("a", data=2)], SourcePosition("book", "2"))
        assert await opened.log.source_position("book") == "1"
        await opened.log.append([encoded("a", data=1)], SourcePosition("book", "3"))
    async with open() as opened:
        assert await opened.log.source_position("book") == "3"
        assert await opened.log.source_position("other") == "x"
        assert opened.log.last_seq == 1


@pytest.mark.parametrize("seed", range(5))
async def test_groups_keep_their_boundaries(open: Open, seed: int) -> None:
    """Flows emit once for each group, so a replay from the disk must see the groups that the first run saw."""
    random = Random(seed)
    written: list[Group] = []
    async with open() as opened:
        for number in range(30):
            calls = [
                [encoded(f"{number}.{call}.{place}") for place in range(random.randint(1, 4))]
                for call in range(random.randint(1, 3))
            ]
            await opened.append_together(calls)
            first = written[-1].last + 1 if written else 1
            [group] = await opened.log.groups(first - 1)
            assert group.committed_ms > (written[-1].committed_ms if written else 0)
            written.append(Group(first, tuple(each.body for call in calls for each in call), group.committed_ms))
        assert await read_all(opened.log) == written
        boundary = random.choice(written)
        assert await opened.log.groups(boundary.last) == written[written.index(boundary) + 1 :]
        assert await read_all(opened.log, events_max=7) == written
    async with open() as opened:
        assert await read_all(opened.log) == written
        assert await read_all(opened.log, events_max=7) == written
        assert await opened.log.groups(boundary.last) == written[written.index(boundary) + 1 :]
        await opened.log.append([encoded("newest")])
        *others, newest = await read_all(opened.log, events_max=1)
        assert others == written
        assert (newest.first, newest.bodies) == (written[-1].last + 1, (encoded("newest").body,))
        assert newest.committed_ms > written[-1].committed_ms


async def test_reading_is_bounded(open: Open) -> None:
    """A reader far behind gets about as many events as it asked for, and always whole groups."""
    async with open() as opened:
        for number in range(20):
            await opened.log.append([encoded(f"{number}.{place}") for place in range(10)])
        found = await opened.log.groups(0, events_max=25)
        assert 25 <= sum(len(group.bodies) for group in found) <= 35
        assert all(len(group.bodies) == 10 for group in found)
    async with open() as opened:
        assert len(bodies(await opened.log.groups(0, events_max=25))) in (30, 40)
        assert len(await opened.log.groups(0, events_max=1)) in (1, 2)


async def test_a_refused_or_repeated_call_makes_no_group(open: Open) -> None:
    """Flows are not woken for nothing."""
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    async with open() as opened:
        await opened.log.append([encoded("a", data=1)])
        opened.log.on_group(wake)
        await opened.log.append([encoded("a", data=1)])
        await opened.log.append([])
        with pytest.raises(RequestError):
            await opened.log.append([encoded("a", data=2)])
        assert woken == 0
        assert len(await read_all(opened.log)) == 1


async def test_whoever_waits_is_woken_for_each_group(open: Open) -> None:
    """When a reader is woken the group is there to be read, and before the caller has its answer."""
    seen: list[int] = []
    async with open() as opened:
        opened.log.on_group(lambda: seen.append(opened.log.last_seq))
        await opened.log.append([encoded("a"), encoded("b")])
        assert seen == [2]
        await opened.append_together([[encoded("c")], [encoded("d")]])
        assert seen == [2, 4]


async def test_too_many_waiting_events_are_refused_at_once(open: Open) -> None:
    """A caller who is faster than the disk is told to come back, and what was accepted is not touched."""
    async with open(pending_max=3) as opened:
        accepted = opened.log.append([encoded("a"), encoded("b")])
        with pytest.raises(RequestError) as refused:
            opened.log.append([encoded("c"), encoded("d")])
        assert refused.value.code is codes.OVERLOADED
        assert refused.value.temporary
        assert refused.value.retry_after_s
        fits = opened.log.append([encoded("e")])
        await asyncio.gather(accepted, fits)
        await opened.log.append([encoded("c"), encoded("d")])
        assert opened.log.last_seq == 5


async def test_many_callers_share_few_groups(open: Open) -> None:
    """Appends that arrive while the disk is busy are committed together, each answered for itself."""
    async with open() as opened:
        answers = await opened.append_together([[encoded(f"{number}")] for number in range(500)])
        assert answers == [[Appended(f"{number}", number + 1, False)] for number in range(500)]
        groups = await read_all(opened.log)
        assert len(groups) == 1
        answers = list(await asyncio.gather(*(opened.log.append([encoded(f"more {n}")]) for n in range(500))))
        assert [answer[0].seq for answer in answers if isinstance(answer, list)] == list(range(501, 1001))
        assert len(await read_all(opened.log)) < 250


async def test_a_caller_who_leaves_does_not_undo_the_append(open: Open) -> None:
    """A request that is cancelled while the disk works is appended all the same, and nobody else notices."""
    async with open() as opened:
        left = opened.log.append([encoded("a")])
        left.cancel()
        assert await opened.log.append([encoded("b")]) == [Appended("b", 2, False)]
        assert bodies(await read_all(opened.log)) == [encoded("a").body, encoded("b").body]


async def test_an_id_is_told_as_new_once(open: Open) -> None:
    """Of callers who send the same events side by side one hears that each is new, all hear the same number, and each
    caller's own events stand in the order in which it sent them."""
    told: dict[str, list[Appended]] = {}
    async with open() as opened:

        async def send(caller: int) -> None:
            random = Random(caller)
            last = 0
            for number in range(20):
                own, shared = f"{caller}.{number}", f"shared {random.randrange(30)}"
                for answer in await opened.log.append([encoded(own), encoded(shared)]):
                    told.setdefault(answer.id, []).append(answer)
                (answer,) = told[own]
                assert answer.seq > last
                last = answer.seq

        await asyncio.gather(*(send(caller) for caller in range(8)))
        for answers in told.values():
            assert len({answer.seq for answer in answers}) == 1
            assert [answer.repeat for answer in answers].count(False) == 1
        numbered = sorted((answers[0].seq, id) for id, answers in told.items())
        assert [seq for seq, _ in numbered] == list(range(1, opened.log.last_seq + 1))
        assert bodies(await read_all(opened.log)) == [encoded(id).body for _, id in numbered]


async def test_who_follows_the_log_sees_each_group_once_and_whole(open: Open) -> None:
    """A reader that is woken, reads and goes on, while others append, has in the end what a replay reads."""
    followed: list[Group] = []
    woken = asyncio.Event()
    async with open() as opened:
        opened.log.on_group(woken.set)

        async def follow() -> None:
            while not followed or followed[-1].last < 120:
                woken.clear()
                found = await opened.log.groups(followed[-1].last if followed else 0, events_max=3)
                followed.extend(found)
                if not found:
                    await woken.wait()

        async def send(caller: int) -> None:
            for number in range(20):
                await opened.log.append([encoded(f"{caller}.{number}.{place}") for place in range(2)])

        await asyncio.wait_for(asyncio.gather(follow(), *(send(caller) for caller in range(3))), 60)
        assert followed == await read_all(opened.log)
    async with open() as opened:
        assert followed == await read_all(opened.log)


async def test_sources_that_share_a_group_keep_their_own_positions(open: Open) -> None:
    """Each source's position is moved with its own events; a call that is refused moves none, whoever else was in the
    group; and a position may move without an event."""
    async with open() as opened:
        await opened.log.append([encoded("a", data=1)], SourcePosition("one", "1"))
        outcomes = await asyncio.gather(
            opened.log.append([encoded("b")], SourcePosition("one", "2")),
            opened.log.append([encoded("c"), encoded("a", data=2)], SourcePosition("two", "7")),
            opened.log.append([], SourcePosition("three", "9")),
            opened.log.append([encoded("d")], SourcePosition("one", "3")),
            return_exceptions=True,
        )
        assert [isinstance(each, RequestError) for each in outcomes] == [False, True, False, False]
    async with open() as opened:
        positions = [await opened.log.source_position(source) for source in ("one", "two", "three")]
        assert positions == ["3", None, "9"]
        assert bodies(await read_all(opened.log)) == [encoded("a", data=1).body, encoded("b").body, encoded("d").body]


async def test_nothing_comes_after_the_end(open: Open) -> None:
    """A reader that has everything gets nothing, and one that is ahead of the log, as after a restore, neither."""
    async with open() as opened:
        await opened.log.append([encoded("a"), encoded("b")])
        assert await opened.log.groups(2) == await opened.log.groups(99) == []
    async with open() as opened:
        assert await opened.log.groups(2) == await opened.log.groups(99) == []
        [group] = await opened.log.groups(0)
        assert (group.first, group.bodies) == (1, (encoded("a").body, encoded("b").body))
