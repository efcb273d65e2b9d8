"""What the watermark says is true: who is told of one has all facts up to it in what is shown, of each topic and scope.

An engine that says few documents at a time folds random histories with a recorded clock. After each group a copy of it
says all that waits. Whatever the first has said must be what a copy says, as of the watermark that is told with it or
later.
"""

from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from fire22.core.event import Event, encode_event
from fire22.core.times import to_datetime
from fire22.feed.base import SETTLED, Batch, Checkpoint, Document
from fire22.flows.engine import Engine, configuration
from fire22.flows.replica import Replica
from fire22.log.base import Group
from fire22.sources.idle import idle_event
from tests.support.faulty import Builds
from tests.support.histories import History
from tests.support.storage import START_MS

VIEWS = ("kpi", "figures", "exposure", "balances", "commission", "agents", "payment_queue", "reviews")
IDLE_MAX = 200
Key = tuple[str, str, str]
Bodies = dict[Key, Any]


def settings(engine: Engine, random: Random) -> Event:
    """Few documents at a time, and seldom."""
    data = configuration(
        engine.flows,
        {
            "kpi": {"documents_max": random.choice((1, 2, 5))},
            "figures": {"documents_max": random.choice((1, 3, 7))},
            "daybook": {"interval_ms": random.choice((2_000, 3_600_000))},
            "exposure": {"interval_ms": random.choice((1_000, 7_200_000))},
            "relay": {"open_topics": ["bench", "news"]},
        },
    )
    return Event("few", "system.configured", "server", to_datetime(START_MS), Raw(data))


def is_linked(event: Event) -> bool:
    """Whether a wager links markets: what is found of those depends on how often it is searched for."""
    data = msgspec.json.decode(event.data)
    return isinstance(data, dict) and len(data.get("legs") or ()) > 1


class Told:
    """What somebody has who follows everything, and what was told of how complete it is."""

    def __init__(self) -> None:
        self.engine = Builds().engine()
        self.replica = Replica(self.engine)
        self.documents: dict[Key, Document] = {}
        self.waiting: dict[tuple[str, str], int] = {}
        self.checkpoint = Checkpoint(0, 0, 0)

    def group(self, bodies: list[bytes]) -> Batch:
        """A group."""
        batch = self.replica.fold(Group(self.checkpoint.seq + 1, tuple(bodies)))
        self.checkpoint = batch.checkpoint
        for each in batch.documents:
            self.documents[each.topic, each.scope, each.key] = each
        for topic, scope, since_ms in batch.waiting:
            if since_ms == SETTLED:
                del self.waiting[topic, scope]
            else:
                self.waiting[topic, scope] = since_ms
        assert self.waiting == self.engine.waiting
        return batch

    def restart(self) -> "Told":
        """Another that goes on from what is stored."""
        other = Told()
        rows = [(table, key, row) for (table, key), row in sorted(self.replica.rows.items())]
        other.replica.rows = dict(self.replica.rows)
        other.engine.load(self.checkpoint, rows, self.documents.values())
        other.documents, other.checkpoint = dict(self.documents), self.checkpoint
        other.waiting = dict(other.engine.waiting)
        assert other.waiting == self.waiting
        return other

    def settle(self) -> int:
        """Nothing else happens until all is said; how many parts that took."""
        for count in range(IDLE_MAX):
            if not self.engine.waiting or not self.checkpoint.watermark_ms:
                return count  # before the first watermark no day has begun
            self.group([idle_event(self.checkpoint.seq, self.checkpoint.watermark_ms).body])
        raise AssertionError(f"not said after {IDLE_MAX} parts: {self.engine.waiting}")

    @property
    def bodies(self) -> Bodies:
        """The views."""
        return {key: each.body for key, each in self.documents.items() if key[0] in VIEWS and each.body is not None}

    def complete_ms(self, topic: str, scope: str) -> int:
        """What a client would be told."""
        known = self.checkpoint.watermark_ms
        return min(known, self.waiting.get((topic, scope), known), self.waiting.get((topic, ""), known))


@pytest.mark.parametrize("seed", range(6))
def test_whoever_is_told_of_a_watermark_has_all_facts_up_to_it(seed: int) -> None:
    """Of each topic and scope, in any order of groups, with restarts, and however few documents are said at a time."""
    random = Random(seed)
    told = Told()
    events = [each for each in History(seed, noise=False).take(700) if not is_linked(each)]
    events.insert(1, settings(told.engine, random))
    all_said: list[tuple[int, Bodies]] = []
    lagged = 0
    while events:
        size = random.choice((1, 3, 30))
        group, events = events[:size], events[size:]
        told.group([encode_event(each).body for each in group])
        copy = told.restart()
        copy.settle()
        all_said.append((told.checkpoint.watermark_ms, copy.bodies))
        if random.random() < 0.1:
            told = told.restart()
        if not told.checkpoint.watermark_ms:
            continue
        now, expected = told.bodies, all_said[-1][1]
        for key in sorted({*now, *expected}):
            topic, scope, _ = key
            if (topic, scope) not in told.waiting and (topic, "") not in told.waiting:
                assert now.get(key) == expected.get(key), f"seed {seed}: {key} at {told.checkpoint.seq}"
                continue
            complete = told.complete_ms(topic, scope)
            lagged += complete < told.checkpoint.watermark_ms
            since = next(at for at, (watermark_ms, _) in enumerate(all_said) if watermark_ms >= complete)
            assert now.get(key) in [bodies.get(key) for _, bodies in all_said[since:]], (
                f"seed {seed}: {key} at {told.checkpoint.seq} is not as of {to_datetime(complete)}"
            )
    assert lagged, f"seed {seed}: nothing ever waited"
    told.settle()
    assert told.bodies == all_said[-1][1]
