"""What a server keeps does not depend on where it was restarted: every flow, over histories of every kind of event."""

from collections.abc import Iterator
from random import Random

from fire22.core.event import Event
from fire22.flows.base import Flow
from fire22.flows.relay import Relay
from fire22.sportsbook import domain
from tests.support.folding import Folding
from tests.support.histories import OPEN_TOPICS, History
from tests.support.seeds import seeds


def flows() -> tuple[Flow, ...]:
    """All that a server runs."""
    return (*domain.flows(), Relay(OPEN_TOPICS))


def groups(seed: int) -> Iterator[list[Event]]:
    """A history in groups of random size."""
    random = Random(f"groups {seed}")
    events = iter(History(seed).take(300))
    while group := [each for _, each in zip(range(random.randint(1, 6)), events, strict=False)]:
        yield group


@seeds(6, 24)
def test_a_restart_changes_neither_the_feed_nor_the_rows(seed: int) -> None:
    """A crash at any moment leaves the same bytes as none: else a replay of the log would say that they are damaged."""
    undisturbed, restarted = Folding(flows), Folding(flows)
    for number, group in enumerate(groups(seed)):
        restarted.restart()
        assert undisturbed.group(group) == restarted.group(group), f"seed {seed}: group {number}"
        differing = undisturbed.rows.items() ^ restarted.rows.items()
        assert not differing, f"seed {seed}: group {number}: {sorted(differing)}"
