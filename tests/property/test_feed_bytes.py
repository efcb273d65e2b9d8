"""What recorded histories become, to the byte: it changes only where a flow says so with another version.

A digest that differs where no flow's `version` or table did is an accident: an installation would say one thing now and
another after a replay. Where the change is meant, `FIRE22_RECORD=1` writes the digests anew.
"""

import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from random import Random

import msgspec
import pytest

from fire22 import app
from fire22.core.event import Event
from fire22.core.message import Json
from fire22.core.topic import Topic
from fire22.flows.engine import Folded
from fire22.sportsbook.demo.catalogue import SMALL, opening
from fire22.sportsbook.demo.simulation import Simulation
from tests.support.folding import Folding
from tests.support.histories import History
from tests.support.simulated import MINUTE_MS, NOW_MS, lived, new_world
from tests.support.simulated_facts import Teller

ROOT = Path(__file__).parents[2]
DIGESTS = ROOT / "tests" / "vectors" / "feed_digests.json"
SETTINGS = ROOT / "tests" / "vectors" / "flow_settings.json"
GROUP = 50
MINUTES = 5
BEFORE_ROWS = ("seq", "offset", "expected", "expected_seq", "watermark_ms", "records")


def history(seed: int) -> Iterator[Event]:
    """Facts of all kinds, some late, some wrong, over days."""
    return islice(History(seed, late=0.2), 4_000)


def lives(seed: int) -> Iterator[Event]:
    """A small demo book for some minutes."""
    made = Simulation(new_world(seed, SMALL), seed=f"{seed}", rate_hz=5.0, now_ms=NOW_MS, size=SMALL)
    teller = Teller(NOW_MS)
    yield from teller.tell(opening(Random(seed), NOW_MS, SMALL))
    yield from teller.tell(lived(made, NOW_MS + MINUTES * MINUTE_MS))


HISTORIES = {f"{make.__name__}-{seed}": (make, seed) for make, seed in ((history, 1), (history, 2), (lives, 1))}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_same_facts_become_the_same_bytes(name: str) -> None:
    """Every message, document, archived document and row of state, in their order."""
    make, seed = HISTORIES[name]
    folding = Folding(lambda: app.build_engine(("news",)).flows)
    digest = hashlib.blake2b(digest_size=16)
    for group in chunks(make(seed)):
        folded = folding.fold(group)
        digest.update(said(folded))
        check_declared(folding.engine.topics, folded)
    compare(name, digest.hexdigest())


def test_what_is_stored_has_the_same_shape() -> None:
    """Another shape makes every installation fold its whole log again at its next start."""
    compare("shape", app.build_engine(()).shape)


def test_the_settings_go_into_the_log_as_the_same_bytes() -> None:
    """Other bytes of a setting that nobody has changed would be an event in the log of every installation."""
    raw = tomllib.loads((ROOT / "examples" / "fire22.toml").read_text())
    raw["book"] |= {"time_zone": "America/New_York", "day_starts_at": "06:30:00", "online_minutes": 7.5}
    raw["currencies"] = {"EUR": [{"rate": "1.0825", "since": "2026-01-01T01:00:00+01:00"}]}
    found = app.flow_settings(app.convert(raw))
    if os.environ.get("FIRE22_RECORD"):
        SETTINGS.write_bytes(encoded(found))
    recorded = SETTINGS.read_bytes()
    assert encoded(known(found, msgspec.json.decode(recorded))) == recorded


def known(found: Json, recorded: Json) -> Json:
    """What was recorded of a value; a setting that is new since then is left out."""
    if isinstance(found, dict) and isinstance(recorded, dict):
        return {name: known(found[name], each) for name, each in recorded.items()}
    return found


def encoded(settings: Json) -> bytes:
    """As the log has them, for a person to read."""
    return msgspec.json.format(msgspec.json.encode(settings, order="sorted"), indent=2) + b"\n"


def check_declared(topics: Mapping[str, Topic], folded: Folded) -> None:
    """Every field that a topic brings is one that it declares: no other can be masked."""
    found = [(record.topic, entry.data) for record in folded.batch.records for entry in record.entries]
    found += [(each.topic, each.body) for each in folded.batch.archived]
    for topic, data in found:
        if topics[topic].fields and data != b"null":
            assert set(msgspec.json.decode(data, type=dict[str, msgspec.Raw])) <= set(topics[topic].fields), topic


def chunks(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Events in groups."""
    while group := list(islice(events, GROUP)):
        yield group


def said(folded: Folded) -> bytes:
    """All of a commit group that is stored or sent: the batch, and in the middle of it the rows that go with it."""
    fields = msgspec.structs.asdict(folded.batch)
    order = (*BEFORE_ROWS, "rows", *(name for name in fields if name not in BEFORE_ROWS))
    return msgspec.msgpack.encode({name: fields.get(name, folded.rows) for name in order})


def compare(name: str, found: str) -> None:
    """Compare a digest with the recorded one."""
    recorded = msgspec.json.decode(DIGESTS.read_bytes(), type=dict[str, str])
    if os.environ.get("FIRE22_RECORD"):
        text = msgspec.json.encode(dict(sorted({**recorded, name: found}.items())))
        DIGESTS.write_bytes(msgspec.json.format(text, indent=2) + b"\n")
    else:
        assert found == recorded.get(name), "say it with a flow's version, then record it with FIRE22_RECORD=1"
