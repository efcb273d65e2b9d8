"""The sportsbook as the application sees it: all that `app.py` takes of it, and what the program's commands ask of it.

A process that folds takes `flows`, `decode`, `Settings.of_flows` and `answer`; one that reads a book, `BOOK`. One that
serves clients takes `roles`, `decode`, `QUESTIONS`, `about` and `desk`, none of which needs a flow in the same process:
the desk reads views and the book, and a question goes to the engine as a message.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from msgspec import Raw

from fire22.core.message import Json
from fire22.core.question import REACH, Outside, Question
from fire22.flows.base import Flow
from fire22.sportsbook.accounting.commissions import Commissions
from fire22.sportsbook.accounting.daybook import Daybook
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.accounting.reports import TOPIC as REPORTS
from fire22.sportsbook.accounting.reports import Reports
from fire22.sportsbook.accounting.reports import archive_key as report_key
from fire22.sportsbook.accounting.weekly_figures import Figures
from fire22.sportsbook.betting.decoding import reader
from fire22.sportsbook.betting.facts import FACTS
from fire22.sportsbook.betting.money import Money
from fire22.sportsbook.betting.periods import KINDS as PERIODS
from fire22.sportsbook.betting.periods import PeriodKind
from fire22.sportsbook.desk.commands import COMMANDS as DESK_COMMANDS
from fire22.sportsbook.desk.commands import FREE_PLAY
from fire22.sportsbook.desk.execution import Desk, View, is_demo
from fire22.sportsbook.desk.permits import FLAGS, Grants, People
from fire22.sportsbook.exposure.flow import Exposures
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.reach import outside
from fire22.sportsbook.registry.agent_tree import Tree
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.reviews import Reviews
from fire22.sportsbook.risk.alerts import Alerts
from fire22.sportsbook.roles import roles
from fire22.sportsbook.settings import Settings, problems
from fire22.sportsbook.ticker.activity import ActivityFeed
from fire22.sportsbook.ticker.notifications import Notifications
from fire22.sportsbook.ticker.wagers import Ticker

__all__ = [
    "BOOK",
    "COMMANDS",
    "FLAGS",
    "PERIODS",
    "QUESTIONS",
    "REPORTS",
    "PeriodKind",
    "Settings",
    "about",
    "answer",
    "decode",
    "desk",
    "flags",
    "flows",
    "grantable",
    "problems",
    "report_key",
    "roles",
]

# What a source makes of the rows of a book: (mapping, currency) → `Book`; by name, for a process that only reads.
BOOK: Final = "fire22.sportsbook.book.configured:book"

# What the body of each command is read as.
COMMANDS: Final = {name: kind.body for name, kind in DESK_COMMANDS.items()}

# What can be asked, and the topic that the asker must be allowed to follow.
QUESTIONS: Final = {"what-if": "exposure"}

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
        Kpi(registry, exposures, commissions, daybook.accounts.is_too_late),
        Reports(registry, daybook),
        Reviews(registry),
        Notifications(registry),
    )


def decode(type: str, data: Raw) -> object:
    """An event's data as the domain's type for it; None for a type that is not the domain's.

    Raises:
        msgspec.ValidationError: the data does not fit; names the field.
    """
    read = _READERS.get(type)
    return read(data) if read is not None else None


def answer(flows: Iterable[Flow], question: Question) -> Json | Outside:
    """The answer to one of `QUESTIONS`, or to the server's own `REACH`, of the flows that are folded here.

    Raises:
        RequestError: what is wrong with it.
    """
    if question.name == REACH:
        return outside(flows, decode, question)
    (exposures,) = (each for each in flows if isinstance(each, Exposures))
    return exposures.what_if(question.scope, question.parameters)


def about(settings: Settings) -> dict[str, Json]:
    """What a client is told of the book when it signs in: its currency, and how many decimals its amounts have."""
    currency = settings.book.currency
    return {"currency": currency, "decimals": Money(currency).decimals}


def flags() -> dict[str, str]:
    """What a user's `may` has to list for a command that the role grants flagged, by the command's name."""
    return {name: kind.flag for name, kind in DESK_COMMANDS.items() if kind.flag is not None}


def grantable() -> dict[str, bool]:
    """The commands that a role can be granted, each with whether to users with its flag alone."""
    return {name: kind.flag is not None for name, kind in DESK_COMMANDS.items()} | {FREE_PLAY: False}


def desk(
    settings: Settings,
    *,
    view: View,
    now_ms: Callable[[], int],
    grants: Grants,
    people: People,
    read_file: Callable[[], tuple[int, int] | None],
) -> Desk | None:
    """What performs commands on the configured book; None where it is none that they know how to write.

    Args:
        view, now_ms, grants, people, read_file: see `Desk`.
    """
    path = Path(settings.book.path)
    if not settings.book.path or settings.book.kind != "sqlite" or not is_demo(path):
        return None
    return Desk(
        path,
        settings=settings.desk,
        currency=settings.book.currency,
        view=view,
        now_ms=now_ms,
        grants=grants,
        people=people,
        read_file=read_file,
    )
