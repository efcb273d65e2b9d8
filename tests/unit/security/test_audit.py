"""Tests for the notes of the audit trail and their way into the log."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fire22.core import codes
from fire22.core.errors import RequestError, StorageError
from fire22.core.event import decode_event
from fire22.security import audit
from fire22.security.audit import Audit
from fire22.security.principal import Principal
from tests.support import virtual_time
from tests.support.notes import Book

NOW_MS = 1_764_000_000_000
ANNA = Principal("anna", "admin", "/M1", NOW_MS + 60_000, session="s1")


def noting(use: Callable[[Audit, Book], Awaitable[None]]) -> Book:
    """What is in the log after somebody has taken notes, in virtual time."""
    book = Book()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        trail = Audit(book.append, loop, now_ms=lambda: NOW_MS + int(loop.time() * 1000))
        await use(trail, book)
        await trail.close()

    virtual_time.run(main())
    return book


def counted(trail: Audit) -> dict[str, float]:
    """The samples, by name."""
    return {sample.name: sample.value for sample in trail.samples()}


def test_a_note_says_who_did_what_and_from_where() -> None:
    """An auditor reads of each action its actor, role, scope, address, target, and what changed."""

    async def use(trail: Audit, book: Book) -> None:
        trail.note(
            "limit.changed",
            principal=ANNA,
            address="10.0.0.7",
            target="/M1/A2",
            before={"stake": 100},
            after={"stake": 200},
        )

    (entry,) = noting(use).told
    assert entry == {
        "action": "limit.changed",
        "user": "staff:anna",
        "role": "admin",
        "scope": "/M1",
        "session": "s1",
        "address": "10.0.0.7",
        "target": "/M1/A2",
        "before": {"stake": 100},
        "after": {"stake": 200},
    }


def test_notes_of_one_turn_are_one_append() -> None:
    """A busy server pays for one append, not for one a note, and the order is that of the notes."""

    async def use(trail: Audit, book: Book) -> None:
        for number in range(50):
            trail.note("command.x", principal=ANNA, target=str(number))
        await trail.durable()
        assert book.appends == 1

    assert [entry.target for entry in noting(use).entries] == [str(number) for number in range(50)]


def test_a_note_is_in_the_log_without_anybody_asking() -> None:
    """Who takes a note need not see to its writing: the next turn of the loop does."""

    async def use(trail: Audit, book: Book) -> None:
        trail.note("session.opened", principal=ANNA)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(book.events) == 1

    noting(use)


def test_secrets_are_left_out_at_any_depth() -> None:
    """Nobody finds a password or a token in the audit trail, wherever a caller has put one."""

    async def use(trail: Audit, book: Book) -> None:
        trail.note(
            "user.changed",
            before={"passwordHash": "argon2", "name": "anna"},  # pragma: allowlist secret
            after={"a": [{"totp_secret": "x"}], "apiKey": "y", "ip": "10.1.2.3"},  # pragma: allowlist secret
        )

    (entry,) = noting(use).told
    assert entry["before"] == {"passwordHash": "***", "name": "anna"}
    assert entry["after"] == {"a": [{"totp_secret": "***"}], "apiKey": "***", "ip": "***"}


def test_the_rights_of_a_role_are_told() -> None:
    """A right that is named as personal data is, such as `address`, is told: yes or no is no address."""

    async def use(trail: Audit, book: Book) -> None:
        trail.note("role.changed", before={"address": False}, after={"address": True, "e": {"address": "1 Main St"}})

    (entry,) = noting(use).told
    assert entry["before"] == {"address": False}
    assert entry["after"] == {"address": True, "e": {"address": "***"}}


def test_what_is_large_is_left_out_and_its_size_is_said() -> None:
    """A huge body makes a small entry."""

    async def use(trail: Audit, book: Book) -> None:
        trail.note("command.x", target="t" * 10_000, after={"text": "x" * 10_000})

    (entry,) = noting(use).told
    assert entry["target"] == "t" * audit.TEXT_MAX
    assert entry["after"] == {"omittedBytes": 10_011}


def test_a_note_that_cannot_be_written_does_not_hurt_its_caller() -> None:
    """A request is answered even where its note is no JSON, and the loss is an entry itself."""

    async def use(trail: Audit, book: Book) -> None:
        unwritable: Any = {"x": object()}
        trail.note("command.x", after=unwritable)
        assert counted(trail)["fire22_audit_lost_total"] == 1

    assert [(entry.action, entry.count) for entry in noting(use).entries] == [("audit.lost", 1)]


@pytest.mark.parametrize("outcome", ["forbidden", "rate_limited"])
def test_a_flood_of_refusals_costs_two_rows_a_second(outcome: str) -> None:
    """An attacker who is refused 10,000 times in a second fills no disk, and every refusal is counted."""

    async def use(trail: Audit, book: Book) -> None:
        for _ in range(10_000):
            trail.note("request.refused", principal=ANNA, address="10.0.0.7", outcome=outcome)
        await asyncio.sleep(audit.REPEAT_S)

    entries = noting(use).entries
    assert [(entry.outcome, entry.count) for entry in entries] == [(outcome, 1), (outcome, 9_999)]
    assert {entry.address for entry in entries} == {"10.0.0.7"}


def test_a_flood_from_many_addresses_is_bounded_too() -> None:
    """Who comes from 5,000 addresses makes a bounded number of rows; every refusal is counted in one of them."""

    async def use(trail: Audit, book: Book) -> None:
        for number in range(5_000):
            trail.note("session.refused", address=f"2001:db8::{number:x}", outcome="token_invalid")

    entries = noting(use).entries
    assert len(entries) == audit.KINDS_MAX + 2
    assert sum(entry.count for entry in entries) == 5_000


def test_each_second_counts_anew() -> None:
    """A refusal an hour later is an entry of its own, with its own time."""

    async def use(trail: Audit, book: Book) -> None:
        for _ in range(3):
            trail.note("request.refused", principal=ANNA, outcome="forbidden")
            await asyncio.sleep(3_600)

    book = noting(use)
    assert [entry.count for entry in book.entries] == [1, 1, 1]
    times = [decode_event(event.body).at_ms for event in book.events]
    assert times[1] - times[0] >= 3_600_000


@pytest.mark.parametrize("at_once", [True, False])
def test_notes_wait_while_the_log_takes_none(at_once: bool) -> None:
    """A full disk loses no note: they are written, once each and in their order, when there is room again."""

    async def use(trail: Audit, book: Book) -> None:
        if at_once:
            book.refusal = RequestError(codes.OVERLOADED, "Too many wait.")
        else:
            book.failure = StorageError(codes.STORAGE_FULL, "The disk is full.", temporary=True)
        for number in range(1_200):
            trail.note("command.x", target=str(number))
        await trail.durable()
        await asyncio.sleep(10)
        assert not book.events and counted(trail)["fire22_audit_waiting"] == 1_200
        book.refusal = book.failure = None
        await asyncio.sleep(2 * audit.RETRY_S)
        assert counted(trail)["fire22_audit_waiting"] == 0

    assert sorted(int(entry.target) for entry in noting(use).entries) == list(range(1_200))


def test_what_does_not_fit_in_memory_is_counted() -> None:
    """While the log takes nothing, memory stays bounded, and the trail says how many notes it lacks."""

    async def use(trail: Audit, book: Book) -> None:
        book.refusal = RequestError(codes.OVERLOADED, "Too many wait.")
        for _ in range(audit.WAITING_MAX + 7):
            trail.note("command.x")
        book.refusal = None
        await trail.durable()

    entries = noting(use).entries
    assert len(entries) == audit.WAITING_MAX + 1 or sum(entry.action == "audit.lost" for entry in entries) == 1
    assert sum(entry.count for entry in entries) == audit.WAITING_MAX + 7
