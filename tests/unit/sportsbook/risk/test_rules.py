"""Each risk rule, case by case: at its threshold and just below, when its window slides, when facts come late.

Every case runs twice: as it is, and with everything started anew from what is stored after each fact.
"""

from collections.abc import Callable
from typing import Any

import pytest

from fire22.sportsbook.risk.base import Rule
from fire22.sportsbook.risk.rules import RULES
from tests.support.risk_desk import DAY, HOUR, MINUTE, SECOND, Desk, Document

Make = Callable[..., Desk]
BY_NAME = {rule.name: rule for rule in RULES}


@pytest.fixture(params=[False, True], ids=["on", "restarted"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a desk on which one rule looks, with settings of its own."""

    def made(rule: str, *, clocked: bool = True, **settings: Any) -> Desk:
        return Desk((BY_NAME[rule],), {rule: settings}, clocked=clocked, cut=request.param)

    return made


def said(alert: Document) -> tuple[Any, ...]:
    """What an alert is about: rule, severity, entity, scope, how often, which wagers."""
    entity = alert["entity"]
    return (
        alert["rule"], alert["severity"], entity["type"], entity["id"], alert["agentPath"], alert["count"],
        alert["wagerIds"],
    )  # fmt: skip


def test_rules_are_found_by_their_files() -> None:
    """Adding a rule is adding a file: every one of the domain's list is there, in the order of the names."""
    names = [rule.name for rule in RULES]
    assert names == sorted(names)
    assert set(names) == {
        "large_bet", "customer_exposure", "market_liability", "credit_utilisation", "velocity", "stake_spike",
        "loss_chasing", "sharp", "steam", "correlated_parlay", "ip_cluster", "agent_swarm", "past_post", "deposit_aml",
        "minimal_play", "chargeback", "hold_drop", "palpable_error",
    }  # fmt: skip
    assert all(issubclass(rule, Rule) for rule in RULES)


# large_bet


def test_a_large_wager(make: Make) -> None:
    """10,000.00 on one wager is an alert of the customer, with the numbers; a cent less is none."""
    desk = make("large_bet")
    desk.bet("C1", 9_999.99)
    assert desk.quiet()
    wager = desk.bet("C1", 10_000, win=9_000)
    alert = desk.alert()
    assert said(alert) == ("large_bet", "warn", "customer", "C1", "/M1/A1", 1, [wager])
    assert alert["evidence"] == {"amount": 10_000.0, "toWin": 9_000.0, "threshold": 10_000.0}
    assert alert["title"] == "Name C1 (C1) risks 10,000.00 on one wager."
    assert (alert["customerId"], alert["agentId"]) == ("C1", "A1")


def test_a_wager_close_to_what_the_customer_may_place(make: Make) -> None:
    """80 % of the own maximum counts too, where it is money that matters to a desk."""
    desk = make("large_bet")
    desk.customer("C1", maxWagerMinor=300_000)
    desk.customer("C2", maxWagerMinor=100_000)
    desk.bet("C1", 2_399.99)
    desk.bet("C2", 1_000)
    assert desk.quiet()
    desk.bet("C1", 2_400)
    assert desk.alert()["evidence"]["shareOfMax"] == 0.8


def test_a_wager_that_is_raised_to_a_large_one(make: Make) -> None:
    """What was small when it was placed is looked at again when it is raised, and not when it is cut."""
    desk = make("large_bet", risk_minor=10_000, critical_risk_minor=50_000)
    small, large = desk.bet("C1", 50), desk.bet("C2", 300)
    assert len(desk.alerts()) == 1
    desk.modify(large, 200)
    desk.modify(small, 500)
    assert [said(one)[1:2] + said(one)[3:] for one in desk.alerts()] == [
        ("warn", "C2", "/M1/A2", 1, [large]),
        ("critical", "C1", "/M1/A1", 1, [small]),
    ]


# customer_exposure, credit_utilisation, market_liability


def test_what_a_customer_may_win_on_all_that_is_open(make: Make) -> None:
    """The limit is scaled by the bet factor; what is settled counts no more."""
    desk = make("customer_exposure", limit_minor=100_000)
    desk.customer("C1", betFactor=0.5)
    first = desk.bet("C1", 10, win=499.99)
    desk.settle(first, 0)
    desk.bet("C1", 10, win=300)
    assert desk.quiet()
    desk.bet("C2", 10, win=500)
    assert desk.quiet()
    last = desk.bet("C1", 10, win=200)
    alert = desk.alert()
    assert said(alert) == ("customer_exposure", "warn", "customer", "C1", "/M1/A1", 1, [last])
    assert alert["evidence"] == {
        "pendingToWin": 500.0, "pendingRisk": 20.0, "pending": 2, "limit": 500.0, "betFactor": 0.5,
    }  # fmt: skip
    desk.bet("C1", 10, win=500)
    assert desk.alert()["severity"] == "critical"


def test_how_much_of_a_credit_is_used(make: Make) -> None:
    """80 % is a warning, 95 % critical; what was won or paid in widens the credit, what is paid out narrows it."""
    desk = make("credit_utilisation")
    desk.customer("C1", creditLimitMinor=100_000)
    desk.bet("C2", 5_000)
    desk.bet("C1", 799.99)
    assert desk.quiet()
    desk.bet("C1", 0.01)
    alert = desk.alert()
    assert (alert["severity"], alert["evidence"]) == (
        "warn",
        {"used": 800.0, "creditLimit": 1000.0, "share": 0.8, "pendingRisk": 800.0, "balance": 0.0},
    )
    desk.pay(500)
    desk.bet("C1", 600)
    assert desk.alert()["count"] == 2
    assert desk.alert()["evidence"]["used"] == 900.0
    desk.pay(50, direction="withdrawal")
    assert (desk.alert()["severity"], desk.alert()["evidence"]["share"]) == ("critical", 0.95)


def test_a_credit_that_is_cut(make: Make) -> None:
    """What was little of the old limit may be much of the new one."""
    desk = make("credit_utilisation")
    desk.customer("C1", creditLimitMinor=100_000)
    desk.bet("C1", 500)
    assert desk.quiet()
    desk.limits("C1", 501)
    assert desk.alert()["severity"] == "critical"


def test_what_a_market_may_cost(make: Make) -> None:
    """80 % of the market's limit is a warning, 100 % critical, at the house; other sides' stakes count against it."""
    desk = make("market_liability")
    desk.market("m1", liabilityLimitMinor=100_000)
    desk.market("m2")
    desk.bet("C1", 100_000, on="m2.0", win=90_000)
    desk.bet("C1", 100, win=799.99)
    desk.bet("C2", 10, on=["m1.0", "m2.0"], win=500)
    assert desk.quiet()
    last = desk.bet("C3", 0.01, win=0.01)
    alert = desk.alert()
    assert said(alert) == ("market_liability", "warn", "market", "m1", "/", 1, [last])
    assert alert["evidence"] == {
        "liability": 800.0, "limit": 1000.0, "share": 0.8, "worstSelectionId": "m1.0", "worstSelection": "Side 0",
        "risk": 100.01,
    }  # fmt: skip
    other = desk.bet("C4", 100, on="m1.1", win=50)
    assert desk.alert()["count"] == 1
    desk.bet("C1", 10, win=300)
    desk.cancel(other)
    assert desk.alert()["severity"] == "critical"
    assert not desk.alerts("/M1")


# velocity, stake_spike, loss_chasing


def test_many_wagers_in_a_short_time(make: Make) -> None:
    """The n-th within less than the window is an alert; with the window gone by it is not."""
    desk = make("velocity", bets=4, window_s=60, times_usual=0)
    for customer, step in (("C1", 20 * SECOND), ("C2", 20 * SECOND - 1)):
        for _ in range(4):
            desk.bet(customer, 5)
            desk.now_ms += step
    alert = desk.alert()
    assert said(alert)[:6] == ("velocity", "warn", "customer", "C2", "/M1/A2", 1)
    assert alert["wagerIds"] == ["w5", "w6", "w7", "w8"]
    assert alert["evidence"] == {"bets": 4, "tookSeconds": 59.997, "windowSeconds": 60, "usualBets": 0.0}


def test_a_part_that_is_cashed_out_is_no_new_bet(make: Make) -> None:
    """It was judged when its wager was placed; cashing out four parts is nobody's haste."""
    desk = make("velocity", bets=4, window_s=60, times_usual=0)
    first = desk.bet("C1", 50)
    for left in (40, 30, 20, 10):
        desk.modify(first, left)
        desk.settle(desk.bet("C1", 10, terms={"partOf": first}), 9.0)
    assert desk.quiet()


def test_a_late_wager_in_the_midst_of_others(make: Make) -> None:
    """Wagers are counted by when they were accepted, in whatever order that is told."""
    desk = make("velocity", bets=4, window_s=60, times_usual=0)
    start = desk.now_ms
    for at_ms in (0, 30, 50, 200):
        desk.bet("C1", 5, at_ms=start + at_ms * SECOND)
    assert desk.quiet()
    desk.bet("C1", 5, at_ms=start + 10 * SECOND)
    assert desk.alert()["evidence"]["tookSeconds"] == 50.0


def test_many_wagers_of_one_who_always_places_many(make: Make) -> None:
    """What is usual for a customer is no alert, once that is known; a burst of the same customer is."""
    desk = make("velocity", bets=5, window_s=60, times_usual=4, history_s=600)
    for _ in range(60):
        desk.bet("C1", 5)
        desk.now_ms += 14 * SECOND
    assert desk.quiet()
    for _ in range(5):
        desk.bet("C1", 5)
        desk.now_ms += 5 * SECOND
    assert desk.quiet()
    for _ in range(4):
        desk.bet("C1", 5)
        desk.now_ms += 2 * SECOND
    evidence = desk.alert()["evidence"]
    assert 4 < evidence.pop("usualBets") < 5
    assert evidence == {"bets": 5, "tookSeconds": 11.0, "windowSeconds": 60}


def test_a_stake_far_above_the_usual(make: Make) -> None:
    """More than five times the median and twice the largest of the last bets, if it is of some size."""
    desk = make("stake_spike", bets=5, stake_minor=10_000)
    for stake in (10, 20, 30, 40, 60):
        desk.bet("C1", stake)
        desk.bet("C2", stake / 100)
    desk.bet("C3", 500)
    desk.bet("C2", 99)
    assert desk.quiet()
    desk.bet("C1", 150)
    assert desk.quiet()
    wager = desk.bet("C1", 300.01)
    alert = desk.alert()
    assert said(alert) == ("stake_spike", "warn", "customer", "C1", "/M1/A1", 1, [wager])
    assert alert["evidence"] == {"amount": 300.01, "median": 35.0, "largest": 150.0, "times": 8.6, "bets": 6}


def test_a_stake_is_compared_with_those_before_it(make: Make) -> None:
    """A wager told late is judged by what was placed before it, and free plays say nothing."""
    desk = make("stake_spike", bets=3, stake_minor=10_000)
    for stake in (10, 10, 10):
        desk.bet("C1", stake)
        desk.now_ms += MINUTE
    desk.bet("C1", 5_000, freePlay=True)
    assert desk.quiet()
    desk.bet("C1", 1_000, at_ms=desk.now_ms - 2 * MINUTE - 1)
    assert desk.quiet()
    desk.bet("C1", 1_000, at_ms=desk.now_ms - 30 * SECOND)
    assert desk.alerts() == []
    desk.now_ms += MINUTE
    desk.bet("C1", 2_000.01)
    assert desk.alert()["evidence"]["largest"] == 1_000.0


def chase(desk: Desk, losses: int, wins: int, stakes: tuple[float, ...]) -> list[str]:
    """A customer loses and wins so often, and then stakes."""
    settled = [desk.bet("C1", 10) for _ in range(losses + wins)]
    for number, wager in enumerate(settled):
        desk.now_ms += SECOND
        desk.settle(wager, 0 if number < losses else 20)
    return [*settled[:losses], *(desk.bet("C1", stake) for stake in stakes)]


def test_losses_that_are_chased(make: Make) -> None:
    """Four of the last five lost, and three raises in a row, each of more than half."""
    desk = make("loss_chasing", stake_minor=1_000)
    wagers = chase(desk, 4, 1, (16, 25, 39))
    alert = desk.alert()
    assert said(alert) == ("loss_chasing", "warn", "customer", "C1", "/M1/A1", 1, [*wagers[:4], wagers[-1]])
    assert alert["evidence"] == {"lost": 4, "of": 5, "amounts": [10.0, 16.0, 25.0, 39.0]}


@pytest.mark.parametrize(
    ("losses", "wins", "stakes", "least"),
    [
        (3, 2, (16.0, 25.0, 39.0), 1_000),
        (4, 0, (16.0, 25.0, 39.0), 1_000),
        (4, 1, (16.0, 25.0, 37.5), 1_000),
        (4, 1, (16.0, 25.0), 1_000),
        (4, 1, (16.0, 25.0, 39.0), 3_901),
    ],
)
def test_losses_that_are_not_chased(make: Make, losses: int, wins: int, stakes: tuple[float, ...], least: int) -> None:
    """Too few losses, too few results, a raise of just half, too few raises, too small a stake: none is an alert."""
    desk = make("loss_chasing", stake_minor=least)
    chase(desk, losses, wins, stakes)
    assert desk.quiet()


def test_only_results_known_when_the_wager_was_placed_count(make: Make) -> None:
    """A loss that was settled after a wager was accepted cannot be what it chases; a push is neither."""
    desk = make("loss_chasing", stake_minor=1_000)
    start = desk.now_ms
    settled = [desk.bet("C1", 10) for _ in range(6)]
    desk.settle(settled[0], 10, at_ms=start + SECOND)
    for number, wager in enumerate(settled[1:]):
        desk.settle(wager, 0, at_ms=start + (2 + number) * SECOND)
    for number, stake in enumerate((16, 25, 39)):
        desk.bet("C1", stake, at_ms=start + 5 * SECOND + number)
    assert desk.quiet()
    desk.bet("C1", 60, at_ms=start + 6 * SECOND)
    assert desk.alert()["evidence"]["lost"] == 5


# sharp


def beat(desk: Desk, customer: str, count: int, struck: float, closing: float, first: int = 0) -> list[str]:
    """A customer's wagers, each on a market of its own that closes at another price."""
    wagers = []
    for number in range(first, first + count):
        market = f"m{customer}{number}"
        desk.market(market, odds=(struck, 1.9))
        wagers.append(desk.bet(customer, 10, on=f"{market}.0", odds=struck))
        desk.price(f"{market}.0", struck, closing)
        desk.status(market, "closed")
        desk.status(market, "resulted")
        desk.settle(wagers[-1])
    return wagers


def test_a_customer_who_beats_the_closing_line(make: Make) -> None:
    """A mean of 2 % over enough wagers, and clear of chance; who is known to be sharp is no news."""
    desk = make("sharp", bets=6)
    desk.customer("C2", segment="sharp")
    beat(desk, "C1", 5, 2.1, 2.0)
    beat(desk, "C2", 6, 2.1, 2.0)
    beat(desk, "C3", 6, 2.03, 2.0)
    assert desk.quiet()
    beat(desk, "C1", 1, 2.1, 2.0, 5)
    alert = desk.alert()
    assert said(alert)[:6] == ("sharp", "warn", "customer", "C1", "/M1/A1", 1)
    assert alert["evidence"] == {"closingLineValue": 0.05, "standardError": 0.0, "bets": 6, "segment": ""}
    assert len(alert["wagerIds"]) == 6


def test_luck_with_the_closing_line(make: Make) -> None:
    """A mean that a few long prices have made lies within its error."""
    desk = make("sharp", bets=6)
    beat(desk, "C1", 5, 2.0, 2.0)
    beat(desk, "C1", 1, 3.0, 2.0, 5)
    assert desk.quiet()


def test_wagers_in_play_and_cancelled_ones_have_no_closing_line(make: Make) -> None:
    """Only what was struck before the game says who is sharp."""
    desk = make("sharp", bets=2, errors=0)
    for number in range(3):
        desk.market(f"m{number}", type="in_play", odds=(2.1, 1.9))
        wager = desk.bet("C1", 10, on=f"m{number}.0", odds=2.1)
        desk.price(f"m{number}.0", 2.1, 2.0)
        desk.status(f"m{number}", "resulted")
        desk.settle(wager)
    for number in range(3, 6):
        desk.market(f"m{number}", odds=(2.1, 1.9))
        wager = desk.bet("C2", 10, on=f"m{number}.0", odds=2.1)
        desk.price(f"m{number}.0", 2.1, 2.0)
        desk.status(f"m{number}", "resulted")
        desk.cancel(wager)
    assert desk.quiet()


# steam, agent_swarm, ip_cluster, correlated_parlay


def test_steam(make: Make) -> None:
    """Five customers take a side within a minute, and the price follows."""
    desk = make("steam")
    desk.market(odds=(2.0, 1.8))
    for customer in ("C1", "C2", "C3", "C4"):
        desk.bet(customer, 500)
        desk.now_ms += 10 * SECOND
    desk.bet("C6", 499.99)
    desk.price("m1.0", 2.0, 1.9)
    assert desk.quiet()
    desk.bet("C6", 500)
    alert = desk.alert()
    assert said(alert) == ("steam", "warn", "selection", "m1.0", "/", 1, ["w1", "w2", "w3", "w4", "w6"])
    assert alert["marketId"] == "m1"
    assert alert["evidence"] == {
        "customers": 5, "customerIds": ["C1", "C2", "C3", "C4", "C6"], "risk": 2_500.0, "oddsBefore": 2.0,
        "oddsNow": 1.9, "lineMove": 0.05, "tookSeconds": 40.0,
    }  # fmt: skip


def test_the_price_follows_the_steam(make: Make) -> None:
    """The move may come after the wagers, for a while; less than 3 % is none."""
    desk = make("steam")
    desk.market(odds=(2.0, 1.8))
    for customer in ("C1", "C2", "C3", "C4", "C6"):
        desk.bet(customer, 500)
    desk.price("m1.0", 2.0, 1.95)
    assert desk.quiet()
    desk.now_ms += 60 * SECOND
    desk.price("m1.0", 1.95, 1.94)
    assert desk.alert()["evidence"]["lineMove"] == 0.03


@pytest.mark.parametrize("step", [15 * SECOND, 61 * SECOND])
def test_no_steam_in_slow_money(make: Make, step: int) -> None:
    """Five customers in more than a minute, or a price that moves more than a minute later, is trade."""
    desk = make("steam")
    desk.market(odds=(2.0, 1.8))
    for customer in ("C1", "C2", "C3", "C4", "C6"):
        desk.bet(customer, 500)
        desk.now_ms += step if step < 60 * SECOND else 0
    desk.now_ms += step
    desk.price("m1.0", 2.0, 1.7)
    assert desk.quiet()


def test_no_steam_in_play_nor_of_one_customer(make: Make) -> None:
    """In play prices follow the game; and five wagers of four customers are not five customers."""
    desk = make("steam")
    desk.market(odds=(2.0, 1.8))
    desk.market("m2", type="in_play", odds=(2.0, 1.8))
    for customer in ("C1", "C2", "C3", "C4", "C1"):
        desk.bet(customer, 500)
    for customer in ("C1", "C2", "C3", "C4", "C6"):
        desk.bet(customer, 500, on="m2.0")
    desk.price("m1.0", 2.0, 1.7)
    desk.price("m2.0", 2.0, 1.7)
    assert desk.quiet()


def test_agents_who_swarm(make: Make) -> None:
    """Customers of three agents on one selection from one address, within five minutes."""
    desk = make("agent_swarm")
    desk.market()
    desk.bet("C1", 20, ip="192.0.2.1")
    desk.bet("C5", 20, ip="192.0.2.1")
    desk.bet("C3", 20, ip="192.0.2.2")
    desk.bet("C4", 20, ip="192.0.2.1", on="m1.1")
    desk.bet("C6", 20, ip="192.0.2.1", channel="agent")
    desk.now_ms += 5 * MINUTE - 1
    desk.bet("C2", 20, ip="192.0.2.1")
    assert desk.quiet()
    wager = desk.bet("C7", 30, ip="192.0.2.1")
    alert = desk.alert()
    assert said(alert) == ("agent_swarm", "warn", "selection", "m1.0", "/M1", 1, ["w1", "w2", "w6", wager])
    assert alert["evidence"] == {
        "agents": 3, "agentIds": ["A1", "A2", "M1"], "customerIds": ["C1", "C2", "C5", "C7"], "ips": ["192.0.2.1"],
        "risk": 90.0, "tookSeconds": 299.999,
    }  # fmt: skip
    assert desk.alert("/M1") == alert
    assert not desk.alerts("/M1/A1")


def test_a_swarm_that_came_apart(make: Make) -> None:
    """Older than the window, or called off: it does not count."""
    desk = make("agent_swarm")
    desk.market()
    desk.bet("C1", 20, ip="192.0.2.1")
    desk.now_ms += 5 * MINUTE
    cancelled = desk.bet("C2", 20, ip="192.0.2.1")
    desk.cancel(cancelled)
    desk.bet("C3", 20, ip="192.0.2.1")
    desk.bet("C4", 20, ip="192.0.2.1")
    assert desk.quiet()
    desk.bet("C6", 20, ip="192.0.2.1")
    assert desk.alert()["evidence"]["agents"] == 3


def test_any_swarm_where_no_link_is_asked_for(make: Make) -> None:
    """A book may want to see every selection that three agents' customers back."""
    desk = make("agent_swarm", linked=False)
    for customer in ("C1", "C2", "C3"):
        desk.bet(customer, 20)
    assert desk.alert()["agentPath"] == "/"


def test_accounts_of_one_address(make: Make) -> None:
    """The third account of an address within a day is an alert, at the deepest agent over all three."""
    desk = make("ip_cluster")
    desk.bet("C1", 5, ip="192.0.2.1")
    desk.bet("C1", 5, ip="192.0.2.1")
    desk.bet("C3", 5, ip="192.0.2.1", channel="phone")
    desk.login("C2", "192.0.2.1")
    assert desk.quiet()
    desk.login("C7", "192.0.2.1")
    alert = desk.alert("/M1")
    assert said(alert) == ("ip_cluster", "warn", "ip", "192.0.2.1", "/M1", 1, ["w1"])
    assert alert["evidence"] == {
        "ip": "192.0.2.1", "accounts": 3, "customerIds": ["C1", "C2", "C7"],
        "agentPaths": ["/M1", "/M1/A1", "/M1/A2"], "windowSeconds": 86_400,
    }  # fmt: skip
    wager = desk.bet("C4", 5, ip="192.0.2.1")
    assert not desk.alerts("/M1"), "an agent must not see another agent's account"
    assert said(desk.alert()) == ("ip_cluster", "warn", "ip", "192.0.2.1", "/", 2, ["w1", wager])


def test_accounts_that_an_address_has_seen_long_ago(make: Make) -> None:
    """The window slides; who comes again stays in it."""
    desk = make("ip_cluster")
    desk.login("C1", "192.0.2.1")
    desk.login("C2", "192.0.2.1")
    desk.wait(23 * HOUR)
    desk.login("C1", "192.0.2.1")
    desk.wait(HOUR)
    desk.login("C3", "192.0.2.1")
    assert desk.quiet()
    desk.login("C4", "192.0.2.1")
    assert desk.alert()["evidence"]["customerIds"] == ["C1", "C3", "C4"]


def test_an_address_that_many_share(make: Make) -> None:
    """A shop's own address can be left out."""
    desk = make("ip_cluster", exempt_ips=["192.0.2.1"])
    for customer in ("C1", "C2", "C3"):
        desk.login(customer, "192.0.2.1")
    assert desk.quiet()


def test_a_parlay_of_related_legs(make: Make) -> None:
    """Two legs of one event are related; a total with a small spread, and a price made for it, are not."""
    desk = make("correlated_parlay")
    desk.market("m1", eventId="e1", type="spread", line=-3.0)
    desk.market("m2", eventId="e1", type="total", line=10.1)
    desk.market("m3", eventId="e1", type="total", line=10.0)
    desk.market("m4", eventId="e2")
    desk.bet("C1", 10, on=["m1.0", "m2.0", "m4.0"])
    desk.bet("C1", 10, on=["m1.0", "m3.0"], type="same_game_parlay")
    assert desk.quiet()
    wager = desk.bet("C1", 10, on=["m4.0", "m1.0", "m3.0"], win=60)
    alert = desk.alert()
    assert said(alert) == ("correlated_parlay", "warn", "customer", "C1", "/M1/A1", 1, [wager])
    assert alert["evidence"] == {
        "eventId": "e1", "event": "Here - There", "markets": ["Here - There, spread -3", "Here - There, total 10"],
        "legs": 3, "amount": 10.0, "toWin": 60.0,
    }  # fmt: skip
    desk.market("m5", eventId="e2")
    desk.bet("C2", 10, on=["m4.0", "m5.0"])
    assert len(desk.alerts()) == 2


# past_post, palpable_error


def test_a_wager_after_the_market_has_closed(make: Make) -> None:
    """More than a second after it closed, by its own time; what is told late was not placed late."""
    desk = make("past_post")
    desk.market()
    desk.now_ms += HOUR + SECOND
    desk.bet("C1", 10)
    desk.bet("C1", 10, at_ms=desk.now_ms - HOUR)
    assert desk.quiet()
    desk.now_ms += 1
    wager = desk.bet("C1", 10, win=9)
    alert = desk.alert()
    assert said(alert) == ("past_post", "critical", "market", "m1", "/M1/A1", 1, [wager])
    assert alert["evidence"] == {
        "acceptedAt": "2026-03-01T13:00:01.001Z", "closedAt": "2026-03-01T13:00:00.000Z", "lateSeconds": 1.001,
        "amount": 10.0, "toWin": 9.0,
    }  # fmt: skip


def test_a_wager_after_the_market_was_closed_by_hand(make: Make) -> None:
    """Closed is closed, whatever the timetable says; a market that opens again takes wagers."""
    desk = make("past_post")
    desk.market()
    desk.status("m1", "closed")
    desk.now_ms += 10 * SECOND
    desk.status("m1", "open")
    desk.bet("C1", 10)
    assert desk.quiet()
    desk.status("m1", "resulted")
    desk.now_ms += 10 * SECOND
    parlay = desk.bet("C1", 10, on=["m2.0", "m1.1"])
    assert said(desk.alert())[2:4] == ("market", "m1")
    assert desk.alert()["wagerIds"] == [parlay]


def test_a_wager_raised_after_the_market_has_closed(make: Make) -> None:
    """To raise it is to place the difference; to cut it is not."""
    desk = make("past_post")
    desk.market()
    wager = desk.bet("C1", 10)
    desk.now_ms += 2 * HOUR
    desk.modify(wager, 5)
    assert desk.quiet()
    desk.modify(wager, 20)
    assert desk.alert()["evidence"]["lateSeconds"] == 3_600.0


def test_a_market_in_play_takes_wagers_after_the_start(make: Make) -> None:
    """The game's start closes only markets that are for before it."""
    desk = make("past_post")
    desk.market("m1", startsAt="2026-03-01T11:00:00Z", closesAt="2026-03-01T14:00:00Z")
    desk.market("m2", type="in_play", startsAt="2026-03-01T11:00:00Z", closesAt=None)
    desk.market("m3", startsAt="2026-03-01T11:00:00Z", closesAt=None)
    desk.bet("C1", 10, on="m1.0")
    desk.bet("C1", 10, on="m2.0")
    assert desk.quiet()
    desk.bet("C1", 10, on="m3.0")
    assert desk.alert()["marketId"] == "m3"


def test_prices_that_are_wrong_together(make: Make) -> None:
    """They are a warning while they stand, and critical with the first wager; the other side is as it was."""
    desk = make("palpable_error")
    desk.market(odds=(2.0, 1.8))
    desk.price("m1.0", 2.0, 6.0)
    desk.wait(SECOND)
    assert desk.quiet()
    desk.wait(SECOND)
    alert = desk.alert()
    assert said(alert) == ("palpable_error", "warn", "selection", "m1.0", "/", 1, [])
    assert alert["evidence"] == {"overround": 0.722, "oddsBefore": 2.0, "odds": 6.0}
    desk.bet("C1", 10, on="m1.1", odds=1.8)
    assert desk.alert()["count"] == 1
    wager = desk.bet("C1", 10, odds=6.0)
    alert = desk.alert()
    assert said(alert) == ("palpable_error", "critical", "selection", "m1.0", "/", 2, [wager])
    assert alert["evidence"] == {"odds": 6.0, "overround": 0.722, "oddsBefore": 2.0, "amount": 10.0, "toWin": 50.0}


def test_prices_that_change_one_by_one(make: Make) -> None:
    """Between two prices of one move they may be wrong together for a moment."""
    desk = make("palpable_error")
    desk.market(odds=(2.0, 1.8))
    desk.price("m1.0", 2.0, 2.4)
    desk.price("m1.1", 1.8, 1.55)
    desk.wait(MINUTE)
    desk.bet("C1", 10, odds=2.4)
    assert desk.quiet()


def test_a_price_that_is_taken_back(make: Make) -> None:
    """Among many runners a wrong price shows only by its neighbours in time: it is told when it is put right."""
    desk = make("palpable_error")
    desk.market(odds=(3.0, 3.0, 3.0, 3.0, 3.0))
    desk.price("m1.2", 3.0, 30.0)
    desk.bet("C1", 10, on="m1.0", odds=3.0)
    wager = desk.bet("C3", 10, on="m1.2", odds=30.0)
    assert desk.quiet()
    desk.now_ms += MINUTE
    desk.price("m1.2", 30.0, 3.1)
    alert = desk.alert()
    assert said(alert) == ("palpable_error", "critical", "selection", "m1.2", "/", 1, [wager])
    assert alert["evidence"] == {
        "oddsBefore": 3.0, "odds": 30.0, "oddsAfter": 3.1, "wagers": 1, "amount": 10.0, "toWin": 290.0,
        "agentPath": "/M2/A3",
    }  # fmt: skip


def test_a_price_that_stays_or_that_nobody_struck(make: Make) -> None:
    """A long price that is meant stays; one that nobody took has cost nothing."""
    desk = make("palpable_error")
    desk.market(odds=(3.0, 3.0, 3.0, 3.0, 3.0))
    desk.price("m1.1", 3.0, 30.0)
    desk.price("m1.1", 30.0, 3.0)
    desk.price("m1.2", 3.0, 6.0)
    desk.bet("C1", 10, on="m1.2", odds=6.0)
    desk.wait(15 * MINUTE)
    desk.price("m1.2", 6.0, 3.0)
    assert desk.quiet()


def test_a_wager_struck_far_above_what_was_on_offer(make: Make) -> None:
    """A price of a moment ago is as good; a quarter above any is nobody's."""
    desk = make("palpable_error")
    desk.market(odds=(2.0, 1.8))
    desk.price("m1.0", 2.0, 1.5)
    desk.now_ms += MINUTE
    desk.bet("C1", 10, odds=2.5)
    assert desk.quiet()
    desk.now_ms += 1
    desk.bet("C1", 10, odds=1.875)
    assert desk.quiet()
    wager = desk.bet("C1", 10, odds=1.88)
    assert said(desk.alert()) == ("palpable_error", "critical", "selection", "m1.0", "/", 1, [wager])
    assert desk.alert()["evidence"]["oddsOffered"] == 1.5


# payments


def test_more_than_ten_thousand_in_a_day(make: Make) -> None:
    """By any method, in any 24 hours; the amount itself is not more."""
    desk = make("deposit_aml")
    desk.pay(5_000)
    desk.wait(DAY - 1)
    desk.pay(5_000)
    assert desk.quiet()
    payment = desk.pay(0.01)
    alert = desk.alert()
    assert said(alert) == ("deposit_aml", "critical", "customer", "C1", "/M1/A1", 1, [])
    assert alert["evidence"] == {
        "kind": "daily", "threshold": 10_000.0, "deposits": 3, "total": 10_000.01, "amounts": [5_000.0, 5_000.0, 0.01],
        "methods": ["card"], "paymentIds": ["p1", "p2", payment],
    }  # fmt: skip


def test_deposits_that_a_day_lies_between(make: Make) -> None:
    """The window slides; withdrawals, and what was never completed, are no deposits."""
    desk = make("deposit_aml")
    desk.pay(9_000)
    desk.wait(DAY)
    desk.pay(5_000)
    desk.pay(9_000, direction="withdrawal", upto="requested")
    desk.pay(9_000, upto="approved")
    desk.pay(9_000, upto="failed")
    assert desk.quiet()


def test_a_deposit_told_late(make: Make) -> None:
    """It counts in the day in which it was made."""
    desk = make("deposit_aml")
    start = desk.now_ms
    desk.pay(6_000)
    desk.wait(30 * HOUR)
    desk.pay(4_000)
    assert desk.quiet()
    desk.pay(3_000, at_ms=start + 20 * HOUR)
    assert desk.quiet()
    desk.pay(1_001, at_ms=start + 10 * HOUR)
    assert desk.alert()["evidence"]["total"] == 10_001.0


def test_deposits_that_leave_no_trace(make: Make) -> None:
    """5,000.00 in cash is worth a look; by card it is not."""
    desk = make("deposit_aml")
    desk.pay(5_000, customer="C2")
    desk.pay(4_999.99, method="cash")
    assert desk.quiet()
    desk.pay(0.01, method="crypto")
    alert = desk.alert()
    assert (alert["severity"], alert["evidence"]["kind"], alert["evidence"]["total"]) == ("warn", "suspicious", 5_000.0)


def test_deposits_just_below_what_is_reported(make: Make) -> None:
    """Three of 80 to 99 % of the threshold within a week are structuring; within a day that is critical."""
    desk = make("deposit_aml")
    for amount in (7_999.99, 8_000.0, 9_999.99):
        desk.pay(amount)
        desk.wait(2 * DAY)
    assert desk.quiet()
    desk.pay(8_000)
    alert = desk.alert()
    assert (alert["severity"], alert["evidence"]["kind"]) == ("warn", "structuring")
    assert alert["evidence"]["amounts"] == [8_000.0, 9_999.99, 8_000.0]
    desk.wait(SECOND)
    desk.pay(9_000)
    desk.wait(SECOND)
    desk.pay(9_000)
    structuring = next(one for one in desk.alerts() if one["evidence"]["kind"] == "structuring")
    assert structuring["severity"] == "critical"


def test_money_that_is_hardly_played(make: Make) -> None:
    """80 % of what was paid in is asked for before it was wagered once."""
    desk = make("minimal_play")
    deposit = desk.pay(1_000)
    desk.bet("C1", 999.99, freePlay=True)
    cancelled = desk.bet("C1", 500)
    desk.bet("C1", 499.99)
    desk.cancel(cancelled)
    desk.pay(799.99, direction="withdrawal", upto="rejected")
    assert desk.quiet()
    payment = desk.pay(800, direction="withdrawal", upto="requested")
    alert = desk.alert()
    assert said(alert) == ("minimal_play", "warn", "customer", "C1", "/M1/A1", 1, [])
    assert alert["evidence"] == {
        "deposited": 1000.0, "handle": 499.99, "asked": 800.0, "depositIds": [deposit], "paymentId": payment,
    }  # fmt: skip


def test_a_withdrawal_in_parts(make: Make) -> None:
    """What was asked for before counts too."""
    desk = make("minimal_play")
    desk.pay(1_000)
    desk.pay(400, direction="withdrawal", upto="requested")
    assert desk.quiet()
    desk.pay(400, direction="withdrawal", upto="requested")
    assert desk.alert()["evidence"]["asked"] == 800.0


def test_money_that_is_played(make: Make) -> None:
    """Once through is enough; little money, and money of long ago, is let go."""
    desk = make("minimal_play")
    desk.pay(1_000)
    desk.bet("C1", 1_000)
    desk.pay(1_000, direction="withdrawal", upto="requested")
    desk.pay(499.99, customer="C2")
    desk.pay(499.99, customer="C2", direction="withdrawal", upto="requested")
    desk.pay(1_000, customer="C3")
    desk.wait(7 * DAY)
    desk.pay(1_000, customer="C3", direction="withdrawal", upto="requested")
    assert desk.quiet()


def test_a_payment_that_is_charged_back(make: Make) -> None:
    """Any is critical, and says what to do."""
    desk = make("chargeback")
    desk.pay(10)
    assert desk.quiet()
    payment = desk.pay(20, upto="charged_back")
    alert = desk.alert()
    assert said(alert) == ("chargeback", "critical", "customer", "C1", "/M1/A1", 1, [])
    assert alert["evidence"] == {"paymentId": payment, "amount": 20.0, "method": "card", "balance": 10.0}
    assert alert["title"] == "A deposit of 20.00 of Name C1 (C1) was charged back: hold payouts."


# hold_drop


def earn(desk: Desk, customer: str, risk: float, returned: float) -> None:
    """A wager is placed and settled."""
    desk.settle(desk.bet(customer, risk), returned)


def test_a_hold_that_has_dropped(make: Make) -> None:
    """Below 5 % of enough handle over all of four weeks, for each agent's sub-tree by itself."""
    desk = make("hold_drop", handle_minor=100_000)
    earn(desk, "C1", 1_000, 951)
    earn(desk, "C2", 1_000, 900)
    earn(desk, "C3", 999.99, 990)
    desk.wait(27 * DAY)
    assert desk.quiet()
    desk.wait(12 * HOUR)
    (alert,) = desk.alerts("/M1/A1")
    assert said(alert) == ("hold_drop", "warn", "agent", "/M1/A1", "/M1/A1", 1, [])
    assert alert["evidence"] == {
        "hold": 0.049, "threshold": 0.05, "revenue": 49.0, "settledHandle": 1000.0, "days": 28,
    }  # fmt: skip
    assert {one["entity"]["id"] for one in desk.alerts()} == {"/M1/A1"}


def test_a_hold_of_four_weeks_ago(make: Make) -> None:
    """The stretch slides by whole days, and a correction counts where it is made."""
    desk = make("hold_drop", handle_minor=100_000)
    earn(desk, "C1", 1_000, 1_000)
    desk.wait(DAY)
    earn(desk, "C1", 1_000, 900)
    desk.wait(28 * DAY)
    assert desk.quiet()
