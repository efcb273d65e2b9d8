"""The sportsbook as the server sees it: its flows, and how the data of its events is read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Raw

from fire22.core.message import Json
from fire22.flows.base import Flow
from fire22.sportsbook.accounting.commissions import Commissions
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.accounting.reports import Reports
from fire22.sportsbook.accounting.weekly_figures import Figures
from fire22.sportsbook.betting.decoding import reader
from fire22.sportsbook.betting.facts import FACTS
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.exposure.flow import Exposures
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.registry.agent_tree import Tree
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.reviews import Reviews
from fire22.sportsbook.risk.alerts import Alerts
from fire22.sportsbook.ticker.activity import ActivityFeed
from fire22.sportsbook.ticker.notifications import Notifications
from fire22.sportsbook.ticker.wagers import Ticker

Answer = Callable[[str, Mapping[str, Sequence[str]]], Json]  # of a scope and the parameters of a request

_READERS: Final = {name: reader(type) for name, type in FACTS.items()}


def flows() -> tuple[Flow, ...]:
    """New flows, in the order in which they see each event."""
    registry = Registry()
    ledger = Ledger(registry)
    exposures = Exposures(registry)
    daybook = Daybook(registry)
    commissions = Commissions(registry, daybook)
    return (
        registry,
        Tree(),
        ledger,
        exposures,
        Ticker(registry),
        Alerts(registry, ledger, exposures),  # judges what is decided of alerts, of which the activity feed tells
        ActivityFeed(registry),
        daybook,
        Figures(registry, daybook),
        commissions,
        Kpi(registry, exposures, commissions),
        Reports(registry, daybook),
        Reviews(registry),
        Notifications(registry),
    )


def queries(flows: Callable[[], Iterable[Flow]]) -> dict[str, tuple[str, Answer]]:
    """What can be asked of the flows, by name: the topic that the asker must be allowed to follow, and the answer.

    Args:
        flows: gives them as they are when somebody asks.
    """

    def what_if(scope: str, parameters: Mapping[str, Sequence[str]]) -> Json:
        (exposures,) = (each for each in flows() if isinstance(each, Exposures))
        return exposures.what_if(scope, parameters)

    return {"what-if": ("exposure", what_if)}


def about(currency: str) -> dict[str, Json]:
    """What a client is told of the book when it signs in: its currency, and how many decimals its amounts have."""
    return {"currency": currency, "decimals": Money(currency).decimals}


def decode(type: str, data: Raw) -> object:
    """An event's data as the domain's type for it; None for a type that is not the domain's.

    Raises:
        msgspec.ValidationError: the data does not fit; names the field.
    """
    read = _READERS.get(type)
    return read(data) if read is not None else None
