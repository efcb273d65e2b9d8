"""Every type of wager against an enumeration that knows nothing of polynomials: each bet of it, one after the other."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations, permutations, product
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fire22.sportsbook.betting.money import half_up
from fire22.sportsbook.betting.payoff import Bet, extremes, is_as_struck, part, returned, settle, to_win_minor
from fire22.sportsbook.betting.settlement import HALF_LOSS, HALF_WIN, LOSS, PUSH, WIN, GradedLeg, LegResult
from fire22.sportsbook.betting.terms import Terms
from fire22.sportsbook.betting.wager_types import TYPES
from tests.unit.sportsbook.exposure.test_flow import Book

ONE = Fraction(1)
FIFTH = Fraction(1, 5)
SIZES = {
    "trixie": (2, 3), "patent": (1, 2, 3), "yankee": (2, 3, 4), "lucky_15": (1, 2, 3, 4), "canadian": (2, 3, 4, 5),
    "lucky_31": (1, 2, 3, 4, 5), "heinz": (2, 3, 4, 5, 6), "lucky_63": (1, 2, 3, 4, 5, 6),
    "super_heinz": (2, 3, 4, 5, 6, 7), "goliath": (2, 3, 4, 5, 6, 7, 8),
}  # fmt: skip
BETS = {
    "trixie": 4, "patent": 7, "yankee": 11, "lucky_15": 15, "canadian": 26, "lucky_31": 31, "heinz": 57,
    "lucky_63": 63, "super_heinz": 120, "goliath": 247,
}  # fmt: skip
TABLE = {"2": Fraction(21, 11), "3": Fraction(26, 10), "4": Fraction(365, 100)}
WHOLE = (WIN, LOSS, PUSH)
RESULTS = (*WHOLE, HALF_WIN, HALF_LOSS, LegResult(won=True, dead_heat=Fraction(1, 3)))
RULE_4 = (*RESULTS, LegResult(won=True, deduction=Fraction(1, 4)))


def pays(odds: Fraction, result: LegResult) -> Fraction:
    """What 1 on a leg comes back as: the void part as it is, of the rest the share in play at what the odds leave."""
    if result.void == 1:
        return ONE
    back = result.void
    if result.won:
        back += (1 - result.void) * result.dead_heat * (odds - (odds - 1) * result.deduction)
    return back


def through(legs: Sequence[Fraction]) -> Fraction:
    """What 1 comes back as that is carried from leg to leg."""
    stake = ONE
    for each in legs:
        stake *= each
    return stake


def by_sizes(legs: Sequence[GradedLeg], sizes: Sequence[int]) -> Fraction:
    """Each parlay of each size, with the same stake."""
    each = [through(pick) for size in sizes for pick in combinations([back(leg) for leg in legs], size)]
    return sum(each, start=Fraction(0)) / len(each)


def back(leg: GradedLeg) -> Fraction:
    """What 1 on a leg to win comes back as."""
    assert leg.result is not None
    return pays(leg.odds, leg.result)


def placed(leg: GradedLeg) -> Fraction:
    """What 1 on a leg to be placed comes back as."""
    assert leg.place is not None
    return pays(1 + (leg.odds - 1) * FIFTH, leg.place)


def if_bet(legs: Sequence[GradedLeg], *, goes_on: bool) -> Fraction:
    """Money in hand: 1 at first; each bet takes 1 out of it while the one before has won."""
    hand = ONE
    for leg in legs:
        hand = hand - 1 + back(leg)
        if back(leg) < 1 or (back(leg) == 1 and not goes_on):
            break
    return hand


def teaser(legs: Sequence[GradedLeg], ties: str) -> Fraction:
    """By the number of teams that won, ties taken out or counted as the rule says."""
    words = [leg.result for leg in legs]
    if LOSS in words or (ties == "loss" and PUSH in words):
        return Fraction(0)
    teams = len(words) if ties == "win" else words.count(WIN)
    return TABLE[str(teams)] if teams > 1 else ONE


def oracle(type: str, legs: Sequence[GradedLeg], terms: Terms) -> Fraction:
    """What a stake of 1 returns."""
    if type in ("straight", "parlay"):
        return through([back(leg) for leg in legs])
    if type == "round_robin":
        return by_sizes(legs, terms.by)
    if type in SIZES:
        return by_sizes(legs, SIZES[type])
    if type == "teaser":
        return teaser(legs, terms.ties)
    if type == "if_bet":
        return if_bet(legs, goes_on=terms.ties == "go")
    if type == "reverse":
        pairs = [if_bet(pair, goes_on=terms.ties == "go") for pair in permutations(legs, 2)]
        return sum(pairs, start=Fraction(0)) / len(pairs)
    assert type == "each_way"
    return (through([back(leg) for leg in legs]) + through([placed(leg) for leg in legs])) / 2


def drawn(random: Random, type: str) -> tuple[list[GradedLeg], Terms]:
    """A wager of a type with results of every kind."""
    kind = TYPES[type]
    count = random.randint(kind.legs_min, min(kind.legs_max, 8))
    terms = Terms()
    results: Sequence[LegResult] = RULE_4
    if type == "round_robin":
        terms = Terms(by=tuple(random.sample(range(1, count + 1), random.randint(1, count))))
    elif type == "teaser":
        count, results = random.randint(2, 4), WHOLE
        table = {"2": "-110", "3": "+160", "4": "+265"}
        terms = Terms(points=6.0, pays=table, ties=random.choice(("push", "loss", "win", "")))
    elif type in ("if_bet", "reverse"):
        count, terms = random.randint(2, 4), Terms(ties=random.choice(("", "stop", "go")))
    elif type == "each_way":
        count, terms = random.randint(1, 4), Terms(fraction="1/5", places=3)
    legs = [
        GradedLeg(Fraction(random.randint(101, 900), 100), random.choice(results), random.choice(RESULTS))
        for _ in range(count)
    ]
    return legs, terms


@pytest.mark.parametrize("type", TYPES)
def test_a_type_pays_what_all_its_bets_pay(type: str) -> None:
    """A customer gets the sum of what each bet of the wager returns, rounded once, in all results."""
    random = Random(f"types {type}")
    for number in range(60):
        legs, terms = drawn(random, type)
        risk = random.randint(0, 10**7)
        exact = oracle(type, legs, terms)
        settled = settle(Bet(tuple(legs), risk, type=type, terms=terms))
        assert settled.return_minor == half_up(risk * exact), number
        free = settle(Bet(tuple(legs), risk, type=type, terms=terms, free_play=True))
        assert free.return_minor == max(0, settled.return_minor - risk)
        to_win = to_win_minor(Bet(tuple(legs), risk, type=type, terms=terms))
        agreed = settle(Bet(tuple(legs), risk, to_win, type, terms))
        assert abs(agreed.return_minor - settled.return_minor) <= 1  # the amount itself was rounded


@pytest.mark.parametrize("type", TYPES)
def test_a_type_is_open_until_nothing_can_change_it(type: str) -> None:
    """Whatever the open legs come to, what is decided stays, and lies between the worst and the best."""
    random = Random(f"open {type}")
    for number in range(40):
        legs, terms = drawn(random, type)
        opened = random.sample(range(len(legs)), random.randint(1, min(3, len(legs))))
        left = [GradedLeg(leg.odds) if at in opened else leg for at, leg in enumerate(legs)]
        bet = Bet(tuple(left), 1_000, type=type, terms=terms)
        found = returned(bet)
        low, high = extremes(bet)
        ends = []
        for results in product(WHOLE, repeat=len(opened)):
            ended = list(left)
            for at, result in zip(opened, results, strict=True):
                place = result if type == "each_way" else None
                ended[at] = GradedLeg(left[at].odds, result, place)
            ends.append(1_000 * oracle(type, ended, terms))
        assert low <= min(ends) and max(ends) <= high, number
        if found is not None:
            assert ends == [found] * len(ends), number


@pytest.mark.parametrize("type", BETS)
def test_a_system_is_of_so_many_bets(type: str) -> None:
    """A yankee is 11 bets: with one winner of a lucky 15 at 15.0, the one single pays the whole stake back."""
    assert sum(1 for size in SIZES[type] for _ in combinations(range(TYPES[type].legs_min), size)) == BETS[type]
    legs = [GradedLeg(Fraction(BETS[type]), WIN), *[GradedLeg(Fraction(2), LOSS)] * (TYPES[type].legs_min - 1)]
    single = 1 in SIZES[type]
    assert settle(Bet(tuple(legs), 1_000, type=type)).return_minor == (1_000 if single else 0)


@given(st.integers(1, 10**6), st.integers(101, 2_000), st.integers(0, 10**7))
def test_what_was_agreed_is_what_a_win_pays(risk: int, cents: int, to_win: int) -> None:
    """Whatever the price says: a whole win pays the amount, a half one half of it, a push the stake."""

    def paid(result: LegResult) -> int:
        bet = Bet((GradedLeg(Fraction(cents, 100), result),), risk, to_win, terms=Terms(agreed=True))
        return settle(bet).return_minor

    assert paid(WIN) == risk + to_win
    assert abs(2 * paid(HALF_WIN) - (2 * risk + to_win)) <= 2
    assert (paid(PUSH), paid(LOSS)) == (risk, 0)


# What the book may lose on them.

_MAKERS: dict[str, Callable[[Random], Terms]] = {
    "round_robin": lambda random: Terms(by=random.choice(((2,), (3,), (2, 3), (1, 3)))),
    "trixie": lambda _: Terms(),
    "patent": lambda _: Terms(),
    "parlay": lambda _: Terms(),
    "teaser": lambda _: Terms(points=6.0, pays={"2": "-110", "3": "+160"}),
    "if_bet": lambda _: Terms(),
    "reverse": lambda _: Terms(ties="go"),
    "each_way": lambda _: Terms(fraction="1/5", places=2),
}
EXACT = ("round_robin", "trixie", "patent", "parlay")


@pytest.mark.parametrize("seed", range(6))
def test_the_exposure_is_never_less_than_the_worst(seed: int) -> None:
    """Three markets, wagers of every type: the total is the worst of all joint outcomes where it says so, else more."""
    random = Random(f"exposure {seed}")
    for number in range(8):
        book = Book()
        bets: list[tuple[Bet, list[str], list[str]]] = []
        types = random.choice((EXACT, tuple(_MAKERS)))
        for market in ("m1", "m2", "m3"):
            book.market(market, f"{market}.a", f"{market}.b")
        for index in range(random.randint(1, 5)):
            type = random.choice(types)
            picks = [f"{market}.{random.choice('ab')}" for market in ("m1", "m2", "m3")]
            odds = [random.randint(110, 400) / 100 for _ in picks]
            legs = tuple(GradedLeg(Fraction(repr(each))) for each in odds)
            bet = Bet(legs, random.randint(100, 9_999), type=type, terms=_MAKERS[type](random))
            to_win = to_win_minor(bet)
            markets = ["m1", "m2", "m3"]
            legs_told = list(zip(markets, picks, odds, strict=True))
            terms = {name: value for name in Terms.__struct_fields__ if (value := getattr(bet.terms, name)) is not None}
            book.place(f"w{index}", bet.risk_minor, to_win, legs_told, type=type, terms=terms)
            bets.append((bet, picks, markets))
        for _ in range(4):
            book.step()
        worst, slack = 0, 0
        for joint in product(*[(f"{market}.a", f"{market}.b", "none", "void") for market in ("m1", "m2", "m3")]):
            lost = 0
            for bet, picks, _ in bets:
                results = [
                    PUSH if end == "void" else WIN if end == pick else LOSS
                    for end, pick in zip(joint, picks, strict=True)
                ]
                # A place may go as well as it can while its runner does not win.
                legs = tuple(
                    GradedLeg(leg.odds, result, PUSH if result is PUSH else WIN)
                    for leg, result in zip(bet.legs, results, strict=True)
                )
                lost += settle(Bet(legs, bet.risk_minor, type=bet.type, terms=bet.terms)).profit_minor
            worst = max(worst, lost)
        slack = sum(8 for _ in bets)
        shown = book.shown("/")
        total = round(shown["totalLiability"] * 100)
        assert worst <= total, (seed, number)
        if not shown["isBound"]:
            assert total <= worst + slack, (seed, number)
        assert shown["isBound"] is any(bet.type not in EXACT for bet, *_ in bets), (seed, number)


def test_a_type_that_nobody_knows_is_a_bound() -> None:
    """It counts with what it wins at most, and the total says that it is a bound, until the wager is over."""
    book = Book()
    book.market("m1", "a", "b")
    book.place("w1", 1_000, 5_000, [("m1", "a", 1.9)], type="progressive")
    book.place("w2", 1_000, 900, [("m1", "b", 1.9)])
    book.step()
    assert (book.shown("/")["totalLiability"], book.shown("/")["isBound"]) == (59.0, True)
    book.settle("w1", "loss", 0)
    book.step()
    assert (book.shown("/")["totalLiability"], book.shown("/")["isBound"]) == (9.0, False)


@pytest.mark.parametrize("seed", range(40))
def test_a_wager_that_is_divided_often_is_rounded_once(seed: int) -> None:
    """After any number of parts, each of them and the rest are within a minor unit of what they win, and are paid."""
    random = Random(seed)
    odds = Fraction(random.choice((21, 29, 40, 37)), random.choice((11, 12, 13)))
    risk = random.choice((10_000, 99_999, 5_000_000, 10**12))
    whole = Bet((GradedLeg(odds, WIN),), risk)
    exact = risk * (odds - 1)
    to_win = random.choice((to_win_minor(whole), int(exact), random.randint(1, 2 * risk)))
    agreed = abs(to_win - exact) >= 1
    whole = msgspec.structs.replace(whole, to_win_minor=to_win, terms=Terms(agreed=agreed))
    each = Fraction(to_win, risk) if agreed else odds - 1
    rest = whole
    for _ in range(200):
        if rest.risk_minor < 2:
            break
        taken = random.randint(1, max(1, rest.risk_minor // random.choice((1, 20))) - 1 or 1)
        share, rest = part(rest, taken), part(rest, rest.risk_minor - taken)
        for one in (share, rest):
            assert one.to_win_minor is not None
            assert abs(one.to_win_minor - one.risk_minor * each) <= 1
            assert agreed or is_as_struck(one)
            assert settle(one).return_minor == one.risk_minor + one.to_win_minor
