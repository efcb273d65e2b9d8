"""Reports from the file of a log, by the program: printed, worked out anew, and found to differ."""

import asyncio
import csv
import io
from pathlib import Path

import apsw
import msgspec
import pytest
from typer.testing import CliRunner, Result

from fire22 import app
from fire22.cli import program
from fire22.core.event import encode_event
from tests.support.histories import History
from tests.support.storage import folding, opened, reseal, wait_folded

EVENTS = 900


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with some weeks of a small book."""
    folder = tmp_path_factory.mktemp("reports")

    async def write() -> None:
        events = [encode_event(event) for event in History(12).take(EVENTS)]
        async with opened(folder / "flows.db") as storage, folding(storage, app.build_engine(())):
            for start in range(0, EVENTS, 50):
                await storage.log.append(events[start : start + 50])
            await wait_folded(storage, EVENTS)

    asyncio.run(write())
    return folder


def report(data: Path, *arguments: str) -> Result:
    """Run `fire22 report`."""
    return CliRunner().invoke(program, ["report", "--data", str(data), *arguments])


def newest(data: Path, period: str) -> str:
    """The last period of a kind that has a report of the house."""
    connection = apsw.Connection(str(data / "flows.db"))
    sql = "SELECT max(key) FROM archive WHERE topic = 'reports' AND scope = '/' AND key LIKE ?"
    key = str(connection.execute(sql, (f"{period}:%",)).get)
    connection.close()
    return key.partition(":")[2]


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_a_report_is_printed_as_json_and_as_a_table(data: Path, period: str) -> None:
    """A bookkeeper gets a period of a scope for a script and for a spreadsheet."""
    key = newest(data, period)
    result = report(data, "--period", period, "--key", key)
    assert result.exit_code == 0, result.output
    (document,) = msgspec.json.decode(result.stdout)["documents"]
    assert document["key"] == f"{period}:{key}"
    assert document["data"]["period"] == period
    (row,) = csv.DictReader(io.StringIO(report(data, "--period", period, "--key", key, "--format", "csv").stdout))
    assert float(row["revenue"]) == document["data"]["revenue"]
    assert int(row["players"]) == document["data"]["players"]


def test_the_beginning_of_a_key_stands_for_all_of_them(data: Path) -> None:
    """All days of a month come with one command, each in its newest revision, or in every one."""
    month = newest(data, "day")[:7]
    days = msgspec.json.decode(report(data, "--key", month).stdout)["documents"]
    assert len(days) > 1
    assert len({each["key"] for each in days}) == len(days)
    every = msgspec.json.decode(report(data, "--key", month, "--revisions").stdout)["documents"]
    assert len(every) >= len(days)


def test_worked_out_anew_a_report_is_the_same(data: Path) -> None:
    """An auditor works reports out from the log, and they are what was archived."""
    for scope in ("/", "/M1"):
        result = report(data, "--period", "week", "--scope", scope, "--recompute")
        assert result.exit_code == 0, result.output
        assert "0 differences" in result.stderr
        assert result.stdout == report(data, "--period", "week", "--scope", scope).stdout


def test_each_difference_is_said(data: Path, tmp_path: Path) -> None:
    """A report that somebody has changed, one that is gone, and one too many are all named, with what the log gives."""
    copy = tmp_path / "flows.db"
    connection = apsw.Connection(str(data / "flows.db"))
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    connection = apsw.Connection(str(copy))
    where = "topic = 'reports' AND scope = '/' AND key = ? AND revision = 1"
    days = [str(row[0]) for row in connection.execute(
        "SELECT key FROM archive WHERE topic = 'reports' AND scope = '/' AND key LIKE 'day:%' AND revision = 1"
    )]  # fmt: skip
    changed, gone = days[-1], days[-2]
    body = msgspec.json.decode(connection.execute(f"SELECT body FROM archive WHERE {where}", (changed,)).get)
    forged = msgspec.json.encode({**body, "revenue": 1234.5})
    connection.execute(f"UPDATE archive SET body = ?, crc = ? WHERE {where}", (forged, 0, changed))
    connection.execute(f"DELETE FROM archive WHERE {where}", (gone,))
    connection.execute(
        "INSERT INTO archive SELECT topic, scope, key, 99, at_ms, crc, body FROM archive"
        " WHERE topic = 'reports' AND scope = '/' AND key = ? LIMIT 1",
        (days[0],),
    )
    reseal(connection)
    connection.close()
    result = report(tmp_path, "--recompute")
    assert result.exit_code == 1
    told = " ".join(result.stderr.split())
    assert f"{changed} revision 1: revenue is archived as 1234.5, and the log gives {body['revenue']}" in told
    assert f"{gone} revision 1: is not archived" in told
    assert f"{days[0]} revision 99: is archived, and the log does not give it" in told
    assert "3 differences" in told


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--period", "year"), "config_invalid"),
        (("--format", "xml"), "config_invalid"),
        (("--scope", "M1"), "scope_invalid"),
        (("--key", "1999-01-01"), "not_found"),
        (("--data", "/nowhere"), "not_found"),
    ],
)
def test_what_cannot_be_printed_is_said(data: Path, arguments: tuple[str, ...], code: str) -> None:
    """A wrong word or a period without a report is one line, not a traceback."""
    result = report(data, *arguments)
    assert result.exit_code == 1
    assert f"error code: {code}" in result.stderr
    assert "Traceback" not in result.output
