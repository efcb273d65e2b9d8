"""The figures against a slow recomputation from the list of all facts, by the definitions of the domain rules.

Sections 3 and 7: revenue = Σ(cash stake - return) over settled wagers; handle = Σ cash risk accepted and not cancelled;
pending = open wagers; active players = distinct customers with a wager in the trailing 24 hours; liability of a
market = max(0, -min over outcomes of the book's result), a parlay counting with its whole profit; change.x = x - x at
the start of the business day. A fact that comes late belongs to before that start; of liability, where a group brought
nothing else. Sums of a period are what each fact that counts in it has added to them.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.core.patch import apply
from fire22.core.times import to_datetime, to_ms
from fire22.feed.base import Batch
from fire22.flows.engine import Engine
from fire22.sportsbook import domain
from fire22.sportsbook.betting import facts
from fire22.sportsbook.kpi.flow import Kpi
from fire22.sportsbook.registry.agent_tree import Tree
from fire22.sportsbook.registry.flow import Registry
from tests.support.histories import SCOPES, History
from tests.support.netted import Netted, Unpaid
from tests.support.seeds import seeds
from tests.support.storage import START_MS

DAY_MS = 24 * 3_600_000
AHEAD_MS = 60_000  # a fact further ahead of the watermark counts as of it

Figures = dict[str, Json]


class Told(NamedTuple):
    """A fact, and when it counts."""

    type: str
    data: object
    at_ms: int


class Ledger(NamedTuple):
    """One wager as all facts of it together say."""

    placed: facts.WagerFact
    legs: tuple[facts.Leg, ...]
    returned: int | None  # of the latest settlement
    cancelled: bool


def covers(scope: str, path: str) -> bool:
    """Whether a fact of `path` counts in `scope`."""
    return f"{path}/".startswith(scope if scope == "/" else f"{scope}/")


def ledgers(told: Iterable[Told]) -> list[Ledger]:
    """Every wager after some facts."""
    found: dict[str, Ledger] = {}
    for _, data, _ in told:
        if isinstance(data, facts.WagerPlaced):
            found[data.wager_id] = Ledger(data, data.legs, None, False)
        elif isinstance(data, facts.WagerModified):
            before = found[data.wager_id]
            found[data.wager_id] = before._replace(placed=data, legs=data.legs or before.legs)
        elif isinstance(data, facts.WagerSettled):
            found[data.wager_id] = found[data.wager_id]._replace(returned=data.return_minor)
        elif isinstance(data, facts.WagerCancelled):
            found[data.wager_id] = found[data.wager_id]._replace(cancelled=True)
    return list(found.values())


def cash(wager: Ledger) -> int:
    """What the customer can lose."""
    return 0 if wager.placed.free_play else wager.placed.risk_minor


def revenue(told: list[Told], scope: str) -> int:
    """Gross revenue."""
    imported = sum(
        each.data.revenue_minor
        for each in told
        if isinstance(each.data, facts.RevenueImported) and covers(scope, each.data.path)
    )
    return imported + sum(
        cash(wager) - wager.returned
        for wager in ledgers(told)
        if wager.returned is not None and not wager.cancelled and covers(scope, wager.placed.path)
    )


def open_wagers(told: list[Told], scope: str) -> list[Ledger]:
    """The open wagers of a scope."""
    return [
        wager
        for wager in ledgers(told)
        if wager.returned is None and not wager.cancelled and covers(scope, wager.placed.path)
    ]


def handle(told: list[Told], scope: str) -> int:
    """Cash accepted and not cancelled."""
    return sum(cash(wager) for wager in ledgers(told) if not wager.cancelled and covers(scope, wager.placed.path))


def liability(told: list[Told], scope: str) -> int:
    """What the open wagers may cost at most, market by market."""
    markets: dict[str, list[Ledger]] = {}
    total = 0
    for wager in open_wagers(told, scope):
        if len(wager.legs) == 1:
            markets.setdefault(wager.legs[0].market_id, []).append(wager)
        else:
            total += wager.placed.to_win_minor
    for wagers in markets.values():
        outcomes = [*(wager.legs[0].selection_id for wager in wagers), "somebody nobody backed"]
        results = [0]  # a push
        for outcome in outcomes:
            won = (wager.legs[0].selection_id == outcome for wager in wagers)
            results.append(
                sum(-wager.placed.to_win_minor if win else cash(wager) for wager, win in zip(wagers, won, strict=True))
            )
        total += max(0, -min(results))
    return total


def settled(told: list[Told], scope: str) -> int:
    """Cash of settled wagers."""
    return sum(
        cash(wager)
        for wager in ledgers(told)
        if wager.returned is not None and not wager.cancelled and covers(scope, wager.placed.path)
    )


def accepted(told: list[Told], scope: str) -> int:
    """Wagers that were accepted, whatever became of them."""
    return sum(isinstance(each.data, facts.WagerPlaced) and covers(scope, each.data.path) for each in told)


def active(told: list[Told], scope: str, since_ms: int) -> int:
    """Distinct customers with a wager accepted after a moment."""
    customers = set()
    for type, data, at_ms in told:
        wagered = isinstance(data, facts.WagerPlaced)
        imported = isinstance(data, facts.Customer) and type == "customer.imported" and data.last_wager_at is not None
        if (wagered or imported) and at_ms > since_ms:
            assert isinstance(data, facts.WagerPlaced | facts.Customer)
            if covers(scope, data.path):
                customers.add(data.customer_id)
    return len(customers)


class Recomputed:
    """Takes events one by one, keeps them all, and computes every figure from all of them when asked."""

    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms
        self.told: list[Told] = []
        self.watermark_ms = 0
        self.zone = ZoneInfo("UTC")
        self.starts_at = time(0)
        self.day_start_ms = 0
        self.day_end_ms = 0
        self.ends = {"day": 0, "week": 0, "month": 0}
        self.gains: list[tuple[int, str, list[int]]] = []  # when, of which scope, what
        # What is known of the start of the day as it was known then, moved by what came late since.
        self.active_then = dict.fromkeys(SCOPES, 0)
        self.liability_then = dict.fromkeys(SCOPES, 0)
        self.liability_said = dict.fromkeys(SCOPES, 0)
        self.only_late = dict.fromkeys(SCOPES, True)
        self.week_starts_on = 1
        self.starts = {"day": 0, "week": 0, "month": 0}
        self.keys = {"day": "", "week": "", "month": ""}
        self.sums = {(scope, kind): [0] * 5 for scope in SCOPES for kind in self.keys}

    def take(self, event: Event) -> None:
        """The next event of the log."""
        if event.type == "system.configured":
            settings = msgspec.json.decode(event.data)["flows"]["kpi"]["settings"]
            self.zone, self.starts_at = ZoneInfo(settings["time_zone"]), time.fromisoformat(settings["day_starts_at"])
            return
        if event.type == "system.clock":
            self.watermark_ms = max(self.watermark_ms, event.at_ms)
            self._begin(self.watermark_ms)
            return
        data = domain.decode(event.type, event.data)
        at_ms = event.at_ms
        if isinstance(data, facts.Customer) and data.last_wager_at is not None:
            at_ms = to_ms(data.last_wager_at)
        if self.watermark_ms:
            at_ms = at_ms if at_ms <= self.watermark_ms + self.ahead_ms else self.watermark_ms
        known = isinstance(data, facts.WagerFact | facts.Agent) or getattr(data, "last_wager_at", None)
        if known and not self.watermark_ms:
            self._begin(at_ms)
        late = at_ms < self.day_start_ms and isinstance(data, facts.WagerFact | facts.Customer)
        players = self._players() if late else {}
        sums = {scope: self._sums(scope) for scope in SCOPES}
        open = {scope: len(open_wagers(self.told, scope)) for scope in SCOPES}
        if isinstance(data, facts.WagerCancelled) and data.status == "deleted":
            self._gone(data.wager_id, at_ms)
        self.told.append(Told(event.type, data, at_ms))
        if late:
            for scope, count in self._players().items():
                self.active_then[scope] += count - players[scope]
        if event.type != "revenue.imported":
            self._count(at_ms, sums)
        if not late and at_ms < self.day_end_ms and event.type != "wager.imported":
            moved = isinstance(data, facts.WagerModified)
            for scope in SCOPES:
                if isinstance(data, facts.WagerFact) and covers(scope, data.path):
                    self.only_late[scope] &= not moved and len(open_wagers(self.told, scope)) == open[scope]

    def flushed(self) -> None:
        """A group has ended."""
        for scope in SCOPES:
            risk = liability(self.told, scope)
            if self.only_late[scope]:
                self.liability_then[scope] += risk - self.liability_said[scope]
            self.liability_said[scope], self.only_late[scope] = risk, True

    def _sums(self, scope: str) -> list[int]:
        known = [each(self.told, scope) for each in (revenue, handle, settled, accepted)]
        return [*known, len(open_wagers(self.told, scope))]

    def _gone(self, wager_id: str, at_ms: int) -> None:
        """A wager that is deleted was none: not when it was accepted."""
        story = [each for each in self.told if getattr(each.data, "wager_id", "") == wager_id]
        placed = [each.at_ms for each in story if each.type in ("wager.placed", "wager.imported")]
        accepted_ms = placed[-1] if placed else at_ms
        assert isinstance(story[0].data, facts.WagerFact)
        for scope in SCOPES:
            if covers(scope, story[0].data.path):
                self._gain(accepted_ms, scope, [0, 0, 0, -1, 0])

    def _count(self, at_ms: int, before: dict[str, list[int]]) -> None:
        """Add what the newest fact has changed to the periods that hold its time."""
        for scope in SCOPES:
            gained = [now - then for now, then in zip(self._sums(scope), before[scope], strict=True)]
            self._gain(at_ms, scope, gained)

    def _gain(self, at_ms: int, scope: str, gained: list[int]) -> None:
        self.gains.append((at_ms, scope, gained))
        for kind, start_ms in self.starts.items():
            if start_ms <= at_ms < self.ends[kind]:
                total = self.sums[scope, kind]
                self.sums[scope, kind] = [one + more for one, more in zip(total, gained, strict=True)]

    def figures(self, scope: str) -> Figures:
        """The document of a scope."""
        open = open_wagers(self.told, scope)
        now = (
            revenue(self.told, scope),
            active(self.told, scope, self._since_ms),
            len(open),
            liability(self.told, scope),
        )
        then = (
            revenue(self.told, scope) - self.sums[scope, "day"][0],
            self.active_then[scope],
            len(open) - self.sums[scope, "day"][4],
            self.liability_then[scope],
        )
        document: Figures = {
            **_four(*now),
            "change": _four(*(here - there for here, there in zip(now, then, strict=True))),
            **_summed(self._sums(scope)),
            "pendingRisk": sum(cash(wager) for wager in open) / 100,
            "pendingToWin": sum(wager.placed.to_win_minor for wager in open) / 100,
            "grossPotentialPayout": sum(cash(wager) + wager.placed.to_win_minor for wager in open) / 100,
            "periods": {kind: self._period(scope, kind) for kind in self.keys},
        }
        if any(len(wager.legs) != 1 for wager in open):
            document["liabilityIsBound"] = True
        return document

    @property
    def _since_ms(self) -> int:
        return max(self.watermark_ms, self.day_start_ms) - DAY_MS

    def _players(self) -> dict[str, int]:
        return {scope: active(self.told, scope, self._since_ms) for scope in SCOPES}

    def _period(self, scope: str, kind: str) -> Figures:
        sums = self.sums[scope, kind]
        return {"key": self.keys[kind], "revenue": sums[0] / 100, **_summed(sums), "wagers": sums[3]}

    def _begin(self, at_ms: int) -> None:
        """A business day begins: [start, end) holds `at_ms`."""
        if at_ms < self.day_end_ms:
            return
        day = to_datetime(at_ms).astimezone(self.zone).date()
        if at_ms < self._starts(day):
            day -= timedelta(days=1)
        # A day with new settings begins where the one before it ended.
        ended_ms = self.day_end_ms
        self.day_start_ms = max(self._starts(day), self.day_end_ms)
        self.day_end_ms = self._starts(day + timedelta(days=1))
        week = day - timedelta(days=(day.weekday() - self.week_starts_on) % 7)
        begins = {"day": day, "week": week, "month": day.replace(day=1)}
        after = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        ends = {"day": day + timedelta(days=1), "week": week + timedelta(days=7), "month": after}
        self.ends = {kind: self._starts(end) for kind, end in ends.items()}
        for kind, first in begins.items():
            self.starts[kind] = min(self._starts(first), self.day_start_ms) if kind != "day" else self.day_start_ms
            key = first.isoformat()[:7] if kind == "month" else first.isoformat()
            if kind == "day" or key != self.keys[kind]:
                # What was told ahead of it is of it now.
                for scope in SCOPES:
                    found = [
                        gained for at_ms, of, gained in self.gains
                        if of == scope and max(ended_ms, self.starts[kind]) <= at_ms < self.ends[kind]
                    ]  # fmt: skip
                    self.sums[scope, kind] = [sum(each) for each in zip(*found, strict=True)] or [0] * 5
            self.keys[kind] = key
        for scope in SCOPES:
            self.active_then[scope] = active(self.told, scope, self.day_start_ms - DAY_MS)
            self.liability_then[scope] = self.liability_said[scope]

    def _starts(self, day: date) -> int:
        return to_ms(datetime.fromisoformat(f"{day.isoformat()}T{self.starts_at}").replace(tzinfo=self.zone))


def _four(earned: int, players: int, pending: int, risk: int) -> Figures:
    return {"revenue": earned / 100, "activePlayers": players, "pending": pending, "totalLiability": risk / 100}


def _summed(sums: list[int]) -> Figures:
    earned, cash_accepted, cash_settled, *_ = sums
    hold: Figures = {"hold": round(100 * earned / cash_settled, 2)} if cash_settled > 0 else {}
    return {"handle": cash_accepted / 100, "settledHandle": cash_settled / 100, "ngr": earned / 100, **hold}


class Screen:
    """What a client has on its screen that follows every scope from the beginning."""

    def __init__(self) -> None:
        self.documents: dict[str, Json] = {}

    def take(self, batch: Batch) -> None:
        """The messages of a group."""
        for record in batch.records:
            if record.topic != "kpi":
                continue
            for entry in record.entries:
                data = msgspec.json.decode(entry.data)
                self.documents[entry.path] = apply(self.documents.get(entry.path), data) if entry.base else data


def compare(events: list[Event], cut: Callable[[], bool], ahead_ms: int = AHEAD_MS) -> None:
    """Fold the events, flushing wherever `cut` says, and compare every scope after each flush."""
    registry = Registry()
    netted = Netted(registry)
    engine, recomputed, screen = (
        Engine((registry, netted, Tree(), Kpi(registry, netted, Unpaid())), domain.decode),
        Recomputed(ahead_ms),
        Screen(),
    )
    for event in events:
        engine.fold(encode_event(event).body)
        recomputed.take(event)
        if cut():
            screen.take(engine.flush().batch)
            recomputed.flushed()
            for scope, document in screen.documents.items():
                assert isinstance(document, dict)
                online = document.pop("onlinePlayers")
                assert document == recomputed.figures(scope), f"{scope} after {event.id} {event.type}"
                document["onlinePlayers"] = online
    assert not engine.rejected
    assert set(screen.documents) == set(SCOPES)


@seeds(10, 24)
def test_every_figure_is_what_all_facts_together_say(seed: int) -> None:
    """A risk manager can trust every figure of every scope after every group, whatever came and however late."""
    random = Random(f"cuts {seed}")
    share = random.choice((0.1, 0.3))
    start_ms = START_MS + random.randrange(300) * DAY_MS
    events = History(seed, start_ms=start_ms, late=random.choice((0.0, 0.15, 0.4)), noise=False).take(150)
    flushed_last = len(events)
    taken = iter(range(1, flushed_last + 1))
    compare(events, lambda: next(taken) == flushed_last or random.random() < share)


@seeds(3, 6, start=100)
def test_every_figure_across_daylight_saving(seed: int) -> None:
    """The same in the weeks in which clocks change, with a flush after every event."""
    start = datetime(2026, *Random(seed).choice(((3, 6), (10, 30))), tzinfo=ZoneInfo("UTC"))
    compare(History(seed, start_ms=to_ms(start), noise=False).take(90), lambda: True)


@seeds(4, 12, start=200)
def test_every_figure_of_a_book_whose_clock_is_seldom_told(seed: int) -> None:
    """Facts that stand days ahead of a recorded clock end no day, and count in theirs once the clock begins it."""
    print(f"seed {seed}")
    random = Random(seed)
    events = History(seed, late=random.choice((0.0, 0.2)), noise=False).take(200)
    first = next(place for place, event in enumerate(events) if event.type == "system.clock")
    told = [
        event
        for place, event in enumerate(events)
        if event.type != "system.now" and (event.type != "system.clock" or place == first or random.random() < 0.15)
    ]
    compare(told, lambda: True, 400 * DAY_MS)
