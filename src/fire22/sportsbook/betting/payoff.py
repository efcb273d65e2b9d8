"""What a wager pays: what was agreed, by the results of its legs; rounded half up once, at the end.

Two things say what a wager wins: the amount that was written down (`to_win`), and the arithmetic of its type at the
prices struck. They are the same but for rounding: of the amount to a minor unit, and of the prices to six decimals. A
wager that wins whole then pays the amount, to the minor unit. Where they differ by more, nobody can know which of them
the customer was told, and a settlement that depends on it is refused with both; unless the amount itself was agreed
(`terms.agreed`: somebody has changed what the wager wins), which then holds. A straight wager is then of the odds that
the amount says; in other types what is won grows or shrinks by the same ratio.

A free play is staked with the book's own money: it returns its profit only.

Source: domain rules, "Settlement", "Free play".
"""

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Final

import msgspec
from msgspec import Struct

from fire22.core.errors import Details, RequestError
from fire22.sportsbook.betting import codes
from fire22.sportsbook.betting.errors import AmountError, StateError
from fire22.sportsbook.betting.money import half_up
from fire22.sportsbook.betting.settlement import ONE, GradedLeg, LegResult, Result, Settlement, customer_profit_minor
from fire22.sportsbook.betting.terms import NO_TERMS, Terms
from fire22.sportsbook.betting.wager_types import Slip, WagerType, type_of

PRICE_STEP: Final = Fraction(1, 2_000_000)  # half of the last of the six decimals that a book keeps of a price


class Bet(Struct, frozen=True):
    """A wager as it is paid.

    Args:
        legs: at least one; in the order of the wager.
        risk_minor: the whole stake, minor units; not negative.
        to_win_minor: the profit that was written down; None where none was.
        type: without it straight or a parlay, by the number of legs.
        free_play: the stake is the book's own.
    """

    legs: tuple[GradedLeg, ...]
    risk_minor: int
    to_win_minor: int | None = None
    type: str = ""
    terms: Terms = NO_TERMS
    free_play: bool = False

    def kind(self) -> WagerType:
        """Its type.

        Raises:
            AmountError: there is no leg, or the stake is negative.
            RequestError: `wager_type_unknown` or `wager_invalid`.
        """
        if not self.legs or self.risk_minor < 0:
            raise AmountError(
                f"a wager has a leg and a stake that is not negative: {len(self.legs)}, {self.risk_minor}"
            )
        return type_of(self.type or ("straight" if len(self.legs) == 1 else "parlay"), self.terms, len(self.legs))

    @property
    def full(self) -> Fraction | None:
        """What a stake of 1 returns where every leg wins, as it was written down."""
        if self.to_win_minor is None or not self.risk_minor:
            return None
        return 1 + Fraction(self.to_win_minor, self.risk_minor)


def to_win_minor(bet: Bet) -> int:
    """What a wager wins if every leg does, by its type and the prices struck; minor units.

    Raises:
        RequestError: `wager_type_unknown`, or `wager_invalid`, also where its terms do not say what it wins.
    """
    return half_up(bet.risk_minor * (_all_won(bet.kind(), Slip(bet.legs, bet.terms)) - 1))


def is_as_struck(bet: Bet) -> bool:
    """Whether what was written down is what the type's arithmetic says, but for rounding; so if nothing was written.

    Raises:
        RequestError: as `to_win_minor`.
    """
    kind = bet.kind()
    return _agrees(bet, _all_won(kind, Slip(bet.legs, bet.terms, bet.full)))


def part(bet: Bet, risk_minor: int) -> Bet:
    """A part of a wager whose amount to win is known: it wins its share of what the whole wager won at first.

    That is kept in `terms.won_per`, so that however often a wager is divided, each part is rounded once.

    Args:
        risk_minor: the stake of the part; positive, and not more than the wager's.
    """
    if bet.to_win_minor is None:
        raise AmountError("a wager of which nobody says what it wins cannot be divided")
    ratio = _fraction(bet.terms.won_per)
    if ratio is None or half_up(bet.risk_minor * ratio) != bet.to_win_minor:  # the first part, or amounts changed since
        ratio = Fraction(bet.to_win_minor, bet.risk_minor)
    terms = msgspec.structs.replace(bet.terms, won_per=f"{ratio.numerator}/{ratio.denominator}")
    share = msgspec.structs.replace(bet, risk_minor=risk_minor, to_win_minor=half_up(risk_minor * ratio), terms=terms)
    with suppress(RequestError):  # of a type that nobody knows there is the amount alone
        if is_as_struck(bet) and not is_as_struck(share):  # the whole was written with another rounding
            return msgspec.structs.replace(share, to_win_minor=to_win_minor(share))
    return share


def _fraction(text: str) -> Fraction | None:
    over, _, under = text.partition("/")
    return Fraction(int(over), int(under)) if over.isdecimal() and under.isdecimal() and int(under) else None


def returned(bet: Bet) -> Fraction | None:
    """What a wager returns, unrounded and with its stake also where that was the book's own; None while it is open.

    Raises:
        RequestError: `wager_type_unknown`, `wager_invalid`, or `payout_disputed` with what each of the two says.
    """
    claims = _claims(bet)
    if claims is None:
        return None
    agreed, struck = claims
    if half_up(agreed) == half_up(struck):
        return agreed
    all_won = _all_won(bet.kind(), Slip(bet.legs, bet.terms, bet.full))
    to_win = bet.to_win_minor or 0, half_up(bet.risk_minor * (all_won - 1))
    raise _disputed(to_win, (half_up(agreed), half_up(struck)))


def at_most(bet: Bet) -> Fraction | None:
    """What a wager returns at most, as `returned`: where that is disputed, the greater of the two.

    Raises:
        RequestError: `wager_type_unknown` or `wager_invalid`.
    """
    claims = _claims(bet)
    return None if claims is None else max(claims)


def gain(bet: Bet) -> Fraction:
    """How many times the profit that a parlay's prices give is what it wins at most; 1 where the two agree.

    Raises:
        RequestError: as `to_win_minor`.
    """
    kind = bet.kind()
    all_won = _all_won(kind, Slip(bet.legs, bet.terms, bet.full))
    if bet.to_win_minor is None or not bet.risk_minor or _agrees(bet, all_won):
        return ONE
    ratio = Fraction(bet.to_win_minor) / (bet.risk_minor * (all_won - 1))
    return ratio if bet.terms.agreed else max(ONE, ratio)


def _claims(bet: Bet) -> tuple[Fraction, Fraction] | None:
    """What a wager returns by the amount that was written down, and by its prices; None while it is open.

    They are the same where the two agree, or where the amount itself was agreed on.
    """
    kind = bet.kind()
    slip = Slip(bet.legs, bet.terms, bet.full)
    factor = kind.returns(slip)
    if factor is None:
        return None
    all_won = _all_won(kind, slip)
    struck = bet.risk_minor * factor
    if bet.to_win_minor is None:
        return struck, struck
    if _agrees(bet, all_won):
        pays = Fraction(bet.risk_minor + bet.to_win_minor) if factor == all_won else struck
        return pays, pays
    agreed = _by_agreement(bet, kind, factor, all_won)
    return agreed, agreed if bet.terms.agreed else struck


def settle(bet: Bet) -> Settlement:
    """Settle a wager.

    Returns:
        The first settlement; `settlement.post` compares it with one before it.

    Raises:
        AmountError: there is no leg, or the stake is negative.
        StateError: the wager is not decided.
        RequestError: as `returned`.
    """
    exact = returned(bet)
    if exact is None:
        raise StateError("accepted", "settled", "a leg has no result.")
    gross = half_up(exact)
    paid = max(0, gross - bet.risk_minor) if bet.free_play else gross
    counted = [leg.result for leg in bet.legs if leg.result is not None and leg.result.void != 1]
    profit = customer_profit_minor(bet.risk_minor, paid, free_play=bet.free_play)
    return Settlement(_word(bet, counted, exact), len(counted), paid, profit)


def extremes(bet: Bet) -> tuple[Fraction, Fraction]:
    """What a wager returns at worst and at best from here on: every leg without a result loses, or every one wins.

    Raises:
        RequestError: as `returned`.
    """
    ends = []
    for result in (LegResult(won=False), LegResult(won=True)):
        legs = [_ended(leg, result) for leg in bet.legs]
        end = returned(msgspec.structs.replace(bet, legs=tuple(legs)))
        if end is None:
            raise AssertionError("a wager is open though each of its legs has a result")
        ends.append(end)
    return ends[0], ends[1]


def _ended(leg: GradedLeg, result: LegResult) -> GradedLeg:
    place = leg.place
    if place is None and (leg.result is None or not leg.result.won):
        place = result if leg.result is None or leg.result.void != 1 else leg.result
    return msgspec.structs.replace(leg, result=leg.result or result, place=place)


def _all_won(kind: WagerType, slip: Slip) -> Fraction:
    won = kind.returns(slip.won())
    if won is None:
        raise AssertionError("a wager is open though each of its legs has won")
    return won


def _agrees(bet: Bet, all_won: Fraction) -> bool:
    """Whether the amount that was written down is what the prices say, but for rounding."""
    if bet.to_win_minor is None:
        return True
    legs = tuple([msgspec.structs.replace(leg, odds=leg.odds + PRICE_STEP) for leg in bet.legs])
    step = _all_won(bet.kind(), Slip(legs, bet.terms, bet.full)) - all_won
    return abs(bet.to_win_minor - bet.risk_minor * (all_won - 1)) <= 1 + bet.risk_minor * step


def _by_agreement(bet: Bet, kind: WagerType, factor: Fraction, all_won: Fraction) -> Fraction:
    """What the amount that was written down says a wager returns."""
    if bet.to_win_minor is None or bet.full is None:
        return bet.risk_minor * factor
    if kind.name == "straight" and bet.to_win_minor:
        leg = msgspec.structs.replace(bet.legs[0], odds=bet.full)
        again = kind.returns(Slip((leg,), bet.terms))
        if again is None:
            raise AssertionError("a wager is open at other odds alone")
        return bet.risk_minor * again
    if factor <= 1:
        return bet.risk_minor * factor
    return bet.risk_minor + (factor - 1) / (all_won - 1) * bet.to_win_minor


def _disputed(to_win: tuple[int, int], returned: tuple[int, int]) -> RequestError:
    """Both figures: as written down, and as the prices say."""
    message = (
        f"The wager was written to win {to_win[0]}, its prices say {to_win[1]}: it would return {returned[0]} or"
        f" {returned[1]}. Say which holds (wager.modify), then settle it."
    )
    details: Details = {
        "toWinMinor": to_win[0],
        "struckToWinMinor": to_win[1],
        "returnMinor": returned[0],
        "struckReturnMinor": returned[1],
    }
    return RequestError(codes.PAYOUT_DISPUTED, message, details=details)


def _word(bet: Bet, counted: Sequence[LegResult], returned: Fraction) -> Result:
    """The word for a wager: of its one leg that counts; of several by whether the stake grew."""
    if not counted:
        return "push"
    if len(counted) == 1 and bet.kind().name in ("straight", "parlay"):
        return counted[0].name
    if returned == bet.risk_minor:
        return "push"
    return "win" if returned > bet.risk_minor else "loss"
