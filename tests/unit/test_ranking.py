"""Which markets of a scope are shown: always the highest, whatever was watched."""

from random import Random

import pytest

from fire22.sportsbook.netting import RISK, MarketBook, ScopeBook, liability
from fire22.sportsbook.ranking import Ranking


@pytest.mark.parametrize("seed", range(5))
def test_the_highest_are_those_of_a_sort_of_all(seed: int) -> None:
    """Markets rise and fall, come and go: what is shown does not depend on the way there."""
    random = Random(seed)
    scope, ranking = ScopeBook("/"), Ranking()
    markets = {f"m{number:02}": MarketBook(f"m{number:02}") for number in range(40)}
    placed: list[tuple[str, int, int]] = []
    for _ in range(300):
        moved = set()
        for _ in range(random.randrange(6)):
            if placed and random.random() < 0.5:
                id, cash, paid = placed.pop(random.randrange(len(placed)))
                markets[id].net((scope,), 4, -cash, -paid, surely=0)
            else:
                id, cash, paid = random.choice(sorted(markets)), random.randrange(3), random.randrange(1, 9)
                placed.append((id, cash, paid))
                markets[id].net((scope,), markets[id].place("a"), cash, paid, surely=0)
            moved.add(id)
        ranking.moved(sorted(moved), scope)
        rows = {id: of.row(scope) for id, of in scope.markets.items()}
        expected = sorted(rows, key=lambda id: (-liability(rows[id]), -rows[id][RISK], id))
        assert ranking.top(5, scope) == expected[:5]
