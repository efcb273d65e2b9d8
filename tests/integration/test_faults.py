"""A server whose flows have a fault: it serves what was true before, says so everywhere, and goes on without it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from fire22 import app
from fire22.cli import program
from fire22.core.event import encode_event
from fire22.core.message import Json
from fire22.flows.replay_check import check_replay
from fire22.log.database import connect
from fire22.sportsbook import domain
from tests.integration.inside import make_config, talking, until
from tests.integration.test_http import request
from tests.support.faulty import Faulty, after
from tests.support.histories import History

FACTS = 150
own_flows = domain.flows


@contextlib.asynccontextmanager
async def serving(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fault: Faulty | None
) -> AsyncIterator[app.Application]:
    """A server with a fault in its flows."""
    monkeypatch.setattr(domain, "flows", lambda: (*own_flows(), *(() if fault is None else (again(fault),))))
    async with app.running(make_config(folder)) as server:
        yield server


def again(fault: Faulty) -> Faulty:
    """A new flow with the same fault."""
    return Faulty(fault._fails, fault._clock, fault._flush)


def events(first: int, after_last: int) -> list[Any]:
    """Facts of a small book."""
    found = [each for each in History(4, noise=False).take(400) if not each.type.startswith("system.")]
    return [encode_event(each) for each in found[first:after_last]]


async def revenue(server: app.Application) -> tuple[Json, Json]:
    """The root's revenue and the watermark that it is said with."""
    answer = (await request(server, "GET", "/v1/views/kpi?scope=/")).json
    (document,) = msgspec.convert(answer["documents"], list[dict[str, Any]])
    return document["data"]["revenue"], answer["watermark"]


async def test_a_stopped_fold_serves_what_was_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which a flow raises ends no server: figures stay as they were, `/readyz`, ticks and an alert say so,
    a restart does the same, and a version without the fault goes on to the end of the log."""
    fault = Faulty(clock=after(FACTS))
    async with serving(tmp_path, monkeypatch, fault) as server:
        await server.log.append(events(0, FACTS - 1))
        await until(lambda: server.shows_all)
        async with talking(server) as talk:
            await talk.ask("subscribe", target="kpi")
            before = await revenue(server)
            await server.log.append(events(FACTS - 1, FACTS + 40))
            await until(lambda: server.runner.stopped)
            alert = await talk.message(lambda message: message.type == "alert")
            assert isinstance(alert.data, dict)
            assert (alert.data["code"], alert.priority, alert.offset) == ("fold_stopped", "critical", None)
            assert alert.target is None
            said: list[Json] = []
            while "problem" not in str(said):
                said.append((await talk.tick()).data)
            assert "fold_stopped" in str(said[-1])
            ready = await request(server, "GET", "/readyz", token=None)
            assert (ready.status, ready.json["parts"]) == (503, {**dict(ready.json["parts"]), "flows": "fold_stopped"})  # type: ignore[arg-type]
            assert (await talk.ask("ping"))["problem"] == "fold_stopped"
            stands = await revenue(server)
            # Events are still taken, and kept for later.
            await server.log.append(events(FACTS + 40, FACTS + 50))
    told = CliRunner().invoke(program, ["check", "--data", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert "fold_stopped" in told.output and "system.clock" in told.output
    for _ in range(2):
        async with serving(tmp_path, monkeypatch, fault) as server:
            assert server.runner.stopped is not None
            assert await revenue(server) == stands
            assert (await request(server, "GET", "/readyz", token=None)).status == 503
    assert stands[1] >= before[1]  # type: ignore[operator]
    async with serving(tmp_path, monkeypatch, Faulty()) as server:
        assert server.runner.stopped is None
        assert (await request(server, "GET", "/readyz", token=None)).status == 200
        await until(lambda: server.shows_all)
    assert "fold_stopped" not in CliRunner().invoke(program, ["check", "--data", str(tmp_path)]).output
    with contextlib.closing(connect(make_config(tmp_path).storage)) as connection:
        check_replay(connection, app.build_engine(("bench",)))


async def test_one_bad_event_is_one_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event on which a flow raises is named by `check` and in the view, and everything else goes on."""
    bad = events(60, 61)[0]
    fault = Faulty(lambda event: KeyError("x") if event.id == bad.id else None)
    async with serving(tmp_path, monkeypatch, fault) as server:
        for each in events(0, FACTS):
            await server.log.append([each])
        await until(lambda: server.shows_all)
        assert (await request(server, "GET", "/readyz", token=None)).status == 200
        found = (await request(server, "GET", "/v1/views/dead_letters")).json["documents"]
        letters = [each["data"] for each in msgspec.convert(found, list[dict[str, Any]])]
        assert [(each["eventId"], each["type"]) for each in letters if each["code"] == "flow_failed"] == [
            (bad.id, msgspec.json.decode(bad.body)["type"])
        ]
        metrics = (await request(server, "GET", "/metrics", token=None)).body
        assert b'code="flow_failed"' in metrics
    told = CliRunner().invoke(program, ["check", "--data", str(tmp_path), "--replay"])
    assert told.exit_code == 0, told.output
    assert "flow_failed" in told.output and bad.id in told.output
