"""The invented histories that other tests fold: they hold what they claim."""

from collections import Counter

from fire22.core.event import encode_event
from fire22.sportsbook.domain import flows
from tests.support.histories import REWRITTEN, History


def test_a_history_has_every_type_of_event() -> None:
    """A figure that depends on any fact is exercised."""
    types = Counter(event.type for event in History(1).take(3000))
    handled = {type for flow in flows() for type in flow.handlers()}
    assert {*handled, "system.configured", "app.said", "weather.changed"} <= {*types, *REWRITTEN}


def test_a_seed_gives_one_history() -> None:
    """A failure can be shown again by its seed."""
    first, again, other = (list(map(encode_event, History(seed).take(300))) for seed in (7, 7, 8))
    assert first == again
    assert first != other
