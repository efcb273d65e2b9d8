"""What the audit trail costs: to take a note, and to verify all of them from the file."""

import asyncio
import gc
import hashlib
import logging
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import apsw
import msgspec

from bench.report import Report, Row, alternate
from fire22.core.audit import AUDITED, Audited, entry_bytes
from fire22.core.event import EncodedEvent, Event, encode_event
from fire22.core.merkle import leaf
from fire22.core.message import Json
from fire22.core.times import to_datetime
from fire22.flows import audit_check
from fire22.flows.trail import key_of, link
from fire22.log.cipher import PLAIN
from fire22.log.file import open_file
from fire22.log.rows import sealed_row
from fire22.log.seal import seal
from fire22.security.audit import Audit
from fire22.security.heads import is_signed, load_signing_key, signed_head
from fire22.security.principal import Principal

NOW_MS: Final = 1_767_225_600_000
WHO: Final = Principal("anna", "admin", "/", NOW_MS + 1, kind="staff", session="s1")
ADDRESS: Final = "192.0.2.7"
AFTER: Final[dict[str, Json]] = {"role": "cashier", "scope": "/M1", "limitMinor": 250_000}


def measure(*, quick: bool) -> Report:
    """Notes beside lines of the standard library's logging; verifying beside SHA-256 of the same rows."""
    notes, entries, rounds = (10_000, 20_000, 1) if quick else (50_000, 100_000, 3)
    with tempfile.TemporaryDirectory() as folder:
        log, lines = Path(folder) / "flows.db", Path(folder) / "lines.log"
        _fill(log, entries)
        ours, peer = alternate(rounds, partial(_notes, notes), partial(_lines, lines, notes))
        verified, hashed = alternate(rounds, partial(_verify, log), partial(_hash, log))
    return Report(
        (
            Row("µs of CPU for an audit note", ours, "less", None, peer, "logging, a line in a file"),
            Row(
                f"s of CPU to verify {entries:,} audit entries",
                verified,
                "less",
                None,
                hashed,
                "SHA-256 of the same rows",
            ),
        ),
        ("A note has user, session, address, target and three fields; what is verified has a document each.",),
    )


def _notes(count: int) -> float:
    """µs a note, until all have been given to the log, which takes them at once."""

    async def main() -> float:
        loop = asyncio.get_running_loop()

        def append(_: Sequence[EncodedEvent]) -> "asyncio.Future[None]":
            done: asyncio.Future[None] = loop.create_future()
            done.set_result(None)
            return done

        audit = Audit(append, loop, now_ms=lambda: NOW_MS)
        began = time.process_time()
        for number in range(count):
            audit.note("user.changed", principal=WHO, address=ADDRESS, target="bob", after=AFTER)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await audit.durable()
        took = time.process_time() - began
        await audit.close()
        return took / count * 1e6

    return asyncio.run(main())


def _lines(file: Path, count: int) -> float:
    """µs a line."""
    logger = logging.Logger("bench")
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    began = time.process_time()
    for _ in range(count):
        logger.info("%s user=%s address=%s target=%s after=%s", "user.changed", WHO.user, ADDRESS, "bob", AFTER)
    took = time.process_time() - began
    handler.close()
    return took / count * 1e6


def _fill(file: Path, count: int) -> None:
    """A log of entries, as the server writes it, with their documents."""
    data = msgspec.Raw(
        msgspec.json.encode(
            Audited("user.changed", user=WHO.user, role=WHO.role, session="s1", address=ADDRESS, target="bob")
        )
    )
    chain = b""
    with closing(open_file(file)) as connection, connection:
        for number in range(1, count + 1):
            event = Event(f"audit:{number:024x}", AUDITED, "server", to_datetime(NOW_MS), data)
            hash = leaf(entry_bytes(event))
            chain = link(chain, hash)
            row = sealed_row(PLAIN, number, number, event.id, encode_event(event).body)
            connection.execute("INSERT INTO log VALUES(?, ?, ?, ?, ?)", row)
            body = msgspec.json.encode({"number": number, "hash": hash.hex(), "chain": chain.hex()})
            key = "audit", "/", key_of(number), 1
            connection.execute(
                "INSERT INTO archive(topic, scope, key, revision, at_ms, crc, body) VALUES(?, ?, ?, ?, ?, ?, ?)",
                (*key, NOW_MS, seal(body, "archive", *key, NOW_MS), body),
            )


def _verify(file: Path) -> float:
    """s for what `fire22 audit verify` does, with a head that was kept elsewhere."""
    gc.collect()
    began = time.process_time()
    with closing(apsw.Connection(str(file))) as connection:
        found = audit_check.read(connection)
        head = signed_head(
            load_signing_key(file.parent), len(found.entries), found.tree.root(), found.entries[-1].chain
        )
        audit_check.check(connection, found, is_signed=is_signed, kept=head)
    return time.process_time() - began


def _hash(file: Path) -> float:
    """s for a hash of each row's body."""
    began = time.process_time()
    with closing(apsw.Connection(str(file))) as connection:
        for (body,) in connection.execute("SELECT body FROM log"):
            hashlib.sha256(body).digest()
    return time.process_time() - began
