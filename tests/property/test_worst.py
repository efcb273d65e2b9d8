"""The worst joint outcome against the enumeration of all of them."""

from itertools import pairwise, product
from random import Random

from fire22.sportsbook.exposure.parlay import VOID, Parlay, graded
from fire22.sportsbook.exposure.worst_case import Straight, worst
from fire22.sportsbook.registry.open_wager import OpenWager, StruckLeg
from tests.support.seeds import seeds

NOBODY = "nobody backed it"
STATES = 100_000

Case = tuple[dict[str, Straight], list[Parlay]]


def parlay(number: int, risk: int, to_win: int, legs: list[StruckLeg], *, free_play: bool = False) -> Parlay:
    """An open wager of several legs, none with a result."""
    cash = 0 if free_play else risk
    wager = OpenWager(
        f"w{number:04}", number, "C1", "A1", "/M1", "parlay", risk, cash, to_win, 0, 1, "web", "", tuple(legs)
    )
    found = graded(wager, {})
    assert found is not None
    return found


def struck(risk: int, legs: list[StruckLeg]) -> int:
    """What a stake wins at the product of its odds."""
    factor = 1.0
    for leg in legs:
        factor *= leg.odds
    return int(risk * (factor - 1) + 0.5)


def small(random: Random) -> Case:
    """Up to five markets of up to four outcomes, up to eight parlays, some with legs that exclude each other."""
    names = [f"m{number}" for number in range(random.randint(1, 5))]
    straights = {}
    for name in names:
        size = random.choice((0, 100, 1000, 5000))
        paid = {f"{name}.{number}": random.randint(0, size * 3) for number in range(random.randint(0, 3))}
        straights[name] = Straight(random.randint(0, size * 2), paid)
    parlays = []
    for number in range(random.randint(1, 8)):
        count = random.randint(1, min(4, len(names) + 1))
        twice = random.random() < 0.2
        chosen = random.choices(names, k=count) if twice else random.sample(names, min(count, len(names)))
        legs = [StruckLeg(each, f"{each}.{random.randrange(4)}", round(random.uniform(1.05, 4), 3)) for each in chosen]
        risk = random.randint(0, 500)
        to_win = struck(risk, legs) if random.random() < 0.8 else random.randint(0, 3000)
        parlays.append(parlay(number, risk, to_win, legs, free_play=random.random() < 0.2))
    linked = {name for each in parlays for name in each.markets}
    return {name: each for name, each in straights.items() if name in linked}, parlays


def enumerated(case: Case) -> int:
    """The worst of all joint outcomes."""
    straights, parlays = case
    outcomes = {
        name: sorted({leg.selection for each in parlays for leg in each.legs if leg.market == name} | set(of.paid))
        for name, of in straights.items()
    }
    return max(
        loss(case, dict(zip(outcomes, joint, strict=True)))
        for joint in product(*([*of, NOBODY, VOID] for of in outcomes.values()))
    )


def loss(case: Case, ended: dict[str, str]) -> int:
    """What the book loses if the markets end so."""
    straights, parlays = case
    total = sum(of.paid.get(ended[name], 0) - of.risk for name, of in straights.items() if ended[name] != VOID)
    for each in parlays:
        lost = any(ended[leg.market] not in (leg.selection, VOID) for leg in each.legs)
        void = sum(1 << index for index, leg in enumerate(each.legs) if ended[leg.market] == VOID)
        total += -each.cash if lost else each.pay(void) - each.cash
    return total


def bound(case: Case) -> int:
    """ΣL and all that the parlays may bring."""
    straights, parlays = case
    return sum(
        max(0, *of.paid.values(), 0) - min(of.risk, max(0, *of.paid.values(), 0)) for of in straights.values()
    ) + sum(each.profit for each in parlays)


@seeds(3, 8)
def test_the_search_finds_the_worst_of_all_joint_outcomes(seed: int) -> None:
    """Hundreds of cases: exact is what enumeration finds; cut short it is a bound, between that and ΣL + Σ toWin."""
    random = Random(seed)
    cut = 0
    for number in range(250):
        case = small(random)
        expected = enumerated(case)
        found = worst(*case, STATES)
        assert (found.loss, found.exact) == (expected, True), f"seed {seed}, case {number}"
        short = worst(*case, random.randrange(60))
        assert expected <= short.loss <= bound(case), f"seed {seed}, case {number}"
        assert short.exact <= (short.loss == expected)
        cut += not short.exact
    assert cut > 50


def test_a_long_chain_is_exact() -> None:
    """300 markets, each linked to the next, have more joint outcomes than atoms, and are searched in a moment."""
    random = Random(3)
    names = [f"m{number:03}" for number in range(300)]
    straights = {name: Straight(1000, {f"{name}.a": random.randint(500, 2500)}) for name in names}
    parlays = []
    for number, (one, other) in enumerate(pairwise(names)):
        legs = [
            StruckLeg(one, f"{one}.{random.choice('ab')}", 1.9),
            StruckLeg(other, f"{other}.{random.choice('ab')}", 2.1),
        ]
        parlays.append(parlay(number, 500, struck(500, legs), legs))
    found = worst(straights, parlays, STATES)
    assert found.exact
    assert found.states < 20_000


def test_a_parlay_of_twelve_legs_is_exact() -> None:
    """Long parlays of one player have a thousand times their stake as profit; a bound would be worth little."""
    random = Random(5)
    names = [f"m{number:02}" for number in range(14)]
    straights = {name: Straight(3000, {f"{name}.a": 5700, f"{name}.b": 1900}) for name in names}
    legs = [
        [StruckLeg(name, f"{name}.{random.choice('ab')}", 1.909) for name in random.sample(names, 12)] for _ in range(6)
    ]
    parlays = [parlay(number, 100, struck(100, of), of) for number, of in enumerate(legs)]
    found = worst(straights, parlays, STATES)
    assert found.exact
    assert found.loss < sum(each.profit for each in parlays)


def test_what_cannot_be_searched_is_a_bound_and_costs_no_more_than_the_limit() -> None:
    """Forty markets that ninety parlays tie together: the answer says that it is a bound."""
    random = Random(7)
    names = [f"m{number:02}" for number in range(40)]
    straights = {name: Straight(2000, {f"{name}.a": 2100, f"{name}.b": 2000}) for name in names}
    parlays = []
    for number in range(90):
        legs = [StruckLeg(name, f"{name}.{random.choice('ab')}", 1.9) for name in random.sample(names, 4)]
        parlays.append(parlay(number, 1000, struck(1000, legs), legs))
    found = worst(straights, parlays, 5_000)
    assert not found.exact
    assert found.states <= 5_000
    assert found.loss < bound((straights, parlays))


def test_void_can_be_the_worst_outcome() -> None:
    """The book wins whoever wins: only a void market leaves it with a parlay to pay and no stakes to pay it from."""
    legs = [StruckLeg("m", "m.a", 2.0), StruckLeg("n", "n.a", 3.0)]
    case = {"m": Straight(9_000, {"m.a": 2_000, "m.b": 1_000}), "n": Straight(0, {})}, [parlay(1, 100, 500, legs)]
    assert worst(*case, STATES).loss == enumerated(case) == 200
