"""The alerts that findings have opened: one for each cause, from the first finding until somebody is done with it.

While an alert is open, and for the rule's cooldown after it was closed, what is found of the same cause adds to it: the
count, the newest evidence, the wagers, the severity if that is higher. A closed alert stays in sight for a while, then
it is archived and gone. Everything is a row, so that a restart at any group goes on alike; dates are the facts' own.
"""

from collections.abc import Iterator
from hashlib import blake2s
from typing import Final, Literal

from msgspec import Struct, field

from fire22.core.message import Json
from fire22.core.scope import ancestors, common_path
from fire22.core.times import to_text
from fire22.flows.base import Refused, Repeated, Table
from fire22.sportsbook.betting import codes, facts
from fire22.sportsbook.risk.base import WAGER_IDS_MAX, Entity, Finding, Severity

# Of a document.
FIELDS: Final = (
    "alertId", "rule", "severity", "status", "title", "entity", "agentId", "agentPath", "evidence", "wagerIds",
    "count", "openedAt", "updatedAt", "customerId", "marketId", "acknowledgedBy", "closedBy", "closedAt",
    "note",
)  # fmt: skip

Status = Literal["open", "acknowledged", "closed"]
RANK: Final[dict[Severity, int]] = {"info": 0, "warn": 1, "critical": 2}
SYSTEM: Final = "system"  # who closes an alert when there are too many


class AlertRecord(Struct, gc=False, array_like=True):
    """One alert.

    Args:
        number: alerts are counted, so that their order is known.
        cooldown_ms: of the rule when the last finding came.
        scopes: where its document stands.
        actors, notes: who acknowledged and who closed it, with what was noted.
    """

    alert_id: str
    rule: str
    cause: str
    severity: Severity
    title: str
    entity: Entity
    path: str
    evidence: dict[str, Json]
    opened_ms: int
    updated_ms: int
    cooldown_ms: int
    number: int
    status: Status = "open"
    count: int = 1
    wager_ids: list[str] = []
    customer_id: str = ""
    market_id: str = ""
    closed_ms: int = 0
    scopes: list[str] = []
    actors: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class Queue:
    """All alerts, and what the group has changed of them."""

    def __init__(self) -> None:
        self.alerts: Table[AlertRecord] = Table("alert", AlertRecord)
        self.quiet: Table[int] = Table("quiet", int)
        self.counts: Table[int] = Table("counts", int)
        self.changed: dict[str, None] = {}
        self._by_cause: dict[tuple[str, str], str] = {}
        self._leaves_ms = 0  # when the next closed alert leaves; 0 is not known

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """Alerts, causes that are quiet, and how many alerts there were."""
        return (self.alerts, self.quiet, self.counts)  # type: ignore[return-value]

    def loaded(self) -> None:
        """Derive which alert a cause has: the newest."""
        self._by_cause = {}
        for alert in sorted((row for _, row in self.alerts), key=lambda one: one.number):
            self._by_cause[alert.rule, alert.cause] = alert.alert_id
        self._leaves_ms = 0

    def take(self, rule: str, cooldown_ms: int, finding: Finding, mark: str) -> AlertRecord | None:
        """Open an alert for a finding, or add to the one of its cause.

        Args:
            mark: of the fact or the second that it was found in; rule and cause with it make the id, which stays the
                same whatever other rules find.

        Returns:
            The alert where it has just become critical, for whom it concerns to be told.
        """
        alert_id = self._by_cause.get((rule, finding.cause))
        alert = self.alerts.get(alert_id) if alert_id is not None else None
        if alert is not None and (alert.status != "closed" or finding.at_ms < alert.closed_ms + alert.cooldown_ms):
            return self._add(alert, cooldown_ms, finding)
        if len(self.quiet):
            quiet_ms = self.quiet.get(f"{rule}|{finding.cause}")
            if quiet_ms is not None and finding.at_ms < quiet_ms:
                return None
            self.quiet.pop(f"{rule}|{finding.cause}")
        return self._open(rule, cooldown_ms, finding, mark)

    def _open(self, rule: str, cooldown_ms: int, finding: Finding, mark: str) -> AlertRecord | None:
        digest = blake2s(finding.cause.encode(), digest_size=5).hexdigest()
        number = (self.counts.get("opened") or 0) + 1
        self.counts.put("opened", number)
        alert = AlertRecord(
            f"{rule}-{mark}-{digest}", rule, finding.cause, finding.severity, finding.title, finding.entity,
            finding.path, finding.evidence, finding.at_ms, finding.at_ms, cooldown_ms, number,
            wager_ids=list(finding.wager_ids[-WAGER_IDS_MAX:]), customer_id=finding.customer_id,
            market_id=finding.market_id,
        )  # fmt: skip
        self._by_cause[rule, finding.cause] = alert.alert_id
        self._put(alert)
        return alert if alert.severity == "critical" else None

    def _add(self, alert: AlertRecord, cooldown_ms: int, finding: Finding) -> AlertRecord | None:
        alert.count += 1
        alert.cooldown_ms = cooldown_ms
        alert.updated_ms = max(alert.updated_ms, finding.at_ms)
        alert.wager_ids = list(dict.fromkeys([*alert.wager_ids, *finding.wager_ids]))[-WAGER_IDS_MAX:]
        if finding.path != alert.path:  # who sees the alert must be allowed to see all that is in it
            alert.path = common_path((alert.path, finding.path))
        rose = RANK[finding.severity] > RANK[alert.severity]
        if rose or RANK[finding.severity] == RANK[alert.severity]:
            alert.severity, alert.title, alert.evidence = finding.severity, finding.title, finding.evidence
        self._put(alert)
        return alert if rose and finding.severity == "critical" and alert.status != "closed" else None

    def decide(self, status: Status, decided: facts.AlertDecided, at_ms: int) -> None:
        """Somebody takes an alert up, or is done with it.

        Raises:
            Refused: `alert_unknown`, or `transition_illegal`: it is acknowledged or closed already, by somebody else.
            Repeated: by the same person, with the same note.
        """
        alert = self.alerts.get(decided.alert_id)
        if alert is None:
            reason = f"There is no alert {decided.alert_id}, or it was closed long ago."
            raise Refused(codes.ALERT_UNKNOWN, reason, alertId=decided.alert_id)
        said = (alert.actors.get(status), alert.notes.get(status, ""))
        if alert.status == status and said == (decided.actor, decided.note):
            raise Repeated
        if alert.status in (status, "closed"):
            reason = f"An alert that is {alert.status} cannot become {status}."
            raise Refused(
                codes.TRANSITION_ILLEGAL, reason, alertId=alert.alert_id, before=alert.status, after=status,
                actor=alert.actors.get(alert.status, ""),
            )  # fmt: skip
        alert.status = status
        alert.actors[status] = decided.actor
        if decided.note:
            alert.notes[status] = decided.note
        alert.updated_ms = max(alert.updated_ms, at_ms)
        if status == "closed":
            self._closed(alert, at_ms)
        self._put(alert)

    def _closed(self, alert: AlertRecord, at_ms: int) -> None:
        alert.closed_ms = at_ms
        self._leaves_ms = 0

    def leaving(self, now_ms: int, keep_ms: int, alerts_max: int) -> Iterator[AlertRecord]:
        """Take out what was closed long ago, and the oldest beyond `alerts_max`: closed and mild ones first."""
        if len(self.alerts) > alerts_max:
            order = sorted((one for _, one in self.alerts), key=_worth)
            for alert in order[: len(self.alerts) - alerts_max]:
                if alert.status != "closed":
                    alert.status, alert.actors["closed"] = "closed", SYSTEM
                    alert.notes["closed"] = "There were more alerts than are kept."
                    self._closed(alert, now_ms)
                yield self._left(alert)
        if now_ms < self._leaves_ms:
            return
        closed = [one for _, one in self.alerts if one.status == "closed"]
        for alert in sorted(closed, key=lambda one: one.number):
            if alert.closed_ms + keep_ms <= now_ms:
                yield self._left(alert)
        staying = [one.closed_ms + keep_ms for one in closed if one.closed_ms + keep_ms > now_ms]
        self._leaves_ms = min(staying, default=now_ms + keep_ms)

    def _left(self, alert: AlertRecord) -> AlertRecord:
        """An alert goes; its cause stays quiet for what is left of the cooldown."""
        self.alerts.pop(alert.alert_id)
        self.changed.pop(alert.alert_id, None)
        if self._by_cause.get((alert.rule, alert.cause)) == alert.alert_id:
            del self._by_cause[alert.rule, alert.cause]
            self.quiet.put(f"{alert.rule}|{alert.cause}", alert.closed_ms + alert.cooldown_ms)
        return alert

    def hush(self, now_ms: int) -> None:
        """Forget causes whose cooldown is over."""
        for key in sorted(key for key, until_ms in self.quiet if until_ms <= now_ms):
            self.quiet.pop(key)

    def _put(self, alert: AlertRecord) -> None:
        self.alerts.put(alert.alert_id, alert)
        self.changed[alert.alert_id] = None


def _worth(alert: AlertRecord) -> tuple[bool, int, int]:
    """What is given up first, sorts first."""
    return alert.status != "closed", RANK[alert.severity], alert.number


def document(alert: AlertRecord, agent_id: str) -> dict[str, Json]:
    """An alert as people see it; money in major units. `agent_id` is of the agent at its path, empty for the house."""
    body: dict[str, Json] = {
        "alertId": alert.alert_id,
        "rule": alert.rule,
        "severity": alert.severity,
        "status": alert.status,
        "title": alert.title,
        "entity": {"type": alert.entity.type, "id": alert.entity.id, "name": alert.entity.name or alert.entity.id},
        "agentId": agent_id,
        "agentPath": alert.path,
        "evidence": dict(alert.evidence),
        "wagerIds": list(alert.wager_ids),
        "count": alert.count,
        "openedAt": to_text(alert.opened_ms),
        "updatedAt": to_text(alert.updated_ms),
    }
    if alert.customer_id:
        body["customerId"] = alert.customer_id
    if alert.market_id:
        body["marketId"] = alert.market_id
    if alert.actors:
        body |= _decisions(alert)
    return body


def _decisions(alert: AlertRecord) -> dict[str, Json]:
    """Who has decided what of an alert."""
    decisions = {
        "acknowledgedBy": alert.actors.get("acknowledged"),
        "closedBy": alert.actors.get("closed"),
        "closedAt": to_text(alert.closed_ms) if alert.closed_ms else "",
        "note": alert.notes.get("closed") or alert.notes.get("acknowledged"),
    }
    return {name: value for name, value in decisions.items() if value}


def scopes(alert: AlertRecord) -> list[str]:
    """Where an alert's document stands: at every agent over all of its evidence."""
    return list(ancestors(alert.path))
