"""The rules' defaults against the demo's world: what is staged is found, and people can live with the queue."""

from collections import Counter
from random import Random

import pytest

from fire22.core.event import encode_event
from fire22.flows.engine import Engine
from fire22.sportsbook import domain
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.demo.catalogue import FULL, opening
from fire22.sportsbook.demo.incidents import Name, Note
from fire22.sportsbook.demo.simulation import Simulation
from fire22.sportsbook.exposure.flow import Exposures
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.risk.alerts import TOPIC, Alerts
from tests.support.risk_desk import Document
from tests.support.seeds import seeds
from tests.support.simulated import MINUTE_MS, NOW_MS, lived, new_world
from tests.support.simulated_facts import Teller

RATE_HZ = 8.0
GROUP = 500
RAISES: dict[Name, set[str]] = {
    "steam": {"steam"},
    "syndicate": {"agent_swarm", "ip_cluster"},
    "wrong_price": {"palpable_error"},
}


def alerts(seed: int, minutes: int, staged: dict[Name, int] | None = None) -> tuple[list[Document], list[Note]]:
    """The alerts of a full book after so many minutes, and the incidents that were staged in it (minute by name)."""
    notes: list[Note] = []
    registry = Registry()
    ledger = Ledger(registry)
    exposures = Exposures(registry)
    engine = Engine((registry, ledger, exposures, Alerts(registry, ledger, exposures)), domain.decode)
    made = Simulation(new_world(seed), seed=f"{seed}", rate_hz=RATE_HZ, now_ms=NOW_MS, size=FULL, tell=notes.append)
    for name, minute in (staged or {}).items():
        made.plan(name, NOW_MS + minute * MINUTE_MS)
    teller = Teller(NOW_MS)
    documents: dict[str, Document] = {}
    told = 0
    for items in (opening(Random(seed), NOW_MS, FULL), lived(made, NOW_MS + minutes * MINUTE_MS)):
        for event in teller.tell(items):
            engine.fold(encode_event(event).body)
            told += 1
            if told % GROUP == 0:
                for document in engine.flush().batch.documents:
                    if (document.topic, document.scope) == (TOPIC, "/") and document.body is not None:
                        documents[document.key] = document.body
    assert not engine.rejected
    return list(documents.values()), notes


@seeds(1, 3, start=1)
def test_what_is_staged_is_found_and_nothing_else_is_made_of_it(seed: int) -> None:
    """Each incident raises the alert that it should, of the selection and the customers it is about, and no other."""
    found, notes = alerts(seed, 16, {"steam": 2, "syndicate": 5, "wrong_price": 9})
    assert [note.incident for note in notes] == ["steam", "syndicate", "wrong_price"]
    for note in notes:
        about = {
            one["rule"]
            for one in found
            if one.get("marketId") == note.market_id
            or one.get("customerId") in note.customers
            or set(one["evidence"].get("customerIds", ())) & set(note.customers)
        }
        assert about == RAISES[note.incident], note
    (syndicate,) = (one for one in found if one["rule"] == "agent_swarm")
    assert set(syndicate["evidence"]["customerIds"]) <= set(notes[1].customers)
    (wrong,) = (one for one in found if one["rule"] == "palpable_error")
    assert (wrong["severity"], wrong["evidence"]["wagers"]) == ("critical", 4)


@pytest.mark.parametrize("minutes", [18, pytest.param(60, marks=pytest.mark.soak)])
def test_an_ordinary_hour_raises_few_alerts(minutes: int) -> None:
    """Nothing staged: a risk manager finds a handful of alerts an hour, none of a rule for what did not happen."""
    found, _ = alerts(3, minutes)
    counts = Counter(one["rule"] for one in found)
    assert counts.total() <= minutes / 3, counts
    assert not counts.keys() & {"agent_swarm", "ip_cluster", "palpable_error", "past_post", "velocity", "sharp"}, counts
