"""The queue of alerts: one for each cause, what people decide, who sees it, and when it leaves."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fire22.core.times import to_text
from fire22.sportsbook.accounting.ledger import Ledger
from fire22.sportsbook.exposure.flow import Exposures
from fire22.sportsbook.registry.flow import Registry
from fire22.sportsbook.risk.alerts import Alerts, RiskSettings
from fire22.sportsbook.risk.rules import RULES
from tests.support.folding import Told, entries
from tests.support.risk_desk import DAY, HOUR, MINUTE, Desk

LARGE = next(rule for rule in RULES if rule.name == "large_bet")
Make = Callable[..., Desk]


@pytest.fixture(params=[False, True], ids=["on", "restarted"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a desk that wants to hear of wagers of 100.00; from 1,000.00 on they are critical."""

    def made(queue: dict[str, Any] | None = None, **settings: Any) -> Desk:
        large = {"risk_minor": 10_000, "critical_risk_minor": 100_000, **settings}
        return Desk((LARGE,), {**(queue or {}), "large_bet": large}, cut=request.param)

    return made


def of(told: Told, topic: str) -> list[tuple[str, Any]]:
    """What is said on a topic, with its scope."""
    return [(scope, data) for name, scope, data in told if name == topic]


def test_an_alert_stands_at_every_agent_above(make: Make) -> None:
    """A master sees what happens in the own sub-tree; nobody beside it does."""
    desk = make()
    desk.bet("C1", 100)
    document = desk.alert("/M1/A1")
    assert desk.alert("/") == desk.alert("/M1") == document
    assert not desk.alerts("/M2")
    assert not desk.alerts("/M1/A2")
    assert not desk.alerts("/M1/A1/@C1")
    assert {name: document[name] for name in ("status", "count", "openedAt", "updatedAt", "agentId", "agentPath")} == {
        "status": "open", "count": 1, "openedAt": "2026-03-01T12:00:00.000Z", "updatedAt": "2026-03-01T12:00:00.000Z",
        "agentId": "A1", "agentPath": "/M1/A1",
    }  # fmt: skip
    assert document["entity"] == {"type": "customer", "id": "C1", "name": "Name C1"}


def test_the_same_cause_adds_to_its_alert(make: Make) -> None:
    """While an alert is open, more of the same is a count, newer evidence and more wagers."""
    desk = make()
    wagers = [desk.bet("C1", 100) for _ in range(25)]
    first = desk.alert()["openedAt"]
    desk.wait(DAY)
    last = desk.bet("C1", 200)
    alert = desk.alert()
    assert (alert["count"], alert["evidence"]["amount"]) == (26, 200.0)
    assert alert["wagerIds"] == [*wagers[-19:], last]
    assert (alert["openedAt"], alert["updatedAt"]) == (first, "2026-03-02T12:00:00.000Z")


def test_another_cause_is_another_alert(make: Make) -> None:
    """Ids are made of the rule, the fact and the cause, and stay what they are."""
    desk = make()
    desk.bet("C1", 100)
    desk.bet("C2", 100)
    ids = [one["alertId"] for one in desk.alerts()]
    assert len(set(ids)) == 2
    again = make()
    again.bet("C1", 100)
    again.bet("C2", 100)
    assert [one["alertId"] for one in again.alerts()] == ids


def test_what_is_worse_makes_an_alert_critical(make: Make) -> None:
    """It rises and does not fall: a milder finding leaves severity and evidence as they are."""
    desk = make()
    desk.bet("C1", 100)
    desk.bet("C1", 1_000)
    desk.bet("C1", 150)
    alert = desk.alert()
    assert (alert["severity"], alert["count"], alert["evidence"]["amount"]) == ("critical", 3, 1_000.0)


def test_a_critical_alert_is_said_at_once_and_to_its_agent(make: Make) -> None:
    """It has priority in the view, and reaches the agent's connections by name; once."""
    desk = make()
    desk.bet("C1", 100)
    assert not [entry for _, entry in entries(desk.folding.batches[-1]) if entry.priority > 1]
    desk.bet("C1", 1_000)
    said = [(record.topic, entry) for record, entry in entries(desk.folding.batches[-1])]
    assert {entry.priority for topic, entry in said if topic == "alerts"} == {3}
    (told,) = [entry for topic, entry in said if topic == "direct"]
    assert (told.target, told.type, told.priority) == ("user:agent:A1", "alert", 3)
    assert msgspec.json.decode(told.data) == desk.alert()
    desk.bet("C1", 2_000)
    assert "direct" not in {record.topic for record, _ in entries(desk.folding.batches[-1])}


def test_an_alert_is_acknowledged_and_closed(make: Make) -> None:
    """Both say who, with a note; to say it again changes nothing."""
    desk = make()
    desk.bet("C1", 100)
    id = desk.alert()["alertId"]
    told = desk.decide("acknowledged", id, "anna", "looking")
    assert of(told, "alerts")[0] == ("/", {"status": "acknowledged", "acknowledgedBy": "anna", "note": "looking"})
    assert not of(desk.decide("acknowledged", id, "anna", "looking"), "alerts")
    assert desk.quiet() is False
    desk.now_ms += MINUTE
    desk.decide("closed", id, "ben", "a friend of the house")
    alert = desk.alert()
    assert (alert["status"], alert["acknowledgedBy"], alert["closedBy"]) == ("closed", "anna", "ben")
    assert (alert["note"], alert["closedAt"]) == ("a friend of the house", "2026-03-01T12:01:00.000Z")


@pytest.mark.parametrize(
    ("first", "then", "code"),
    [
        ("acknowledged", "acknowledged", "transition_illegal"),
        ("closed", "closed", "transition_illegal"),
        ("closed", "acknowledged", "transition_illegal"),
    ],
)
def test_what_somebody_else_has_decided(make: Make, first: str, then: str, code: str) -> None:
    """A second person learns that the first was quicker: a dead letter says so."""
    desk = make()
    desk.bet("C1", 100)
    id = desk.alert()["alertId"]
    desk.decide(first, id, "anna")
    desk.decide(then, id, "ben")
    assert desk.folding.code() == code
    assert desk.alert()["status"] == first


def test_an_alert_that_nobody_knows(make: Make) -> None:
    """To decide about it is refused."""
    desk = make()
    desk.decide("closed", "large_bet-1-0000000000")
    assert desk.folding.code() == "alert_unknown"


def test_a_closed_cause_stays_quiet_for_its_cooldown(make: Make) -> None:
    """More of the same within an hour is counted at the closed alert; later it is a new one."""
    desk = make()
    desk.bet("C1", 100)
    id = desk.alert()["alertId"]
    desk.decide("closed", id)
    desk.wait(HOUR - 1)
    desk.bet("C1", 100)
    assert (desk.alert()["status"], desk.alert()["count"]) == ("closed", 2)
    desk.wait(1)
    desk.bet("C1", 100)
    assert sorted((one["status"], one["count"]) for one in desk.alerts()) == [("closed", 2), ("open", 1)]
    desk.bet("C1", 100)
    assert sorted((one["status"], one["count"]) for one in desk.alerts()) == [("closed", 2), ("open", 2)]


def test_a_closed_alert_leaves_for_the_archive(make: Make) -> None:
    """It stays in sight for a day, then it is archived where it was seen; the cooldown goes on."""
    desk = make(cooldown_s=2 * 86_400)
    desk.bet("C1", 100)
    closed = desk.alert()["alertId"]
    desk.decide("closed", closed, "anna")
    document = desk.alert()
    desk.wait(DAY - 1)
    assert desk.alert() == document
    told = desk.wait(1)
    assert of(told, "alerts") == [("/", None), ("/M1", None), ("/M1/A1", None)]
    assert [(one.topic, one.scope, one.key) for one in desk.folding.batches[-1].archived] == [
        ("alerts", scope, closed) for scope in ("/", "/M1", "/M1/A1")
    ]
    assert msgspec.json.decode(desk.folding.batches[-1].archived[0].body) == document
    desk.bet("C1", 100)
    assert desk.alerts() == []
    desk.decide("closed", closed)
    assert desk.folding.code() == "alert_unknown"
    desk.wait(DAY)
    desk.bet("C1", 100)
    assert desk.alert()["alertId"] != closed


def test_there_are_never_more_alerts_than_are_kept(make: Make) -> None:
    """Closed ones leave first, then the mild, then the old; what leaves open is archived as closed by the system."""
    desk = make({"alerts_max": 2})
    desk.bet("C1", 1_000)
    desk.bet("C2", 100)
    desk.bet("C3", 100)
    desk.wait(MINUTE)
    assert {one["customerId"] for one in desk.alerts()} == {"C1", "C3"}
    (archived, _, _) = desk.folding.batches[-1].archived
    body = msgspec.json.decode(archived.body)
    assert (body["customerId"], body["closedBy"], body["status"]) == ("C2", "system", "closed")
    desk.decide("closed", next(one["alertId"] for one in desk.alerts() if one["customerId"] == "C1"))
    desk.bet("C4", 100)
    desk.wait(MINUTE)
    assert {one["customerId"] for one in desk.alerts()} == {"C3", "C4"}


def test_a_rule_looks_only_where_it_is_told_to(make: Make) -> None:
    """By scope, or not at all; settings hold from where they are told."""
    desk = make(scope="/M1")
    desk.bet("C3", 100)
    assert desk.quiet()
    desk.bet("C7", 100)
    assert desk.alert()["customerId"] == "C7"
    desk.configure({"large_bet": {"enabled": False}})
    desk.bet("C1", 100_000)
    assert len(desk.alerts()) == 1
    desk.configure({"a_rule_that_is_no_more": {"enabled": True}})
    desk.bet("C1", 100_000)
    assert len(desk.alerts()) == 2


def test_wagers_that_were_there_before_are_no_news(make: Make) -> None:
    """A book that is connected does not begin with a queue of what its desk has seen long ago."""
    desk = make()
    placed = {
        "wagerId": "w0", "wagerNumber": 0, "customerId": "C1", "agentId": "A1", "path": "/M1/A1", "type": "straight",
        "riskMinor": 10_000_000, "toWinMinor": 1, "freePlay": False, "channel": "web", "status": "accepted",
        "version": 1, "legs": [],
    }  # fmt: skip
    desk.tell("wager.imported", placed)
    assert desk.quiet()


def test_every_rule_has_its_section_with_its_own_keys() -> None:
    """A mistyped key is an error that names it, and every default is a setting that can be read back."""
    default = msgspec.to_builtins(RiskSettings())
    assert set(default) == {"alerts_max", "closed_keep_hours", *(rule.name for rule in RULES)}
    assert msgspec.convert(default, RiskSettings) == RiskSettings()
    with pytest.raises(msgspec.ValidationError, match=r"unknown field `stake`.*velocity"):
        msgspec.convert({"velocity": {"stake": 1}}, RiskSettings)


def test_tables_have_names_of_their_own() -> None:
    """No rule's rows are taken for another's."""
    registry = Registry()
    names = [table.name for table in Alerts(registry, Ledger(registry), Exposures(registry)).tables]
    assert len(names) == len(set(names))


LEGS = [rule for rule in RULES if rule.name in ("palpable_error", "past_post")]


@pytest.fixture(params=[False, True], ids=["on", "restarted"])
def watched(request: pytest.FixtureRequest) -> Desk:
    """A desk where wagers are looked at leg by leg, with a market that was wagered on as it should be."""
    desk = Desk(LEGS, {"palpable_error": {"offered_s": 0}}, cut=request.param)
    for market in ("m1", "m2"):
        desk.market(market, odds=(2.0, 2.0))
    desk.bet("C1", 10, odds=2.0)
    desk.bet("C1", 10, odds=2.0, on=("m1.0", "m2.1"))
    assert desk.quiet()
    return desk


def test_a_leg_that_passes_at_one_price_is_looked_at_at_another(watched: Desk) -> None:
    """What was nothing at the price on offer is a wrong price once that has gone down, alone or in a parlay."""
    watched.price("m1.0", 2.0, 1.5)
    watched.wait(MINUTE)
    wagers = [watched.bet("C1", 10, odds=2.0), watched.bet("C2", 10, odds=2.0, on=("m2.0", "m1.0"))]
    assert watched.alert()["wagerIds"] == wagers


def test_a_leg_that_passes_on_an_open_market_is_looked_at_when_it_is_closed(watched: Desk) -> None:
    """A wager is past-post once its market is closed by hand, or told of again with an earlier close."""
    closed = watched.now_ms
    watched.status("m1", "closed")
    watched.wait(MINUTE)
    late = watched.bet("C1", 10, odds=2.0)
    assert watched.alert()["wagerIds"] == [late]
    watched.market("m2", odds=(2.0, 2.0), closesAt=to_text(closed))
    late = watched.bet("C1", 10, odds=2.0, on="m2.1")
    assert [one["wagerIds"] for one in watched.alerts() if one["marketId"] == "m2"] == [[late]]


def test_a_leg_that_passes_under_one_setting_is_looked_at_under_another(watched: Desk) -> None:
    """Settings hold from when they are told, for markets that were wagered on before as well."""
    watched.bet("C1", 10, odds=2.2)
    assert watched.quiet()
    watched.configure({"palpable_error": {"offered_s": 0, "off": 1.05}})
    wager = watched.bet("C1", 10, odds=2.2)
    assert watched.alert()["wagerIds"] == [wager]


def test_a_customer_who_is_told_of_again(make: Make) -> None:
    """A name and limits of now count, also for one who has wagered under others."""
    desk = make(risk_minor=1_000_000, share_risk_minor=5_000)
    desk.bet("C1", 90)
    assert desk.quiet()
    desk.customer("C1", name="Another name", maxWagerMinor=10_000)
    desk.bet("C1", 90)
    assert desk.alert()["entity"]["name"] == "Another name"
