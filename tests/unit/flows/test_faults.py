"""An event on which a flow raises costs itself alone; a failure that belongs to no event ends the folding alone."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import pytest

from fire22.core.event import encode_event
from fire22.core.letter import REPLAYED
from fire22.feed.base import Batch, Document
from fire22.flows.engine import Engine
from fire22.flows.faults import IN_A_ROW, FlowFailed, FoldStopped
from fire22.flows.replay_check import check_replay
from fire22.flows.replica import Replica
from fire22.flows.runner import Runner
from fire22.log.base import Group
from fire22.sources.clock import clock_event
from tests.support.faulty import Builds, after, nothing
from tests.support.histories import History
from tests.support.storage import encoded, opened, wait_folded
from tests.unit.flows.test_runner import FakeFeed, FakeLog, started

Key = tuple[str, str, str]


def groups(events: Sequence[bytes], random: Random) -> list[Group]:
    """Commit groups of any size."""
    found: list[Group] = []
    at = 0
    while at < len(events):
        size = random.choice((1, 2, 7, 40))
        found.append(Group(at + 1, tuple(events[at : at + size])))
        at += size
    return found


def documents(batches: Iterable[Batch]) -> dict[Key, Document]:
    """The views as they are in the end."""
    return {(each.topic, each.scope, each.key): each for batch in batches for each in batch.documents}


def bodies(batches: Iterable[Batch]) -> dict[Key, object]:
    """What the views say in the end, dead letters aside."""
    return {key: each.body for key, each in documents(batches).items() if key[0] != "dead_letters"}


def rows(replica: Replica) -> dict[tuple[str, str], bytes]:
    """The flows' own rows."""
    return {name: row for name, row in replica.rows.items() if not name[0].startswith(("letters/", "engine"))}


@pytest.mark.parametrize("seed", range(6))
def test_an_event_on_which_a_flow_raises_changes_nothing(seed: int) -> None:
    """Whatever flows had made of an event before one raised, the figures are those of a log without it."""
    random = Random(seed)
    events = History(seed).take(500)
    bad = {each.id for each in random.sample([each for each in events if not each.type.startswith("system.")], 12)}
    errors = (KeyError("x"), RecursionError(), ZeroDivisionError(), AssertionError("x"))
    faulty = Builds(lambda event: random.choice(errors) if event.id in bad else None)
    whole = groups([encode_event(each).body for each in events], Random(seed))
    without = groups([nothing(each) if each.id in bad else encode_event(each).body for each in events], Random(seed))
    one, other = Replica(faulty.engine()), Replica(Builds().engine())
    said = [one.fold(group) for group in whole]
    expected = [other.fold(group) for group in without]
    assert bodies(said) == bodies(expected)
    assert rows(one) == rows(other)
    letters = [each for key, each in documents(said).items() if key[0] == "dead_letters" and each.body is not None]
    failed = {each.body["eventId"]: each.body for each in letters if each.body and each.body["code"] == "flow_failed"}
    assert failed
    for each in failed.values():
        assert each["seq"] == 1 + next(at for at, event in enumerate(events) if event.id == each["eventId"])
        assert "Traceback" not in str(each) and "KeyError" not in str(each)
    # The others were refused before the fault could see them.
    assert failed.keys() <= bad


@pytest.mark.parametrize("seed", range(4))
def test_a_replay_sets_the_same_events_aside(seed: int) -> None:
    """The same log gives the same bytes, whether it is folded at once or with restarts in between."""
    events = History(seed).take(300)
    random = Random(seed)
    fails = Builds(lambda event: KeyError() if Random(event.id).random() < 0.08 else None)
    log = groups([encode_event(each).body for each in events], random)
    one = Replica(fails.engine())
    said = [one.fold(group) for group in log]
    assert fails.made > 3
    again: list[Batch] = []
    replica = Replica(fails.engine())
    for group in log:
        if random.random() < 0.2 and again:
            engine = fails.engine()
            stored = [(table, key, row) for (table, key), row in sorted(replica.rows.items())]
            last = again[-1]
            engine.load(last.checkpoint, stored, list(documents(again).values()))
            kept = replica.rows
            replica = Replica(engine)
            replica.rows = kept
        again.append(replica.fold(group))
    assert again == said


async def test_a_running_server_sets_an_event_aside(tmp_path: Path) -> None:
    """With batches on their way to a real file, the server goes on after a fault; its feed is what the log gives."""
    events = [encode_event(each) for each in History(3).take(300)]
    fails = Builds(lambda event: ValueError() if Random(event.id).random() < 0.05 else None)
    told: list[object] = []
    async with opened(tmp_path / "flows.db") as storage:
        engine = storage.load(fails.engine())
        async with started(Runner(storage.log, storage.feed, engine, faulty=told.append)):
            for at in range(0, 300, 5):
                await storage.log.append(events[at : at + 5])
            await wait_folded(storage, 300)
        assert told and all(isinstance(each, FlowFailed) and each.__cause__ is not None for each in told)
        report = await storage.writer.submit(lambda connection: check_replay(connection, fails.engine()))
        assert report.events == 300


def test_a_letter_that_fails_again_stays() -> None:
    """Folding a letter again costs nobody anything either; a version without the fault then takes it in."""
    broken = True
    builds = Builds(lambda event: KeyError() if broken and event.id == "pay" else None)
    replica = Replica(builds.engine())
    start = [encode_event(each).body for each in History(1, noise=False).take(40)]
    said = [replica.fold(Group(1, tuple(start)))]
    customer = next(each for each in said[0].documents if each.topic == "balances" and each.body)
    assert customer.body is not None
    path, _, code = customer.scope.rpartition("/@")
    data = {
        "paymentId": "p1", "customerId": code, "agentId": customer.body["agentId"], "path": path or "/",
        "direction": "deposit", "method": "cash", "amountMinor": 500, "status": "completed",
    }  # fmt: skip
    before = dict(rows(replica))
    said.append(replica.fold(Group(41, (encoded("pay", type="payment.completed", data=data).body,))))
    asked = {"seq": 41, "actor": "ann"}
    said.append(replica.fold(Group(42, (encoded("r1", type=REPLAYED, data=asked).body,))))
    letter = documents(said)["dead_letters", "/", "41"].body
    assert letter is not None
    assert (letter["code"], letter["attempts"]) == ("flow_failed", 2)
    assert rows(replica) == before
    broken = False
    said.append(replica.fold(Group(43, (encoded("r2", type=REPLAYED, data=asked).body,))))
    assert documents(said)["dead_letters", "/", "41"].body is None
    now = documents(said)["balances", customer.scope, ""].body
    assert now is not None and now["balance"] == float(str(customer.body["balance"])) + 5


def test_a_flood_of_failures_costs_a_bounded_part() -> None:
    """Where each event of a type fails, few of them are tried; the first that succeeds ends that."""
    broken = True
    builds = Builds(lambda event: KeyError() if broken and event.type == "session.login" else None)
    replica = Replica(builds.engine())
    said = [replica.fold(Group(1, tuple(encode_event(each).body for each in History(1).take(40))))]
    data = {"customerId": "C1", "agentId": "A1", "path": "/M1/A1"}

    def login(first: int, count: int) -> Group:
        return Group(
            first, tuple(encoded(f"l{first + at}", type="session.login", data=data).body for at in range(count))
        )

    made = builds.made
    for first in range(41, 1041, 250):
        said.append(replica.fold(login(first, 250)))
    assert builds.made - made <= IN_A_ROW + 1000 // IN_A_ROW + 1
    open_letters = [each for each in documents(said).values() if each.topic == "dead_letters" and each.body]
    assert len([each for each in open_letters if each.body and each.body["code"] == "flow_failed"]) >= 999
    broken = False
    said.append(replica.fold(login(1041, 2 * IN_A_ROW)))
    made = builds.made
    last = replica.fold(login(1041 + 2 * IN_A_ROW, 5))
    assert not [each for each in last.documents if each.topic == "dead_letters"]
    assert builds.made == made


@pytest.mark.parametrize("builds", [Builds(clock=after(30)), Builds(flush=after(45))])
async def test_a_failure_of_no_event_ends_the_folding_alone(builds: Builds) -> None:
    """Nothing of the group is shown, what was shown stays, and the runner lives; without the fault all is folded."""
    history = [encode_event(each).body for each in History(2, noise=False).take(140)]
    facts = [each for each in history if b"system.clock" not in each]
    log, feed = FakeLog(), FakeFeed()
    log.add(*facts[:40])
    log.add(*facts[40:60], clock_event(1_800_000_000_000).body)
    log.add(*facts[60:80])
    told: list[object] = []
    engine = builds.engine()
    async with started(Runner(log, feed, engine, faulty=told.append)) as task:
        await feed.wait_seq(40)
        while not told:
            await asyncio.sleep(0)
        assert not task.done()
    (stopped,) = told
    assert isinstance(stopped, FoldStopped)
    assert [batch.seq for batch in feed.written] == [40]
    assert engine.is_whole and engine.checkpoint.seq == 40
    again = Runner(log, feed, loaded(Builds().engine(), feed))
    async with started(again):
        await feed.wait_seq(81)
    one = Builds().engine()
    assert feed.written == [one.fold_group(group).batch for group in log.all]
    assert again.stopped is None


def loaded(engine: Engine, feed: FakeFeed) -> Engine:
    """A new engine at what a feed holds."""
    engine.load(*feed.load())
    return engine


def test_short_memory_is_no_events_fault() -> None:
    """An event is not set aside because the machine had no memory for it: another fold of the log would differ."""
    builds = Builds(lambda event: MemoryError() if event.type == "wager.placed" else None)
    replica = Replica(builds.engine())
    with pytest.raises(FoldStopped):
        replica.fold(Group(1, tuple(encode_event(each).body for each in History(1).take(200))))


def test_without_stored_rows_a_fault_is_loud() -> None:
    """Who folds by hand and keeps no rows hears of the fault at once."""
    engine = Builds(lambda event: KeyError()).engine()
    with pytest.raises(FlowFailed):
        engine.fold_group(Group(1, tuple(encode_event(each).body for each in History(1).take(50))))
    assert not engine.is_whole
