"""The key figures of a book that people write to, against plain SQL over its tables; and over restarts.

A figure of a period is what SQL says now less what it said when the period began; that holds here because nothing the
desk does comes late. What comes late is the matter of `test_kpi.py`.
"""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Raw

from fire22.core.event import Event
from fire22.core.message import Json
from fire22.core.times import to_datetime, to_ms, to_text
from fire22.flows.base import Flow
from fire22.flows.engine import CONFIGURED, configuration
from fire22.sportsbook.book import changes, writer
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.registry.flow import Registry
from tests.support.desk import Desk
from tests.support.folding import Folding
from tests.support.netted import Netted, Unpaid
from tests.support.seeds import seeds
from tests.support.storage import START_MS

STEPS: Final = 300
MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
ONLINE_MS: Final = 15 * MINUTE_MS
ZONE: Final = ZoneInfo("America/New_York")
SETTINGS: Final[dict[str, Json]] = {
    "time_zone": "America/New_York",
    "day_starts_at": "06:00:00",
    "documents_max": 1_000,
}

ACCEPTED = "n.status IN ('accepted', 'settled', 'cancelled', 'voided')"
WITHIN = "(?1 = '/' OR {0} = ?1 OR substr({0}, 1, length(?1) + 1) = ?1 || '/')"
OF_WAGER, OF_AGENT, OF_ANY = (WITHIN.format(each) for each in ("w.agent_path", "a.path", "n.agent_path"))
CASH = "iif(w.is_freeplay, 0, w.risk_cents)"
OPEN = f"FROM wagers w WHERE w.status = 'accepted' AND {OF_WAGER}"
LATEST = "s.revision = (SELECT max(l.revision) FROM settlements l WHERE l.wager_id = w.id)"
SUMS = {
    "revenue": f"SELECT sum({CASH} - s.return_cents) FROM wagers w JOIN settlements s ON s.wager_id = w.id"
    f" WHERE w.status = 'settled' AND {LATEST} AND {OF_WAGER}",
    "handle": f"SELECT sum({CASH}) FROM wagers w WHERE w.status IN ('accepted', 'settled') AND {OF_WAGER}",
    "settled": f"SELECT sum({CASH}) FROM wagers w WHERE w.status = 'settled' AND {OF_WAGER}",
    "wagers": f"SELECT count(*) FROM wagers n WHERE {ACCEPTED} AND {OF_ANY}",
    "costs": "SELECT sum(iif(l.kind = 'bonus', l.amount_cents, -l.amount_cents)) FROM ledger_entries l"
    " JOIN customers c ON c.id = l.account_id JOIN agents a ON a.id = c.agent_id"
    f" WHERE l.kind IN ('bonus', 'deposit_charged_back') AND {OF_AGENT}",
    "pending": f"SELECT count(*) {OPEN}",
    "pendingRisk": f"SELECT sum({CASH}) {OPEN}",
    "pendingToWin": f"SELECT sum(w.to_win_cents) {OPEN}",
    "gross": f"SELECT sum({CASH} + w.to_win_cents) {OPEN}",
    "parlays": f"SELECT count(*) {OPEN} AND w.type = 'parlay'",
    "liability": f"""
        WITH straight AS (SELECT x.market_id AS market, l.selection_id AS outcome, sum({CASH}) AS risk,
            sum({CASH} + w.to_win_cents) AS paid FROM wagers w JOIN wager_legs l ON l.wager_id = w.id
            JOIN selections x ON x.id = l.selection_id
            WHERE w.status = 'accepted' AND w.type = 'straight' AND {OF_WAGER} GROUP BY market, outcome),
          netted AS (SELECT max(0, max(paid) - sum(risk)) AS worst FROM straight GROUP BY market)
        SELECT coalesce((SELECT sum(worst) FROM netted), 0)
          + coalesce((SELECT sum(w.to_win_cents) {OPEN} AND w.type = 'parlay'), 0)""",
}
ACTIVE = f"SELECT count(DISTINCT n.customer_id) FROM wagers n WHERE n.accepted_at > ?2 AND {ACCEPTED} AND {OF_ANY}"
ONLINE = f"""
    WITH signs AS (SELECT customer_id, at FROM access_logs WHERE action = 'login'
        UNION ALL SELECT customer_id, accepted_at FROM wagers n WHERE {ACCEPTED}),
      latest AS (SELECT customer_id, max(at) AS at FROM signs GROUP BY customer_id)
    SELECT count(*) FROM latest t JOIN customers c ON c.id = t.customer_id JOIN agents a ON a.id = c.agent_id
    WHERE t.at > ?2 AND {OF_AGENT} AND NOT EXISTS (SELECT 1 FROM access_logs o
      WHERE o.customer_id = t.customer_id AND o.action = 'logout' AND o.at >= t.at)"""

Sums = dict[str, int]


class Then(NamedTuple):
    """What SQL said of a scope when a period began."""

    sums: Sums
    active: int


class Paced(Desk):
    """Now busy, now quiet for minutes or hours; days, weeks and a month begin meanwhile."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path, seed)
        self.now_ms = START_MS + self.random.choice((2, 5, 28)) * DAY_MS
        self.scopes = ["/", *self.column("SELECT path FROM agents ORDER BY path")]

    def pause_ms(self) -> int:
        """Seconds, minutes or hours."""
        return self.random.randrange(self.random.choice((5_000, 5_000, 4 * MINUTE_MS, 300 * MINUTE_MS)))

    def end(self) -> list[Change]:
        """Nothing is deleted: the tables would not tell any more that it was there."""
        return [each for each in super().end() if not isinstance(each, changes.DeleteWager)]

    def sums(self, scope: str) -> Sums:
        """What SQL adds up; minor units."""
        return {name: self.one(sql, scope) or 0 for name, sql in SUMS.items()}

    def counted(self, sql: str, scope: str, since_ms: int) -> int:
        """Customers since a moment."""
        return int(self.one(sql, scope, to_text(since_ms)))

    def then(self, at_ms: int) -> dict[str, Then]:
        """All scopes as of a moment."""
        return {scope: Then(self.sums(scope), self.counted(ACTIVE, scope, at_ms - DAY_MS)) for scope in self.scopes}


def flows() -> tuple[Flow, ...]:
    """The flows under test."""
    registry = Registry()
    netted = Netted(registry)
    return registry, netted, Kpi(registry, netted, Unpaid())


def next_day_ms(at_ms: int) -> int:
    """When the business day after that of a moment begins."""
    day = (to_datetime(at_ms).astimezone(ZONE) - timedelta(hours=6)).date() + timedelta(days=1)
    return to_ms(datetime.combine(day, time(6), tzinfo=ZONE).astimezone(UTC))


def money(minor: int) -> float:
    """Major units."""
    return minor / 100


def earned(sums: Sums) -> dict[str, Json]:
    """What is said of sums."""
    hold: dict[str, Json] = {"hold": round(100 * sums["revenue"] / sums["settled"], 2)} if sums["settled"] > 0 else {}
    return {
        "revenue": money(sums["revenue"]),
        "handle": money(sums["handle"]),
        "settledHandle": money(sums["settled"]),
        "ngr": money(sums["revenue"] - sums["costs"]),
        **hold,
    }


def expected(desk: Paced, scope: str, began: dict[str, tuple[str, dict[str, Then]]], now_ms: int) -> dict[str, Json]:
    """The document of a scope as SQL has it."""
    sums, active = desk.sums(scope), desk.counted(ACTIVE, scope, now_ms - DAY_MS)
    since = {kind: {name: sums[name] - then[scope].sums[name] for name in sums} for kind, (_, then) in began.items()}
    document: dict[str, Json] = {
        **earned(sums),
        "activePlayers": active,
        "onlinePlayers": desk.counted(ONLINE, scope, now_ms - ONLINE_MS),
        "pending": sums["pending"],
        "pendingRisk": money(sums["pendingRisk"]),
        "pendingToWin": money(sums["pendingToWin"]),
        "grossPotentialPayout": money(sums["gross"]),
        "totalLiability": money(sums["liability"]),
        "change": {
            "revenue": money(since["day"]["revenue"]),
            "activePlayers": active - began["day"][1][scope].active,
            "pending": since["day"]["pending"],
            "totalLiability": money(since["day"]["liability"]),
        },
        "periods": {
            kind: {"key": key, **earned(since[kind]), "wagers": since[kind]["wagers"]}
            for kind, (key, _) in began.items()
        },
    }
    if sums["parlays"]:
        document["liabilityIsBound"] = True
    return document


def begin(desk: Paced, began: dict[str, tuple[str, dict[str, Then]]], at_ms: int) -> None:
    """A business day begins, and with it perhaps a week or a month."""
    then, day = desk.then(at_ms), to_datetime(at_ms).astimezone(ZONE).date()
    keys = {"day": f"{day}", "week": f"{day - timedelta(days=(day.weekday() - 1) % 7)}", "month": f"{day}"[:7]}
    for kind, key in keys.items():
        if kind == "day" or key != began[kind][0]:
            began[kind] = key, then


@seeds(6, 20)
def test_every_figure_is_what_sql_says_of_the_book(seed: int, tmp_path: Path) -> None:
    """A risk manager who asks the book's own tables finds the figures of the screen, of every scope and period."""
    print(f"seed {seed}")
    desk, folding = Paced(tmp_path / "book.db", seed), Folding(flows)
    settings = Raw(configuration(folding.engine.flows, {"kpi": SETTINGS}))
    folding.group([Event("set", CONFIGURED, "test", to_datetime(START_MS), settings)])
    began: dict[str, tuple[str, dict[str, Then]]] = {"day": ("", {}), "week": ("", {}), "month": ("", {})}
    begin(desk, began, next_day_ms(desk.now_ms - DAY_MS))
    ends_ms, days = next_day_ms(desk.now_ms), 0
    folding.group(desk.told())
    folding.clock(desk.now_ms)
    for step in range(STEPS):
        items = desk.step()
        if desk.now_ms >= folding.engine.checkpoint.watermark_ms + 50_000:  # the clock goes on while nothing happens
            folding.group(desk.told())
            while desk.now_ms >= ends_ms:
                begin(desk, began, ends_ms)
                ends_ms, days = next_day_ms(ends_ms), days + 1
            folding.clock(desk.now_ms - 1)
        writer.write(desk.connection, items)
        if desk.random.random() < 0.3:
            folding.group(desk.told())
        if desk.random.random() < 0.1:
            folding.restart()
        if step % 30 == 29:
            folding.group(desk.told())
            folding.clock(desk.now_ms)
            for scope in desk.scopes:
                said = folding.documents["kpi", scope, ""]
                assert said == expected(desk, scope, began, desk.now_ms), f"{scope} at {to_text(desk.now_ms)}"
    assert not folding.refused
    assert desk.one("SELECT count(*) FROM wagers") > STEPS / 10
    assert days > 3
