"""What can be set of a sportsbook: its sections of the configuration, and what of them each flow is told by the log.

A setting stands once, with its bounds and its default: in the struct of its section, in the room that goes by it
(`kpi/flow.py: KpiSettings` is `[kpi]`; a rule's are in the rule's file). A flow that goes by several sections reads
each of them from the one object that the log has for it. A bound may be widened later and never narrowed, since logs
hold what was set.
"""

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from fire22.core.message import Json
from fire22.core.strict import Problem
from fire22.sportsbook.accounting.settings import CommissionSettings, FiguresSettings
from fire22.sportsbook.betting.settings import BookSettings
from fire22.sportsbook.desk.settings import DeskSettings
from fire22.sportsbook.exposure.flow import ExposureSettings
from fire22.sportsbook.kpi.flow import KpiSettings
from fire22.sportsbook.registry.currencies import Rates
from fire22.sportsbook.risk.alerts import RiskSettings

Kind = Literal["sqlite", "postgresql"]  # of `sources/kinds.py`
Address = Annotated[str, Meta(min_length=1)]
Place = Literal["process", "thread"]  # where a book is read
PollMs = Annotated[float, Meta(gt=0, le=60_000)]


class SourceSection(Struct, frozen=True):
    """`[[sources]]`: a book's database, in place of `book.path`. More than one cannot be followed yet.

    Args:
        kind: of the database.
        path: of the SQLite file, or the address of the database, such as `postgresql://reader@host/book`.
        mapping: TOML file that names the tables and columns of a book which is not of the demo schema; empty for one
            that is.
        poll_ms: how often to look for changes.
        reader: reads the book in a process of its own, or in a thread of the server's, which needs less memory and
            makes clients wait longer while much is written.
    """

    path: Address
    kind: Kind = "sqlite"
    mapping: str = ""
    poll_ms: PollMs = 5.0
    reader: Place = "process"


class BookSection(BookSettings, frozen=True):
    """`[book]`: the book's database, and what all figures go by.

    Args:
        kind: of the database.
        path: of the SQLite file, or the address of the database, such as `postgresql://reader@host/book`; empty where
            events come by the API alone.
        mapping: TOML file that names the tables and columns of a book which is not of the demo schema; empty for one
            that is.
        poll_ms: how often to look for changes.
        reader: reads the book in a process of its own, or in a thread of the server's, which needs less memory and
            makes clients wait longer while much is written.
        source_timeout_s: after which a silent book no longer holds the watermark back.
    """

    kind: Kind = "sqlite"
    path: str = ""
    mapping: str = ""
    poll_ms: PollMs = 5.0
    reader: Place = "process"
    source_timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 30.0


class Settings(Struct, frozen=True):
    """The sections of a sportsbook, by their names in the configuration.

    Args:
        sources: the database of the book, where `[book]` does not name it.
        currencies: what other currencies are worth, by their code; a fact in one that has no rate is set aside.
    """

    book: BookSection = BookSection()
    sources: tuple[SourceSection, ...] = ()
    currencies: Rates = {}
    desk: DeskSettings = DeskSettings()
    kpi: KpiSettings = KpiSettings()
    figures: FiguresSettings = FiguresSettings()
    commission: CommissionSettings = CommissionSettings()
    exposure: ExposureSettings = ExposureSettings()
    risk: RiskSettings = RiskSettings()  # with a section for each rule

    def __post_init__(self) -> None:
        """`[book]` has what `[[sources]]` says, so that nobody else need look at both."""
        if len(self.sources) == 1 and not self.book.path:
            book = msgspec.structs.replace(self.book, **msgspec.structs.asdict(self.sources[0]))
            msgspec.structs.force_setattr(self, "book", book)
        if self.book.path.startswith(("postgresql://", "postgres://")):  # the address says the kind
            msgspec.structs.force_setattr(self, "book", msgspec.structs.replace(self.book, kind="postgresql"))

    def of_flows(self) -> dict[str, Json]:
        """What each flow is told by the log, by the flow's name. Another content makes another event there."""
        said: dict[str, Any] = msgspec.to_builtins(self)
        book, figures = said["book"], said["figures"]
        calendar = _of(book, "time_zone", "day_starts_at", "week_starts_on")
        return {
            "book": {"currency": book["currency"], "rates": said["currencies"]},
            "kpi": calendar | _of(book, "online_minutes") | said["kpi"],
            "daybook": calendar | _of(figures, "restate_weeks", "interval_ms"),
            "figures": _of(figures, "documents_max"),
            "commission": said["commission"],
            "exposure": said["exposure"],
            "risk": said["risk"],
        }


def problems(raw: dict[str, Any]) -> list[Problem]:
    """What is wrong with sections beyond the form of each value.

    Args:
        raw: the whole configuration, as it was read.
    """
    book = raw.get("book")
    zone = book.get("time_zone") if isinstance(book, dict) else None
    if isinstance(zone, str):
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return [Problem("book.time_zone", f"there is no {zone}"), *_of_sources(raw)]
    return _of_sources(raw)


def _of_sources(raw: dict[str, Any]) -> list[Problem]:
    book, sources = raw.get("book"), raw.get("sources")
    count = len(sources) if isinstance(sources, list) else 0
    if count > 1:
        return [Problem("sources", f"there are {count}, and only one book can be followed")]
    if (
        count
        and isinstance(book, dict)
        and any(name in book for name in ("kind", "path", "mapping", "poll_ms", "reader"))
    ):
        return [Problem("sources", "the book's database stands in `[book]` as well; say it once")]
    return []


def _of(section: dict[str, Json], *names: str) -> dict[str, Json]:
    return {name: section[name] for name in names}
