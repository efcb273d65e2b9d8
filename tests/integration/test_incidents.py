"""What is staged in the demo raises the alert it should and no other; an ordinary hour raises few.

In virtual time and without a server: the simulation decides, the changes are written to a book, its triggers tell of
them, and the flows that rules depend on fold what they tell, a commit group for each second.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from fire22.app import convert, flow_settings
from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.core.times import to_datetime
from fire22.feed.base import Document
from fire22.flows.engine import CONFIGURED, Engine, Rejected, configuration
from fire22.flows.horizon import CLOCK
from fire22.log.base import Group
from fire22.sources.sqlite.install import install
from fire22.sportsbook import domain
from fire22.sportsbook.book import database, writer
from fire22.sportsbook.demo.catalogue import FULL
from fire22.sportsbook.demo.create import create_demo
from fire22.sportsbook.demo.incidents import Note, parse
from fire22.sportsbook.demo.loading import load
from fire22.sportsbook.demo.simulation import Simulation
from tests.support.demo_book import told

NOW_MS = 1_790_000_000_000
SECOND_MS = 1_000
MINUTE_MS = 60_000

# What each incident raises. A syndicate shows twice: in the accounts at an address, and in the agents on a selection.
RAISES: dict[str, set[str]] = {
    "steam": {"steam"},
    "syndicate": {"ip_cluster", "agent_swarm"},
    "wrong_price": {"palpable_error"},
}
WITHIN_S = 120
FLOWS = ("book", "ledger", "risk")
ORDINARY_MINUTES = 20
ORDINARY_MAX = 10


class Desk:
    """A demo book and who watches it: `alerts` holds each alert as it was first said."""

    def __init__(self, path: Path, *, seed: int, rate_hz: float, incidents: tuple[str, ...] = ()) -> None:
        create_demo(path, seed=seed, now_ms=NOW_MS, install=install, size=FULL)
        self._book = database.connect(path)
        self._book.execute("PRAGMA synchronous=OFF")
        flows = tuple(flow for flow in domain.flows() if flow.name in FLOWS)
        self._engine = Engine(flows, domain.decode)
        self.now_ms = NOW_MS
        self.alerts: dict[str, tuple[int, dict[str, Json]]] = {}
        self.notes: list[Note] = []
        self._simulation = Simulation(
            load(self._book, NOW_MS), seed=str(seed), rate_hz=rate_hz, now_ms=NOW_MS, size=FULL, tell=self.notes.append
        )
        for text in incidents:
            name, after_s = parse(text)
            self._simulation.plan(name, NOW_MS + round(after_s * SECOND_MS))
        settings = Raw(configuration(self._engine.flows, flow_settings(convert({}))))
        self._fold([Event("configured", CONFIGURED, "server", to_datetime(NOW_MS), settings)])

    def close(self) -> None:
        """Let the book go."""
        self._book.close()

    def live(self, until_ms: int) -> None:
        """Until a time; what is told is folded with the clock, once a second."""
        while self.now_ms < until_ms:
            self.now_ms += SECOND_MS
            while self._simulation.next_ms <= self.now_ms:
                for items in self._simulation.step(self._simulation.next_ms):
                    writer.write(self._book, items)
            clock = Event(f"clock:{self.now_ms}", CLOCK, "server", to_datetime(self.now_ms), Raw(b"{}"))
            self._fold([*self._told(), clock])

    @property
    def rejected(self) -> list[Rejected]:
        """What of the book could not be used."""
        return self._engine.rejected

    def raised(self) -> Counter[str]:
        """How many alerts of which rule."""
        return Counter(str(alert["rule"]) for _, alert in self.alerts.values())

    def _told(self) -> list[Event]:
        """What the triggers have written since the last call."""
        return told(self._book)

    def _fold(self, events: list[Event]) -> None:
        bodies = tuple(encode_event(event).body for event in events)
        folded = self._engine.fold_group(Group(self._engine.checkpoint.seq + 1, bodies))
        for one in folded.batch.documents:
            self._see(one)

    def _see(self, document: Document) -> None:
        """Note an alert of the whole book when it is first said."""
        if document.topic == "alerts" and document.scope == "/" and document.body is not None:
            self.alerts.setdefault(document.key, (self.now_ms, document.body))


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes desks, and lets their books go."""
    made: list[Desk] = []

    def make(**options: Any) -> Desk:
        made.append(Desk(tmp_path / f"{len(made)}.db", **options))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("incident", sorted(RAISES))
def test_an_incident_raises_its_alert_and_no_other(desks: Callable[..., Desk], incident: str, seed: int) -> None:
    """While others bet as ever, each is noticed within two minutes, once, and nothing else is said."""
    print(f"seed {seed}")
    desk = desks(seed=seed, rate_hz=10.0, incidents=(f"{incident}@40",))
    desk.live(NOW_MS + 4 * MINUTE_MS)
    (note,) = desk.notes
    assert desk.raised() == Counter(RAISES[incident])
    for said_ms, alert in desk.alerts.values():
        assert 0 < said_ms - note.at_ms <= WITHIN_S * SECOND_MS, alert
        assert alert["status"] == "open"
    assert desk.rejected == []


def test_incidents_raise_their_alerts_and_no_others(desks: Callable[..., Desk]) -> None:
    """All are staged one after the other: each is noticed within two minutes, once, with those who were in it."""
    print("seed 3")
    desk = desks(seed=3, rate_hz=5.0, incidents=("syndicate@40", "steam@80", "wrong_price@120"))
    desk.live(NOW_MS + 4 * MINUTE_MS)
    notes = {rule: note for note in desk.notes for rule in RAISES[note.incident]}
    assert desk.raised() == Counter(list(notes))
    for said_ms, alert in desk.alerts.values():
        note = notes[str(alert["rule"])]
        assert 0 < said_ms - note.at_ms <= WITHIN_S * SECOND_MS, alert
        assert alert["status"] == "open"
        if note.incident == "syndicate":
            evidence = alert["evidence"]
            assert isinstance(evidence, dict)
            named = evidence["customerIds"]
            assert isinstance(named, list)
            assert len(named) >= 3
            assert set(named) <= set(note.customers)
    assert desk.rejected == []


@pytest.mark.soak
def test_an_ordinary_hour_raises_few(desks: Callable[..., Desk]) -> None:
    """Without incidents the full book says a handful of things, none of them of a pattern, and nothing is refused."""
    desk = desks(seed=4, rate_hz=10.0)
    desk.live(NOW_MS + ORDINARY_MINUTES * MINUTE_MS)
    raised = desk.raised()
    print(f"seed 4: {dict(raised)}")
    assert not {"steam", "ip_cluster", "agent_swarm", "palpable_error", "past_post", "sharp"} & set(raised)
    assert sum(raised.values()) <= ORDINARY_MAX
    assert desk.rejected == []
