"""What happens to one wager comes in order; facts of different wagers may come in any. The figures are the same.

Source: domain rules, section 7: every sum is over facts, wherever they stand. Two figures depend on the order, as the
`kpi` flow says: players and liability at the start of the day, where facts come late for the day before.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from random import Random
from typing import Final

import msgspec
import pytest
from msgspec import Raw

from fire22.core.event import Event
from fire22.core.message import Json
from fire22.flows.base import Flow
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.registry.flow import Registry
from tests.support.folding import Folding
from tests.support.histories import SCOPES, History
from tests.support.netted import Netted, Unpaid

WHO_COMES_FIRST: Final = ("agent.", "customer.", "market.", "revenue.", "wager.imported", "system.configured")
KEYS: Final = ("wagerId", "paymentId", "entryId")


def flows() -> tuple[Flow, ...]:
    """The flows under test."""
    registry = Registry()
    netted = Netted(registry)
    return registry, netted, Kpi(registry, netted, Unpaid())


def subject(event: Event) -> str:
    """What a fact is about: facts of one subject keep their order."""
    data = msgspec.json.decode(event.data)
    return next((f"{key} {data[key]}" for key in KEYS if key in data), event.id)


def shuffled(events: Iterable[Event], random: Random) -> Iterator[Event]:
    """The same facts in another order that could have been."""
    queues: dict[str, deque[Event]] = {}
    for event in events:
        queues.setdefault(subject(event), deque()).append(event)
    order = [name for name, queue in queues.items() for _ in queue]
    random.shuffle(order)
    for name in order:
        yield queues[name].popleft()


def told(folding: Folding, events: Iterable[Event], clock: Event, random: Random) -> dict[str, dict[str, Json]]:
    """Fold the facts up to a moment, in groups of any size; what is on the screen then."""
    group: list[Event] = []
    for event in events:
        group.append(event)
        if random.random() < 0.2:
            folding.group(group)
            group = []
    folding.group([*group, clock])
    documents = {scope: folding.documents["kpi", scope, ""] for scope in SCOPES}
    return {scope: {**body, "change": _ordered(body["change"])} for scope, body in documents.items()}


def _ordered(change: Json) -> Json:
    assert isinstance(change, dict)
    return {name: change[name] for name in ("revenue", "pending")}


def with_sessions(events: Iterable[Event], random: Random) -> Iterator[Event]:
    """Between them customers come and leave, around the same time and told of at any."""
    for event in events:
        yield event
        if random.random() < 0.3:
            code = f"C{random.randrange(4)}"
            about = {"customerId": code, "agentId": "A", "path": random.choice(SCOPES[:3])}
            at = event.timestamp + timedelta(minutes=random.randrange(-20, 2))
            kind = random.choice(("session.login", "session.logout"))
            yield Event(f"{event.id}:{code}", kind, "history", at, Raw(msgspec.json.encode(about)))


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_different_wagers_does_not_matter(seed: int) -> None:
    """Two servers that read two books' facts in other orders show a risk manager the same figures at each moment."""
    print(f"seed {seed}")
    random = Random(f"order {seed}")
    events = list(with_sessions(History(seed, late=random.choice((0.1, 0.4))).take(420), random))
    first = next(place for place, event in enumerate(events) if event.type == "system.clock")
    now = next(event for event in events if event.type == "system.now")
    begun = [event for event in events[:first] if event.type.startswith(WHO_COMES_FIRST)]
    rest = [event for event in events[:first] if event not in begun]
    straight, mixed = Folding(flows), Folding(flows)
    for folding in (straight, mixed):
        folding.group([*begun, events[first], now])
    moments, online = 0, 0
    for event in events[first:]:
        if event.type == "system.clock":
            other = list(shuffled(rest, random))
            seen = told(straight, rest, event, random)
            assert seen == told(mixed, other, event, random)
            moments, online, rest = moments + 1, online + (seen["/"]["onlinePlayers"] != 0), []
        elif event.type not in ("system.configured", "system.now"):
            rest.append(event)
    assert moments > 30
    assert 5 < online < moments
    assert sorted(each.id for each in straight.refused) == sorted(each.id for each in mixed.refused)
