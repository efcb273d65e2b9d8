"""The flow `risk`: shows facts to the rules, and keeps the alerts that their findings open.

A rule is called only for the facts whose hook it overrides, so the cost of a fact is that of the rules that look at it.
What several rules need to know of a fact is looked up once (`Scene`, `RuleContext`).

The `alerts` view holds a document for each alert at each scope that covers all of its evidence; who sees a part of it
only does not see the alert. A critical one is said with priority, and to the agent at its path by name.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core.scope import ROOT, covers
from fire22.core.topic import DIRECT, Kind, Topic
from fire22.flows.base import Fact, Flow, Handler, Table, expect
from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.registry.movement import MOVES
from fire22.sportsbook.risk.alert_queue import FIELDS, AlertRecord, Queue, document, scopes
from fire22.sportsbook.risk.base import EVER, Finding, Rule, Scene
from fire22.sportsbook.risk.context import Balances, Exposure, MarketCheck, RuleContext
from fire22.sportsbook.risk.rules import RULES

TOPIC: Final = "alerts"
FILTERABLE: Final = ("rule", "severity", "status", "customerId", "marketId", "agentId")
NORMAL: Final = 1
CRITICAL: Final = 3  # priorities of messages
HOUR_MS: Final = 3_600_000
# What a wager can be; each sum of these is shown to rules of its own.
PARLAY: Final = 1
LARGE: Final = 2
ADDRESSED: Final = 4
PASSING: Final = 8
STATES: Final = ("requested", "approved", "completed", "rejected", "failed", "charged_back")

_encode: Final = msgspec.json.Encoder().encode
Hooks = tuple[tuple[Rule, Callable[..., Any]], ...]


class AlertSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[risk]`: of the queue.

    Args:
        alerts_max: that are kept; beyond it the oldest are closed and archived, the least severe first.
        closed_keep_hours: how long a closed alert stays in sight.
    """

    alerts_max: Annotated[int, Meta(ge=1, le=100_000)] = 2_000
    closed_keep_hours: Annotated[int, Meta(ge=0, le=24 * 366)] = 24


if TYPE_CHECKING:
    RiskSettings = AlertSettings
else:  # a section for each rule, as they are found
    RiskSettings = msgspec.defstruct(
        "RiskSettings",
        [(rule.name, rule.settings_type, rule.settings_type()) for rule in RULES],
        bases=(AlertSettings,),
        frozen=True,
        forbid_unknown_fields=True,
    )


class Alerts(Flow):
    """Comes after the flows whose figures its rules ask for.

    Args:
        registry, balances, exposure: have seen each fact first.
        rules: instead of all there are; for tests.
    """

    name: ClassVar[str] = "risk"
    version: ClassVar[int] = 4

    def __init__(
        self, registry: Registry, balances: Balances, exposure: Exposure, rules: Iterable[type[Rule]] = RULES
    ) -> None:
        super().__init__()
        self.topics = (
            Topic(TOPIC, Kind.VIEW, FILTERABLE, archived=True, fields=FIELDS),
            Topic(DIRECT, Kind.STREAM, internal=True),
        )
        self._book = registry
        self._context = RuleContext(registry, balances, exposure)
        self._players, self._offers = self._context.known, self._context.offers
        self._rules = tuple(rule(self._context) for rule in rules)
        self._queue = Queue()
        self._scene = Scene()
        self._settings = AlertSettings()
        self._fact: Fact | None = None
        self._at_ms = 0
        self._critical: dict[str, None] = {}
        self._gone: list[AlertRecord] = []
        self._dispatch()

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Alerts, what all rules share, and each rule's own."""
        own = tuple(table for rule in self._rules for table in rule.tables)
        return (*self._queue.tables, *self._context.tables, *own)

    def configure(self, settings: Raw) -> None:
        """Take the settings that hold from here on; sections of rules that are no more are passed over."""
        given = msgspec.json.decode(settings, type=dict[str, Raw])
        own = {name: given[name] for name in AlertSettings.__struct_fields__ if name in given}
        self._settings = msgspec.convert({name: msgspec.json.decode(raw) for name, raw in own.items()}, AlertSettings)
        for rule in self._rules:
            rule.configure(msgspec.json.decode(given.get(rule.name, b"{}"), type=rule.settings_type))
        self._dispatch()

    def _dispatch(self) -> None:
        """Which rules look at what."""

        def those(hook: str) -> Hooks:
            looks = (one for one in self._rules if getattr(type(one), hook) is not getattr(Rule, hook))
            return tuple((one, getattr(one, hook)) for one in looks if one.settings.enabled)

        def calls(hook: str) -> tuple[Callable[..., None], ...]:
            return tuple(call for _, call in those(hook))

        self._on_moved = calls("moved")
        self._on_earned = calls("earned")
        self._on_resumed = calls("resumed")
        self._on_ended = calls("ended")
        self._on_offered = calls("offered")
        self._on_modified = those("modified")
        self._on_settled = those("settled")
        self._on_cancelled = those("cancelled")
        self._on_paid = those("paid")
        self._on_signed_in = those("signed_in")
        self._on_limited = those("limited")
        self._on_priced = those("priced")
        self._on_clock = those("clock")
        self._on_flush = those("flush")
        # Most wagers are straight, small and at the price on offer: they are shown to the rules that look at such ones.
        placed = those("placed")
        self._passing = tuple(rule for rule, _ in those("passes"))
        self._context.offers.clear()
        self._least = min((rule.least_minor for rule, _ in placed if rule.least_minor), default=0)
        self._on_placed = tuple(
            tuple(
                (rule, hook)
                for rule, hook in placed
                if rule.looks_at != ("straight" if kind & PARLAY else "parlays")
                and (kind & LARGE or not rule.least_minor)
                and (kind & ADDRESSED or not rule.needs_address)
                and not (kind & PASSING and rule in self._passing)
            )
            for kind in range(PARLAY + LARGE + ADDRESSED + PASSING + 1)
        )

    def loaded(self) -> None:
        """Derive what is derived, in the order in which it depends on each other."""
        self._context.loaded(self.watermark_ms)
        self._queue.loaded()
        for rule in self._rules:
            rule.loaded()

    def handlers(self) -> dict[str, Handler]:
        """What some rule may look at, and what people decide."""
        return {
            **dict.fromkeys(MOVES, self._other),
            "wager.placed": self._placed,
            "wager.settled": self._settled,
            "wager.resettled": self._settled,
            **{f"payment.{state}": self._payment for state in STATES},
            "market.created": self._offered,
            "market.imported": self._offered,
            "market.changed": self._offered,
            "market.status_changed": self._market_status,
            "market.price_changed": self._price,
            "customer.created": self._customer,
            "customer.imported": self._customer,
            "customer.changed": self._customer_changed,
            "customer.moved": self._customer_changed,
            "customer.renamed": self._renamed,
            "customer.status_changed": self._status,
            "customer.limit_changed": self._limit,
            "session.login": self._session,
            "alert.acknowledged": self._acknowledged,
            "alert.closed": self._closed,
        }

    def alert(self, alert_id: str) -> AlertRecord | None:
        """An alert that is in sight, as it is now."""
        return self._queue.alerts.get(alert_id)

    # Facts.

    def _placed(self, fact: Fact) -> None:
        move, scene, context = self._book.move, self._scene, self._context
        bet = move.opened
        if bet is None:
            raise AssertionError("a wager that was placed is open")
        self._fact = fact
        if move.at_ms > self._at_ms:
            self._at_ms = move.at_ms
        player = self._players.get(bet.customer_id) or context.player(bet.customer_id)
        for hook in self._on_moved:
            hook(move)
        if bet.terms is not None and bet.terms.part_of:  # of a wager that was judged when it was placed
            player.opened(bet)
            return
        scene.move, scene.bet, scene.player = move, bet, player
        scene.place = context.placed(player, bet)
        scene.customer = player.row or context.customer(player, bet)
        kind = LARGE if bet.risk >= self._least else 0
        legs, offer = bet.legs, None
        for leg in legs:
            offer = self._offers.get(leg.market_id) or self._offer(leg.market_id)
            if offer is None or bet.at_ms > offer.until_ms or leg.odds > offer.odds.get(leg.selection_id, inf):
                break
        else:
            kind += PASSING
        if len(legs) == 1:
            scene.market = offer.market if offer is not None else None
        else:
            scene.market = None
            kind += PARLAY
        if bet.ip:
            kind += ADDRESSED
        for rule, judge in self._on_placed[kind]:
            finding = judge(scene)
            if finding is not None:
                self._take(rule, finding)

    def _offer(self, market_id: str) -> MarketCheck | None:
        """A market that is not over, with what passes on it."""
        market = self._book.market(market_id)
        if market is None:
            return None
        until_ms, times = EVER, inf
        for rule in self._passing:
            of_rule = rule.passes(market)
            until_ms, times = min(until_ms, of_rule[0]), min(times, of_rule[1])
        offer = self._offers[market_id] = MarketCheck(market, until_ms, times)
        return offer

    def _settled(self, fact: Fact) -> None:
        move, scene, context = self._book.move, self._scene, self._context
        self._fact = fact
        if move.at_ms > self._at_ms:
            self._at_ms = move.at_ms
        for hook in self._on_moved:
            hook(move)
        for hook in self._on_earned:
            hook(move)
        bet = move.closed
        if bet is None:  # it was settled before
            return
        player = self._players.get(bet.customer_id) or context.player(bet.customer_id)
        context.settled(player, bet, move.at_ms, move.returned)
        scene.move, scene.bet, scene.player = move, bet, player
        for rule, judge in self._on_settled:
            finding = judge(scene)
            if finding is not None:
                self._take(rule, finding)

    def _other(self, fact: Fact) -> None:
        """What seldom happens to a wager."""
        move, scene, context = self._book.move, self._scene, self._context
        self._fact = fact
        self._at_ms = max(self._at_ms, move.at_ms)
        for hook in self._on_moved:
            hook(move)
        if move.revenue or move.settled_handle:
            for hook in self._on_earned:
                hook(move)
        bet = move.opened or move.closed
        if bet is None:
            return
        player = context.player(bet.customer_id)
        if move.closed is not None:
            player.closed(move.closed)
        if move.opened is not None and move.kind != "imported":
            player.opened(move.opened)
        scene.move, scene.bet, scene.player, scene.customer = move, bet, player, context.customer(player, bet)
        scene.market = self._book.market(bet.legs[0].market_id) if len(bet.legs) == 1 else None
        if move.kind == "imported":
            context.placed(player, bet)
        if move.kind in ("imported", "reopened"):
            for resume in self._on_resumed:
                resume(bet)
        if move.kind == "modified" or move.kind == "cancelled":
            for rule, judge in self._on_modified if move.kind == "modified" else self._on_cancelled:
                finding = judge(scene)
                if finding is not None:
                    self._take(rule, finding)

    def _customer(self, fact: Fact) -> None:
        self._context.told_of(expect(fact, facts.Customer).customer_id)

    def _customer_changed(self, fact: Fact) -> None:
        self._context.told_of(fact.data.customer_id)

    def _renamed(self, fact: Fact) -> None:
        renamed = expect(fact, facts.CustomerRenamed)
        self._context.renamed(renamed.before, renamed.customer_id)
        for rule in self._rules:
            rule.renamed(renamed.before, renamed.customer_id)

    def _status(self, fact: Fact) -> None:
        self._context.told_of(expect(fact, facts.CustomerStatusChanged).customer_id)

    def _payment(self, fact: Fact) -> None:
        payment = expect(fact, facts.Payment)
        self._judge(fact, self._on_paid, fact.event.type.partition(".")[2], payment, self._counts(fact))

    def _session(self, fact: Fact) -> None:
        self._judge(fact, self._on_signed_in, expect(fact, facts.Session), self._counts(fact))

    def _limit(self, fact: Fact) -> None:
        customer_id = expect(fact, facts.CustomerLimitChanged).customer_id
        self._context.told_of(customer_id)
        self._judge(fact, self._on_limited, customer_id, self._counts(fact))

    def _price(self, fact: Fact) -> None:
        change = expect(fact, facts.MarketPriceChanged)
        self._offers.pop(change.market_id, None)
        if self._book.market(change.market_id) is not None:
            at_ms = self._counts(fact)
            self._context.prices.priced(change, at_ms)
            self._judge(fact, self._on_priced, change, at_ms)

    def _offered(self, fact: Fact) -> None:
        market, at_ms = expect(fact, facts.Market), self._counts(fact)
        self._offers.pop(market.market_id, None)
        for hook in self._on_offered:
            hook(market.market_id, at_ms)

    def _market_status(self, fact: Fact) -> None:
        changed = expect(fact, facts.MarketStatusChanged)
        self._offers.pop(changed.market_id, None)
        ended = self._context.prices.market_status(changed, self._counts(fact))
        if ended is not None:
            for hook in self._on_ended:
                hook(ended)

    def _acknowledged(self, fact: Fact) -> None:
        self._queue.decide("acknowledged", expect(fact, facts.AlertDecided), fact.at_ms)

    def _closed(self, fact: Fact) -> None:
        self._queue.decide("closed", expect(fact, facts.AlertDecided), fact.at_ms)

    def _counts(self, fact: Fact) -> int:
        self._at_ms = max(self._at_ms, fact.at_ms)
        return fact.at_ms

    def _judge(self, fact: Fact, hooks: Hooks, *looked_at: object) -> None:
        self._fact = fact
        for rule, hook in hooks:
            finding = hook(*looked_at)
            if finding is not None:
                self._take(rule, finding)

    # Time, and the end of a group.

    def clock(self) -> None:
        """Windows slide; what was closed long ago leaves the view for the archive."""
        now_ms = self.watermark_ms
        self._fact = None
        self._context.clock(now_ms)
        for rule, hook in self._on_clock:
            for finding in hook(now_ms):
                self._take(rule, finding)
        keep_ms = self._settings.closed_keep_hours * HOUR_MS
        self._gone += self._queue.leaving(now_ms, keep_ms, self._settings.alerts_max)
        self._queue.hush(now_ms)

    def flush(self) -> None:
        """Judge what is judged once a group, and say the alerts that have changed."""
        at_ms, self._at_ms = self._at_ms or self.watermark_ms, 0
        self._context.flush()
        for rule, hook in self._on_flush:
            for finding in hook(at_ms):
                self._take(rule, finding)
        for alert in self._gone:
            self._archive(alert)
        for alert_id in sorted(self._queue.changed):
            changed = self._queue.alerts.get(alert_id)
            if changed is not None:
                self._say(changed)
        for alert_id in self._critical:
            critical = self._queue.alerts.get(alert_id)
            if critical is not None:
                self._notify(critical)
        self._gone, self._queue.changed, self._critical = [], {}, {}
        self._fact = None

    def _take(self, rule: Rule, finding: Finding) -> None:
        """One rule has found something."""
        scope = rule.settings.scope
        if scope != ROOT and not covers(scope, finding.path):
            return
        mark = str(self._fact.seq) if self._fact is not None else f"t{self.watermark_ms}"
        alert = self._queue.take(rule.name, rule.settings.cooldown_s * 1_000, finding, mark)
        if alert is not None:
            self._critical[alert.alert_id] = None

    def _say(self, alert: AlertRecord) -> None:
        """Put the document at each scope, and away from those that do not cover all of it any more."""
        body = document(alert, self._agent_id(alert))
        here = scopes(alert)
        priority = CRITICAL if alert.severity == "critical" and alert.status == "open" else NORMAL
        for scope in here:
            self.out.view(TOPIC, scope, alert.alert_id, "alert", alert.updated_ms, body, priority=priority)
        for scope in alert.scopes:
            if scope not in here:
                self.out.view(TOPIC, scope, alert.alert_id, "alert", alert.updated_ms, None)
        if alert.scopes != here:
            alert.scopes = here
            self._queue.alerts.put(alert.alert_id, alert)

    def _archive(self, alert: AlertRecord) -> None:
        """Keep an alert for ever where it was seen, and take it out of sight."""
        body = document(alert, self._agent_id(alert))
        for scope in scopes(alert):
            self.out.archive(TOPIC, scope, alert.alert_id, 1, alert.updated_ms, body)
        for scope in alert.scopes:
            self.out.view(TOPIC, scope, alert.alert_id, "alert", alert.updated_ms, None)

    def _notify(self, alert: AlertRecord) -> None:
        """Tell the agent of a critical alert; what is the house's is in the view of those who watch the house."""
        agent_id = self._agent_id(alert)
        if agent_id:
            data = _encode(document(alert, agent_id))
            target = f"user:agent:{agent_id}"
            self.out.stream(DIRECT, ROOT, "alert", alert.updated_ms, data, priority=CRITICAL, target=target)

    def _agent_id(self, alert: AlertRecord) -> str:
        agent = self._book.agent(alert.path)
        return agent.agent_id if agent is not None else ""
