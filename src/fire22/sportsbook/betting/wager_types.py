"""The types of wagers: what a stake of 1 returns, by the results of the legs. An entry in `_ALL` is all that adds one.

A leg multiplies what is staked on it (`settlement.multiplier`); a type says how the legs are put together:

- `straight`, `parlay`: the product of the legs. A void leg multiplies with 1, so it drops out.
- `round_robin`, and the system bets that have names: the stake is shared evenly by all parlays of the sizes `by`.
- `teaser`: the lines were moved by `points`, and the price follows from the number of teams (`pays`), not from the
  legs. A leg's result is that of its moved line. A tie goes by the rule `ties`: `push` takes the team out, `loss` and
  `win` count as such. With fewer than two teams left the stake goes back.
- `if_bet`: the stake is on the first leg; where that has won, the same stake is on the next one, out of what came back,
  and so on. `ties` says whether a tie goes on (`go`) or ends it (`stop`).
- `reverse`: an if-bet of each two legs in each order; the stake is shared evenly.
- `each_way`: half of the stake on the legs to win, half on each of them to be placed, at the `fraction` of the odds for
  the first `places`. The half on the places has results of its own.

A wager is open as long as any part of it is. What it wins is what it returns where every leg wins; no other result
returns more.

Limits: no bonus for one winner or for all of a lucky 15, no progressive parlay; half results and dead heats have no
place in a teaser, and are refused.

Rejected: a class for each type, since all of them are one function each; paying a type that is not known here as a
parlay, which pays what nobody has agreed.

Source: domain rules, "Settlement", "Parlay"; the rules that bookmakers publish for the others (J).
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations, permutations
from math import comb
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.errors import RequestError
from fire22.sportsbook.betting import codes
from fire22.sportsbook.betting.bounds import LEGS_MAX
from fire22.sportsbook.betting.errors import AmountError
from fire22.sportsbook.betting.odds import parse_odds
from fire22.sportsbook.betting.settlement import NONE, ONE, PUSH, WIN, GradedLeg, LegResult, multiplier
from fire22.sportsbook.betting.terms import NO_TERMS, Terms

PARLAYS_MAX: Final = 5_000  # of one wager

Share = tuple[Fraction, tuple[int, ...]]  # of the stake, on a parlay of these legs


class Slip(Struct, frozen=True):
    """What a type works on.

    Args:
        full: what a stake of 1 returns where every leg wins, as it was written down; where no pay table says it.
    """

    legs: tuple[GradedLeg, ...]
    terms: Terms = NO_TERMS
    full: Fraction | None = None

    def won(self) -> "Slip":
        """The same with every leg won."""
        legs = tuple([msgspec.structs.replace(leg, result=WIN, place=WIN) for leg in self.legs])
        return msgspec.structs.replace(self, legs=legs)


class WagerType(Struct, frozen=True):
    """One type.

    Args:
        label: for people.
        returns: what a stake of 1 returns; None while a part of it is open.
        legs_min, legs_max: how many legs it has.
        takes: the terms it has.
        needs: those it cannot be without.
        by: the sizes of its parlays where the type says them.
        is_parlays: whether it is a sum of parlays at the odds of their legs.
    """

    name: str
    label: str
    returns: Callable[[Slip], Fraction | None]
    legs_min: int = 1
    legs_max: int = LEGS_MAX
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    by: tuple[int, ...] = ()
    is_parlays: bool = False


def known(name: str) -> WagerType | None:
    """A type by its name, or by another that is in use for it."""
    lower = name.lower()
    return TYPES.get(lower) or TYPES.get(_ALSO.get(lower, ""))


def type_of(name: str, terms: Terms, legs: int) -> WagerType:
    """A type that can have such legs and terms.

    Raises:
        RequestError: `wager_type_unknown`, or `wager_invalid` with what is wrong.
    """
    found = known(name)
    if found is None:
        message = f"Nobody knows wagers of the type {name[:64]!r} here; known are: {', '.join(TYPES)}."
        raise RequestError(codes.WAGER_TYPE_UNKNOWN, message, details={"type": name[:64]})
    if not found.legs_min <= legs <= found.legs_max:
        count = f"{found.legs_min}" if found.legs_min == found.legs_max else f"{found.legs_min} to {found.legs_max}"
        raise invalid(f"A wager of the type {found.name} has {count} legs, not {legs}.")
    missing = [each for each in found.needs if not getattr(terms, each)]
    if missing:
        raise invalid(f"A wager of the type {found.name} needs the terms {', '.join(missing)}.")
    if found.is_parlays:
        sizes = _sizes(found, terms, legs)
        if any(not 1 <= size <= legs for size in sizes) or len(set(sizes)) < len(sizes):
            raise invalid(f"`by` are different sizes from 1 to {legs}, not {', '.join(map(str, sizes))}.")
        if sum(comb(legs, size) for size in sizes) > PARLAYS_MAX:
            raise invalid(f"A wager is of at most {PARLAYS_MAX} parlays.")
    if found.name == "teaser":
        _check_ties(terms.ties, _TEASER_TIES)
        for each in (terms.pays or {}).values():
            _price(each)
    elif found.name in ("if_bet", "reverse"):
        _check_ties(terms.ties, _IF_TIES)
    elif found.name == "each_way":
        place_fraction(terms)
    return found


def parlays(type: WagerType, terms: Terms, legs: int) -> list[Share]:
    """The parlays that a wager is the sum of, each with its share of the stake.

    Raises:
        AssertionError: the type is no sum of parlays.
    """
    if not type.is_parlays:
        raise AssertionError(f"a wager of the type {type.name} is no sum of parlays")
    picks = [pick for size in _sizes(type, terms, legs) for pick in combinations(range(legs), size)]
    share = Fraction(1, len(picks))
    return [(share, pick) for pick in picks]


def place_fraction(terms: Terms) -> Fraction:
    """The share of the odds that a place pays.

    Raises:
        RequestError: `wager_invalid`.
    """
    over, _, under = terms.fraction.partition("/")
    if not (over.isascii() and over.isdigit() and under.isascii() and under.isdigit() and len(terms.fraction) <= 9):
        raise invalid(f"The fraction of the odds that a place pays is like 1/5, not {terms.fraction[:20]!r}.")
    if not 0 < int(over) <= int(under):
        raise invalid(f"A place pays a part of the odds, not {terms.fraction}.")
    return Fraction(int(over), int(under))


def describe(type: str, terms: Terms) -> str:
    """A type and its terms for people: `Round robin by 2s and 3s`."""
    found = known(type)
    label = found.label if found is not None else type
    if terms.by:
        label += f" by {' and '.join(f'{size}s' for size in terms.by)}"
    if terms.points:
        label += f", {terms.points:g} points"
    if terms.fraction:
        label += f", {terms.fraction} for {terms.places} places"
    return label


def invalid(message: str) -> RequestError:
    """A wager that cannot be what it says (`wager_invalid`)."""
    return RequestError(codes.WAGER_INVALID, message)


# What each type returns.


def _product(factors: Iterable[Fraction | None]) -> Fraction | None:
    """One that is lost loses all, whatever is open."""
    product, is_open = ONE, False
    for factor in factors:
        if factor is None:
            is_open = True
        elif not factor:
            return NONE
        else:
            product *= factor
    return None if is_open else product


def _mean(returned: Sequence[Fraction | None]) -> Fraction | None:
    """The stake is shared evenly."""
    total = NONE
    for each in returned:
        if each is None:
            return None
        total += each
    return total / len(returned)


def _factor(leg: GradedLeg) -> Fraction | None:
    return None if leg.result is None else multiplier(leg.odds, leg.result)


def _parlay(slip: Slip) -> Fraction | None:
    return _product(map(_factor, slip.legs))


def _round_robin(sizes: tuple[int, ...], slip: Slip) -> Fraction | None:
    """The sum over all parlays of a size is the elementary symmetric polynomial of the factors."""
    factors = [_factor(leg) for leg in slip.legs]
    alive = [each for each in factors if each != 0]
    if None in alive and len(alive) >= min(sizes):
        return None
    largest = max(sizes)
    sums = [ONE, *[NONE] * largest]
    for factor in alive:
        if factor is not None:
            for size in range(largest, 0, -1):
                sums[size] += sums[size - 1] * factor
    return sum((sums[size] for size in sizes), start=NONE) / sum(comb(len(factors), size) for size in sizes)


def _teaser(slip: Slip) -> Fraction | None:
    results = [_tied(leg.result, slip.terms.ties) for leg in slip.legs]
    if any(each is not None and not each.won and not each.void for each in results):
        return NONE
    if None in results:
        return None
    teams = sum(each is not None and each.won for each in results)
    if teams < 2:
        return ONE
    pays = (slip.terms.pays or {}).get(str(teams))
    if pays is not None:
        return _price(pays)
    if teams == len(slip.legs) and slip.full is not None:
        return slip.full
    raise invalid(f"The pay table of the teaser has no price for {teams} teams.")


def _tied(result: LegResult | None, ties: str) -> LegResult | None:
    """The result of a teaser's leg, by the rule for ties."""
    if result is None or result.void == 0:
        if result is not None and (result.dead_heat != 1 or result.deduction):
            raise invalid("A leg of a teaser wins, loses or ties whole.")
        return result
    if result.void != 1:
        raise invalid("A leg of a teaser wins, loses or ties whole.")
    return {"loss": LegResult(won=False), "win": WIN}.get(ties, PUSH)


def _if_bet(slip: Slip) -> Fraction | None:
    returned = ONE
    for leg in slip.legs:
        factor = _factor(leg)
        if factor is None:
            return None
        returned += factor - 1
        if factor < 1 or (factor == 1 and slip.terms.ties != "go"):
            break
    return returned


def _reverse(slip: Slip) -> Fraction | None:
    pairs = [msgspec.structs.replace(slip, legs=pair) for pair in permutations(slip.legs, 2)]
    return _mean([_if_bet(pair) for pair in pairs])


def _each_way(slip: Slip) -> Fraction | None:
    fraction = place_fraction(slip.terms)
    places = [_place_factor(leg, fraction) for leg in slip.legs]
    return _mean([_parlay(slip), _product(places)])


def _place_factor(leg: GradedLeg, fraction: Fraction) -> Fraction | None:
    """Whoever has won is placed, and who did not run has no place to lose."""
    result, place = leg.result, leg.place
    if place is None and result is not None and (result.won or result.void == 1):
        place = LegResult(won=result.won, void=result.void, deduction=result.deduction)
    return None if place is None else multiplier(1 + (leg.odds - 1) * fraction, place)


def _price(text: str) -> Fraction:
    try:
        return parse_odds(text)
    except AmountError as error:
        raise invalid(f"The pay table of the teaser cannot be read: {error.message}.") from None


def _sizes(type: WagerType, terms: Terms, legs: int) -> tuple[int, ...]:
    return type.by or terms.by or (legs,)


def _check_ties(ties: str, allowed: tuple[str, ...]) -> None:
    if ties not in ("", *allowed):
        raise invalid(f"The rule for ties is one of {', '.join(allowed)}, not {ties[:20]!r}.")


_TEASER_TIES: Final = ("push", "loss", "win")
_IF_TIES: Final = ("stop", "go")


def _system(name: str, label: str, legs: int, first: int) -> WagerType:
    """A system bet: all parlays of its legs from a size on."""
    sizes = tuple(range(first, legs + 1))

    def returns(slip: Slip) -> Fraction | None:
        return _round_robin(sizes, slip)

    return WagerType(name, label, returns, legs, legs, by=sizes, is_parlays=True)


_ALL: Final = (
    WagerType("straight", "Straight", _parlay, legs_max=1, is_parlays=True),
    WagerType("parlay", "Parlay", _parlay, is_parlays=True),
    WagerType(
        "round_robin",
        "Round robin",
        lambda slip: _round_robin(slip.terms.by, slip),
        2,
        takes=("by",),
        needs=("by",),
        is_parlays=True,
    ),
    _system("trixie", "Trixie", 3, 2),
    _system("patent", "Patent", 3, 1),
    _system("yankee", "Yankee", 4, 2),
    _system("lucky_15", "Lucky 15", 4, 1),
    _system("canadian", "Canadian", 5, 2),
    _system("lucky_31", "Lucky 31", 5, 1),
    _system("heinz", "Heinz", 6, 2),
    _system("lucky_63", "Lucky 63", 6, 1),
    _system("super_heinz", "Super Heinz", 7, 2),
    _system("goliath", "Goliath", 8, 2),
    WagerType("teaser", "Teaser", _teaser, 2, takes=("points",)),
    WagerType("if_bet", "If-bet", _if_bet, 2, takes=("ties",)),
    WagerType("reverse", "Reverse", _reverse, 2, 12, takes=("ties",)),
    WagerType("each_way", "Each way", _each_way, takes=("fraction", "places"), needs=("fraction", "places")),
)
TYPES: Final[dict[str, WagerType]] = {each.name: each for each in _ALL}
_ALSO: Final = {
    "single": "straight",
    "accumulator": "parlay",
    "multiple": "parlay",
    "double": "parlay",
    "treble": "parlay",
    "super_yankee": "canadian",
}
_NAMES: Final = ("straight", "parlay", *[also for also, name in _ALSO.items() if name in ("straight", "parlay")])
# The names of what a figure may take for the product of its legs, by their number.
PLAIN: Final = frozenset(["", *[form for name in _NAMES for form in (name, name.capitalize(), name.upper())]])
