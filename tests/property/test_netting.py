"""Nets that scopes share, against each scope's own sums over nothing but the list of open wagers."""

from random import Random

import pytest
from msgspec import Struct

from fire22.core.scope import covers
from fire22.sportsbook.betting.facts import SelectionResult
from fire22.sportsbook.exposure.books import Books
from fire22.sportsbook.exposure.parlay import results_of
from fire22.sportsbook.registry.open_wager import OpenWager, StruckLeg

PATHS = [
    "/",
    *(f"/M{m}" for m in range(3)),
    *(f"/M{m}/A{a}" for m in range(3) for a in range(3)),
    *(f"/M0/A0/S{s}/T/U{u}" for s in range(2) for u in range(2)),
]
SCOPES = [*PATHS, "/M0/A0/S0", "/M0/A0/S0/T", "/M0/A0/S1", "/M0/A0/S1/T"]
MARKETS = ["m0", "m1", "m2"]


class Sums(Struct):
    """What a scope sees of a market."""

    wagers: int = 0
    risk: int = 0
    known: int = 0
    links: int = 0
    paid: dict[str, int] = {}

    @property
    def liability(self) -> int:
        """L, by its definition."""
        return max(0, self.known) + max(0, max(self.paid.values(), default=0) - self.risk)


def sums(wagers: list[OpenWager], winners: dict[str, str], scope: str, market: str) -> Sums:
    """The slow way."""
    found = Sums()
    for wager in wagers:
        ids = [leg.market_id for leg in wager.legs]
        if not covers(scope, wager.path) or market not in ids:
            continue
        if len(ids) > 1:
            lost = any(winners.get(leg.market_id, leg.selection_id) != leg.selection_id for leg in wager.legs)
            found.links += not lost and market not in winners
            continue
        found.wagers += 1
        selection = wager.legs[0].selection_id
        if market in winners:
            found.known += wager.to_win if selection == winners[market] else -wager.cash
        else:
            found.risk += wager.cash
            found.paid[selection] = found.paid.get(selection, 0) + wager.cash + wager.to_win
    return found


def wager(random: Random, number: int, outcomes: int) -> OpenWager:
    """One of a few markets, or a parlay of two of them; few amounts, so that many are equal."""
    markets = random.sample(MARKETS, 2 if random.random() < 0.2 else 1)
    legs = tuple(StruckLeg(each, f"{each}.{random.randrange(outcomes)}", 2.0) for each in markets)
    risk, to_win = random.choice((0, 1, 2, 5)), random.choice((0, 1, 3, 8))
    cash = risk if random.random() < 0.8 else 0
    path = random.choice(PATHS)
    return OpenWager(f"w{number}", number, "C", "A", path, "", risk, cash, to_win, 0, 1, "web", "", legs)


@pytest.mark.parametrize("seed", range(20))
def test_every_scope_sees_its_own_sums(seed: int) -> None:
    """Wagers come and go, paths part and are forgotten, results are told and taken back: no net says anything else."""
    random = Random(seed)
    books, winners = Books(), dict[str, str]()
    outcomes, crowd = random.choice((2, 3, 20)), random.choice((2, 10, 40))
    open: list[OpenWager] = []
    for number in range(400):
        if len(open) > random.randrange(crowd):
            books.take(open.pop(random.randrange(len(open))))
        else:
            open.append(wager(random, number, outcomes))
            books.add(open[-1])
        if random.random() < 0.03:
            result(books, winners, random.choice(MARKETS), random.randrange(outcomes), outcomes)
        books.take_touched()
        scope = random.choice(SCOPES)
        seen = {market: sums(open, winners, scope, market) for market in MARKETS}
        for market, expected in seen.items():
            check(books, scope, market, expected)
        book = books.scope(scope)
        assert book.straight == sum(each.liability for each in seen.values())
        assert book.linked.markets == sum(each.links > 0 for each in seen.values())
    for one in open:
        books.take(one)
    assert not books.markets
    assert all(book.straight == book.potential == book.linked.markets == 0 for book in books.scopes.values())


def result(books: Books, winners: dict[str, str], market: str, number: int, outcomes: int) -> None:
    """A market gets its result, or what was told of it is taken back."""
    if winners.pop(market, None) is not None:
        books.result(market, None)
        return
    winners[market] = f"{market}.{number}"
    told = [SelectionResult(f"{market}.{each}", int(each == number)) for each in range(outcomes)]
    books.result(market, results_of((each.selection_id, each.result, each.void, each.dead_heat) for each in told))


def check(books: Books, scope: str, market: str, expected: Sums) -> None:
    """What a scope sees of a market."""
    book = books.scope(scope)
    net = book.net(market)
    assert (net.straight, net.risk, net.known, net.links) == (
        expected.wagers, expected.risk, expected.known, expected.links
    )  # fmt: skip
    assert net.liability == expected.liability
    assert net.is_nothing == (not (expected.known or expected.links or any(expected.paid.values())))
    of = books.markets.get(market)
    if of is not None:
        paid = {selection: net.payout(place) for selection, place in of.places.items()}
        assert {each: amount for each, amount in paid.items() if amount} == {
            each: amount for each, amount in expected.paid.items() if amount
        }
