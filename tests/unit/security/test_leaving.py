"""Tests for notes that commands of the program leave, and for how the server brings them into the log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from fire22.core import codes
from fire22.core.audit import Audited, decode_audited
from fire22.core.errors import Fire22Error, RequestError, StorageError
from fire22.core.event import EncodedEvent, decode_event
from fire22.core.message import Json
from fire22.security.audit import Audit
from fire22.security.leaving import ROWS, left
from fire22.security.pending import Pending
from fire22.security.settings import note_settings
from fire22.store.base import Put
from fire22.store.sqlite import NAME, SqliteStore, write_now

NOW_MS = 1_795_919_338_515


class Log:
    """Takes events, each id once; may refuse them first."""

    def __init__(self, *errors: Fire22Error) -> None:
        self.errors = list(errors)
        self.events: dict[str, EncodedEvent] = {}

    def append(self, events: Sequence[EncodedEvent]) -> "asyncio.Future[None]":
        """Take them, or raise the next error."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.errors:
            done.set_exception(self.errors.pop(0))
        else:
            self.events |= {event.id: event for event in events}
            done.set_result(None)
        return done

    @property
    def entries(self) -> list[Audited]:
        """What was taken."""
        return [decode_audited(decode_event(event.body).data) for event in self.events.values()]


def leave(folder: Path, action: str, *, now_ms: int, target: str = "", after: dict[str, Json] | None = None) -> None:
    """As a command of the program does it, beside the server."""
    write_now(folder / NAME, left(action, target=target, after=after, now_ms=now_ms), now_ms=now_ms)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store, as the server has it open."""
    store = SqliteStore(tmp_path / NAME, asyncio.get_running_loop(), now_ms=lambda: NOW_MS)
    yield store
    store.close()


async def bring(store: SqliteStore, log: Log) -> list[Fire22Error]:
    """Until no note is left; what went wrong."""
    failures: list[Fire22Error] = []
    running = asyncio.create_task(Pending(store, log.append).run(failures.append))
    while await store.list(ROWS, limit=1):
        await asyncio.sleep(0)
    running.cancel()
    return failures


async def test_a_note_of_a_command_comes_into_the_log(tmp_path: Path, store: SqliteStore) -> None:
    """An auditor finds what was done on the machine itself, by which account, in its order and with its time."""
    for number in range(120):  # more than one write of the store takes
        leave(tmp_path, "user.added", target=f"user {number}", after={"role": "risk"}, now_ms=NOW_MS + number)
    log = Log()
    assert await bring(store, log) == []
    assert [entry.target for entry in log.entries] == [f"user {number}" for number in range(120)]
    first = log.entries[0]
    assert (first.action, first.user, first.after) == ("user.added", "staff:cli", msgspec.Raw(b'{"role":"risk"}'))
    assert first.client
    assert decode_event(next(iter(log.events.values())).body).at_ms == NOW_MS


async def test_a_note_waits_until_the_log_takes_it(
    tmp_path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs no note."""
    monkeypatch.setattr("fire22.security.pending.RETRY_S", 0.0)
    leave(tmp_path, "data.restored", now_ms=NOW_MS)
    full = StorageError(codes.STORAGE_FULL, "The disk is full.", temporary=True)
    log = Log(full, full)
    assert await bring(store, log) == [full, full]
    assert [entry.action for entry in log.entries] == ["data.restored"]


async def test_what_is_no_note_is_told_and_removed(tmp_path: Path, store: SqliteStore) -> None:
    """A row that somebody else wrote holds up no other."""
    event = b'{"id":"e1","type":"wager.placed","source":"x","timestamp":"2026-01-01T00:00:00Z","data":{}}'
    await store.write(Put(f"{ROWS}0", b"{"), Put(f"{ROWS}00", event))
    leave(tmp_path, "user.added", now_ms=NOW_MS)
    leave(tmp_path, "user.disabled", now_ms=NOW_MS + 1)
    log = Log(RequestError(codes.ID_CONFLICT, "There is another event e1."))
    assert [error.code.name for error in await bring(store, log)] == ["event_invalid", "event_invalid", "id_conflict"]
    assert [entry.action for entry in log.entries] == ["user.disabled"]


async def test_changed_settings_are_noted_by_name(store: SqliteStore) -> None:
    """At a start an auditor is told which settings are other ones than at the last, and never a secret."""
    log = Log()
    audit = Audit(log.append, asyncio.get_running_loop(), now_ms=lambda: NOW_MS)
    first: dict[str, Json] = {"server": {"port": 1, "host": "a"}, "auth": {"password": "one"}}
    await note_settings(store, audit, first)
    await note_settings(store, audit, first)
    assert log.entries == []
    then: dict[str, Json] = {"server": {"port": 2, "host": "a", "new": [1]}, "auth": {"password": "two"}}
    await note_settings(store, audit, then)
    (entry,) = log.entries
    assert (entry.action, entry.before, entry.after) == (
        "configuration.changed",
        msgspec.Raw(b'{"server.port":1}'),
        msgspec.Raw(b'{"server.new":[1],"server.port":2}'),
    )
    row = await store.get("configuration")
    assert row is not None and b"one" not in row.value and b"two" not in row.value
    await audit.close()
