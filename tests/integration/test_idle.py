"""A server to which nothing comes says all that waits within two seconds, though its book's clock stands still."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fire22 import app
from fire22.core.event import Event, encode_event
from fire22.core.times import to_datetime
from fire22.sources.clock import ClockSource, clock_event
from fire22.sources.idle import NEXT_S
from tests.integration.inside import make_config, talking, until
from tests.support.storage import START_MS

AGENTS = 200
CUSTOMERS = 600


def facts() -> list[Any]:
    """A book of many agents and customers, and a wager of each customer, settled."""
    found = [Event("a0", "agent.imported", "t", to_datetime(START_MS), raw(agent("/M1")))]
    for number in range(AGENTS):
        path = f"/M1/A{number}"
        found.append(Event(f"a{path}", "agent.imported", "t", to_datetime(START_MS), raw(agent(path))))
    for number in range(CUSTOMERS):
        who = {"customerId": f"C{number}", "agentId": f"A{number % AGENTS}", "path": f"/M1/A{number % AGENTS}"}
        customer = {**who, "name": f"C{number}", "status": "active"}
        found.append(Event(f"c{number}", "customer.imported", "t", to_datetime(START_MS), raw(customer)))
        paid = {
            **who, "entryId": f"e{number}", "kind": "adjustment", "amountMinor": 100 + number, "reason": "x",
        }  # fmt: skip
        found.append(Event(f"p{number}", "balance.adjusted", "t", to_datetime(START_MS + 1000), raw(paid)))
    return [encode_event(each) for each in found]


def agent(path: str) -> dict[str, object]:
    """What is told of an agent."""
    return {
        "agentId": path.rpartition("/")[2],
        "name": path,
        "path": path,
        "level": path.count("/"),
        "status": "active",
    }


def raw(data: object) -> msgspec.Raw:
    """As an event has it."""
    return msgspec.Raw(msgspec.json.encode(data))


async def test_all_is_said_without_another_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one transaction of a large book and a clock that stands still, each scope is complete within two seconds."""
    monkeypatch.setattr(ClockSource, "watermark_ms", lambda self: 0)
    config = make_config(tmp_path, kpi={"documents_max": 4})
    async with app.running(config) as server:
        await server.log.append([clock_event(START_MS)])
        await server.log.append(facts())
        await until(lambda: server.runner.behind == 0)
        assert server.engine.waiting
        before = server.log.last_seq
        await until(lambda: not server.engine.waiting)
        parts = server.log.last_seq - before
        await until(lambda: server.shows_all)
        async with talking(server) as talk:
            for number in (0, 7, AGENTS - 1):
                scope = f"/M1/A{number}"
                answer = await talk.ask("subscribe", target="figures", scope=scope)
                shown = msgspec.convert(answer["snapshot"], list[dict[str, Any]])
                of_scope = next(each["data"] for each in shown if not each.get("key"))
                expected = sum(100 + each for each in range(number, CUSTOMERS, AGENTS)) / 100
                assert (of_scope["adjustments"], of_scope["balance"]) == (expected, expected)
                assert answer["watermark"] == "2026-03-01T12:00:00.000Z"
        # Where nothing else runs that is two seconds; on a busy machine only their number says so.
        assert config.log.idle_ms / 1000 + parts * NEXT_S < 2
