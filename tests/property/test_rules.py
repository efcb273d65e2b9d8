"""Risk rules against slow oracles that keep every fact and look at all of them; facts come late and in any order.

Every finding counts in its alert, which nobody closes, so the sum of the counts says after each fact whether the rule
has found something. Now and then everything is started anew from what is stored. A failure names its seed.
"""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from statistics import median
from typing import Any, NamedTuple

import pytest

from fire22.sportsbook.risk.base import Rule
from fire22.sportsbook.risk.customer_history import BETS_KEPT, RESULTS_KEPT
from fire22.sportsbook.risk.rules import RULES
from tests.support.risk_desk import CUSTOMERS, DAY, HOUR, MINUTE, SECOND, Desk

BY_NAME = {rule.name: rule for rule in RULES}


class Bet(NamedTuple):
    """A wager as the oracles keep it; `stake` is 0 for a free play."""

    at_ms: int
    stake: int
    id: str


class World:
    """A desk with one rule, and random times for its facts.

    Args:
        rule: that looks on.
        late_ms: by how much a fact may come late.
    """

    def __init__(self, seed: int, rule: type[Rule], late_ms: int, **settings: Any) -> None:
        self.random = Random(seed)
        self.desk = Desk((rule,), {rule.name: settings})
        self._late_ms = late_ms

    def moment(self, step_ms: int) -> int:
        """Time goes on; when the next fact happened."""
        self.desk.cut = self.random.random() < 0.1
        self.desk.now_ms += self.random.randrange(step_ms)
        late = self.random.random() < 0.25
        return self.desk.now_ms - (self.random.randrange(self._late_ms) if late else 0)

    def found(self, tell: Callable[[], object]) -> bool:
        """Tell a fact; whether something was found in it."""
        before = self._count()
        tell()
        return self._count() > before

    def _count(self) -> int:
        return sum(int(one["count"]) for one in self.desk.alerts())


def kept(bets: list[Bet]) -> list[Bet]:
    """A customer's newest bets by their times; of one time, those told later are later."""
    return sorted(bets, key=lambda one: one.at_ms)[-BETS_KEPT:]


@pytest.mark.parametrize("seed", range(5))
def test_velocity_finds_every_run(seed: int) -> None:
    """Some n wagers in a row, this one among them, within less than the window, and fast for this customer."""
    random = Random(f"velocity {seed}")
    count, window, times = random.choice((3, 5)), 60 * SECOND, random.choice((0.0, 1.5))
    world = World(seed, BY_NAME["velocity"], 90 * SECOND, bets=count, window_s=60, times_usual=times, history_s=30)
    told: dict[str, list[Bet]] = {}
    hits = 0
    for number in range(220):
        at_ms, customer = world.moment(12 * SECOND), random.choice(CUSTOMERS[:2])
        bets = told.setdefault(customer, [])
        bets.append(Bet(at_ms, 1, str(number)))
        found = world.found(lambda: world.desk.bet(customer, 1, at_ms=at_ms))  # noqa: B023
        expected = is_fast(bets, count, window, times)
        hits += expected
        assert found == expected, f"seed {seed}, wager {number}"
    assert hits > 5


def is_fast(bets: list[Bet], count: int, window: int, times: float) -> bool:
    """Whether the last bet told makes a run."""
    last = kept(bets)
    runs = [last[at : at + count] for at in range(len(last) - count + 1)]
    runs = [run for run in runs if bets[-1] in run]
    if not runs:
        return False
    run = min(runs, key=lambda one: one[-1].at_ms - one[0].at_ms)
    took = run[-1].at_ms - run[0].at_ms
    if took >= window:
        return False
    known = run[0].at_ms - min(one.at_ms for one in bets)
    usual = (len(bets) - count) * window / known if known > 0 else 0.0
    return times == 0 or (known >= 30 * SECOND and count * window / max(1, took) >= usual * times)


@pytest.mark.parametrize("seed", range(5))
def test_stake_spike_finds_every_spike(seed: int) -> None:
    """A stake above five times the median and twice the largest of those placed before it, as far as they are kept."""
    random = Random(f"spike {seed}")
    world = World(seed, BY_NAME["stake_spike"], 5 * MINUTE, bets=8, stake_minor=1_000)
    told: dict[str, list[Bet]] = {}
    hits = 0
    for number in range(250):
        at_ms, customer = world.moment(MINUTE), random.choice(CUSTOMERS[:3])
        free = random.random() < 0.1
        stake = round(random.lognormvariate(6, 1.2)) + 1
        bets = told.setdefault(customer, [])
        bets.append(Bet(at_ms, 0 if free else stake, str(number)))
        found = world.found(
            lambda: world.desk.bet(customer, stake / 100, at_ms=at_ms, freePlay=free)  # noqa: B023
        )
        expected = is_spike(bets)
        hits += expected
        assert found == expected, f"seed {seed}, wager {number}"
    assert hits > 0


def is_spike(bets: list[Bet]) -> bool:
    """Whether the last bet told is one."""
    last, stake = kept(bets), bets[-1].stake
    if bets[-1] not in last or stake < 1_000:
        return False
    before = [one.stake for one in last[: last.index(bets[-1])] if one.stake]
    return len(before) >= 8 and stake > 5 * median(before) and stake > 2 * max(before)


@pytest.mark.parametrize("seed", range(5))
def test_loss_chasing_finds_every_chase(seed: int) -> None:
    """Enough of the last results were losses when the wager was accepted, and the stakes rose often enough."""
    random = Random(f"chase {seed}")
    world = World(seed, BY_NAME["loss_chasing"], 2 * MINUTE, lost=2, of=3, raises=2, stake_minor=100)
    told: dict[str, list[Bet]] = {}
    results: dict[str, list[tuple[int, bool]]] = {}
    open: list[tuple[str, str, float]] = []
    hits = 0
    for number in range(300):
        at_ms, customer = world.moment(MINUTE), random.choice(CUSTOMERS[:2])
        if open and random.random() < 0.5:
            customer, wager, stake = open.pop(random.randrange(len(open)))
            returned = random.choice((0.0, 0.0, stake, stake * 2))
            world.desk.settle(wager, returned, at_ms=at_ms)
            if returned != stake:
                results.setdefault(customer, []).append((at_ms, returned < stake))
            continue
        stake = float(random.choice((1, 2, 4, 8, 16)))
        bets = told.setdefault(customer, [])
        bets.append(Bet(at_ms, round(stake * 100), str(number)))
        placed: list[str] = []
        found = world.found(lambda: placed.append(world.desk.bet(customer, stake, at_ms=at_ms)))  # noqa: B023
        open.append((customer, placed[0], stake))
        expected = is_chase(bets, results.get(customer, []))
        hits += expected
        assert found == expected, f"seed {seed}, fact {number}"
    assert hits > 0


def is_chase(bets: list[Bet], results: list[tuple[int, bool]]) -> bool:
    """Whether the last bet told is one."""
    last, bet = kept(bets), bets[-1]
    if bet not in last or last.index(bet) < 2:
        return False
    stakes = [one.stake for one in last[last.index(bet) - 2 : last.index(bet) + 1]]
    known = sorted(results, key=lambda one: one[0])[-RESULTS_KEPT:]
    before = [lost for at_ms, lost in known if at_ms <= bet.at_ms][-3:]
    return all(after > 1.5 * one for one, after in pairwise(stakes)) and len(before) == 3 and sum(before) >= 2


@pytest.mark.parametrize("seed", range(5))
def test_deposit_aml_finds_every_suspicion(seed: int) -> None:
    """The gravest that holds of any stretch of time with the deposit in it."""
    random = Random(f"deposits {seed}")
    world = World(seed, BY_NAME["deposit_aml"], 2 * DAY)
    told: dict[str, list[tuple[int, int, str]]] = {}
    kinds: dict[str, int] = {}
    for number in range(150):
        at_ms, customer = world.moment(10 * HOUR), random.choice(CUSTOMERS[:2])
        for deposits in told.values():  # who has not paid in for long is forgotten
            if deposits and max(deposits)[0] <= world.desk.now_ms - 7 * DAY and at_ms == world.desk.now_ms:
                deposits.clear()
        amount = random.choice((500, 2_000, 3_000, 5_000, 8_000, 9_999, 10_000))
        method = random.choice(("card", "cash"))
        deposits = told.setdefault(customer, [])
        deposits.append((at_ms, amount, method))
        before = {one["alertId"]: one["count"] for one in world.desk.alerts()}
        world.desk.pay(amount, customer=customer, method=method, at_ms=at_ms)
        grown = [one for one in world.desk.alerts() if one["count"] > before.get(one["alertId"], 0)]
        found = [(one["customerId"], one["evidence"]["kind"]) for one in grown]
        kind = suspicion(deposits)
        kinds[kind] = kinds.get(kind, 0) + 1
        assert found == ([(customer, kind)] if kind else []), f"seed {seed}, deposit {number}"
    assert len(kinds) >= 3, kinds


def suspicion(deposits: list[tuple[int, int, str]]) -> str:
    """What the last deposit told gives rise to; empty if nothing."""
    new = deposits[-1][0]
    newest = max(at_ms for at_ms, _, _ in deposits)
    recent = [one for one in deposits if one[0] > newest - 7 * DAY]
    if deposits[-1] not in recent:
        return ""

    def most(chosen: list[tuple[int, int, str]], span_ms: int) -> list[list[tuple[int, int, str]]]:
        ends = [at_ms for at_ms, _, _ in recent if new <= at_ms < new + span_ms]
        return [[one for one in chosen if end - span_ms < one[0] <= end] for end in ends]

    near = [one for one in recent if 8_000 <= one[1] < 10_000]
    is_near = deposits[-1] in near
    if is_near and any(len(one) >= 3 for one in most(near, DAY)):
        return "structuring"
    if any(sum(amount for _, amount, _ in one) > 10_000 for one in most(recent, DAY)):
        return "daily"
    if is_near and any(len(one) >= 3 for one in most(near, 7 * DAY)):
        return "structuring"
    cash = [one for one in recent if one[2] == "cash"]
    is_cash = deposits[-1] in cash
    return "suspicious" if is_cash and any(sum(one[1] for one in each) >= 5_000 for each in most(cash, DAY)) else ""


@pytest.mark.parametrize("seed", range(5))
def test_ip_cluster_finds_every_cluster(seed: int) -> None:
    """Enough accounts at an address within the window, whenever one comes that was not there within a step."""
    random = Random(f"cluster {seed}")
    window = 4 * HOUR
    world = World(seed, BY_NAME["ip_cluster"], 6 * HOUR, window_s=window // SECOND)
    seen: dict[str, dict[str, int]] = {}
    newest: dict[str, int] = {}
    hits = 0
    for number in range(250):
        at_ms, customer = world.moment(30 * MINUTE), random.choice(CUSTOMERS)
        for ip in [ip for ip, last_ms in newest.items() if last_ms <= world.desk.now_ms - window]:
            if at_ms == world.desk.now_ms:
                del seen[ip], newest[ip]
        ip = random.choice(("192.0.2.1", "192.0.2.2", "192.0.2.3"))
        found = world.found(lambda: world.desk.bet(customer, 1, at_ms=at_ms, ip=ip))  # noqa: B023
        accounts = seen.setdefault(ip, {})
        expected = False
        if customer not in accounts or at_ms - accounts[customer] >= window // 24:
            accounts[customer] = at_ms
            newest[ip] = max(newest.get(ip, 0), at_ms)
            seen[ip] = accounts = {who: at for who, at in accounts.items() if at > newest[ip] - window}
            expected = customer in accounts and len(accounts) >= 3
        hits += expected
        assert found == expected, f"seed {seed}, wager {number}"
    assert hits > 5
