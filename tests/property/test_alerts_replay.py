"""Every rule at thresholds that are always met, over a simulated book: what is said does not depend on restarts."""

from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgspec
import pytest

from fire22.core.event import Event
from fire22.core.times import to_datetime
from fire22.feed.base import Batch, encode_entries
from fire22.flows.base import Flow
from fire22.flows.engine import CONFIGURED
from fire22.sportsbook import domain
from fire22.sportsbook.demo.catalogue import SMALL, opening
from fire22.sportsbook.demo.incidents import NAMES
from fire22.sportsbook.demo.simulation import Simulation
from fire22.sportsbook.risk.alerts import TOPIC
from fire22.sportsbook.risk.rules import RULES
from tests.support.folding import Folding
from tests.support.risk_desk import DAY, MINUTE
from tests.support.simulated import NOW_MS, lived, new_world
from tests.support.simulated_facts import Teller
from tests.support.storage import event

MINUTES: Final = 9
RATE_HZ: Final = 2.0
SELDOM: Final = {"correlated_parlay", "past_post", "chargeback", "minimal_play"}  # in so short a time
SHIFT_MS: Final = DAY - NOW_MS % DAY - 6 * MINUTE  # midnight falls into it
EAGER: Final[dict[str, Any]] = {
    "alerts_max": 150,
    "closed_keep_hours": 0,
    "agent_swarm": {"linked": False, "agents": 2},
    "correlated_parlay": {"spread_share": 0},
    "credit_utilisation": {"share": 0.02, "critical_share": 0.04, "cooldown_s": 30},
    "customer_exposure": {"limit_minor": 20_000},
    "deposit_aml": {"daily_minor": 10_000, "suspicious_minor": 5_000, "near": 0, "count": 2, "cooldown_s": 0},
    "hold_drop": {"hold": 1, "days": 1, "handle_minor": 1},
    "ip_cluster": {"accounts": 1, "window_s": 60},
    "large_bet": {"risk_minor": 20_000, "critical_risk_minor": 50_000, "cooldown_s": 60},
    "loss_chasing": {"lost": 1, "of": 1, "raises": 1, "stake_minor": 1, "times_previous": 1},
    "market_liability": {"share": 0.01, "critical_share": 0.02},
    "minimal_play": {"share": 0, "turnover": 100, "deposit_minor": 1},
    "palpable_error": {"overround": 1.05, "jump": 1.02, "off": 1.01, "offered_s": 0},
    "past_post": {"grace_ms": 0},
    "sharp": {"value": 0, "bets": 2, "errors": 0, "known_segments": []},
    "stake_spike": {"times_median": 0.5, "times_largest": 0.1, "bets": 2, "stake_minor": 1},
    "steam": {"customers": 2, "line_move": 0, "stake_minor": 1, "live": True},
    "velocity": {"bets": 2, "times_usual": 0},
}


def flows() -> tuple[Flow, ...]:
    """The book's own."""
    return domain.flows()


def facts(seed: int) -> Iterator[Event]:
    """A simulated book in which some facts come late, with a midnight in it."""
    random = Random(f"late {seed}")
    settings = {"flows": {"risk": {"version": 1, "settings": EAGER}}}
    yield event("configured", type=CONFIGURED, at_ms=NOW_MS + SHIFT_MS, data=settings)
    made = Simulation(new_world(seed, SMALL), seed=f"{seed}", rate_hz=RATE_HZ, now_ms=NOW_MS, size=SMALL)
    for turn, name in enumerate(NAMES):
        made.plan(name, NOW_MS + (1 + turn) * MINUTE)
    teller = Teller(NOW_MS)
    for items in (opening(Random(seed), NOW_MS, SMALL), lived(made, NOW_MS + MINUTES * MINUTE)):
        for told in teller.tell(items):
            late_ms = random.randrange(5 * MINUTE) if told.type != "system.clock" and random.random() < 0.05 else 0
            yield msgspec.structs.replace(told, timestamp=to_datetime(told.at_ms + SHIFT_MS - late_ms))


def told(seed: int) -> tuple[list[list[Event]], list[Batch]]:
    """Groups of facts, with what people decide about the alerts that they see, and what was said."""
    random = Random(f"groups {seed}")
    folding, groups, waiting = Folding(flows), list[list[Event]](), list(facts(seed))
    at = 0
    while at < len(waiting):
        size = random.choice((1, 5, 50, 200))
        group = waiting[at : at + size]
        at += size
        seen = sorted(key for topic, scope, key in folding.documents if (topic, scope) == (TOPIC, "/"))
        for number, alert in enumerate(random.sample(seen, min(len(seen), random.randrange(4)))):
            kind = random.choice(("alert.acknowledged", "alert.closed"))
            data = {"alertId": alert, "actor": random.choice(("anna", "ben"))}
            group.append(event(f"decided:{at}:{number}", type=kind, at_ms=group[-1].at_ms, data=data))
        groups.append(group)
        folding.group(group)
    return groups, folding.batches


def bytes_of(batch: Batch) -> list[object]:
    """What a batch says and archives, as it is stored."""
    return [
        *((record.topic, record.offset, encode_entries(record.entries)) for record in batch.records),
        *(msgspec.msgpack.encode(one) for one in batch.archived),
    ]


@pytest.mark.parametrize("seed", [2])
def test_a_restart_changes_nothing(seed: int) -> None:
    """Started anew from what was stored, after any group, the rules find the same, to the byte."""
    groups, batches = told(seed)
    random = Random(f"cuts {seed}")
    folding = Folding(flows)
    for number, group in enumerate(groups):
        batch = folding.group(group)
        assert bytes_of(batch) == bytes_of(batches[number]), f"seed {seed}, group {number}"
        if random.random() < 0.1:
            folding.restart()
    said = [one.key for batch in batches for one in batch.documents if one.topic == TOPIC]
    gone = [one.key for batch in batches for one in batch.archived if one.topic == TOPIC]
    opened = {key.partition("-")[0] for key in (*said, *gone)}
    assert opened >= {rule.name for rule in RULES} - SELDOM, opened
    assert gone
