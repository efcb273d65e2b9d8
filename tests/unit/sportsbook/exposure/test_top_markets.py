"""Which markets of a scope are shown: always the highest, whatever was watched."""

from random import Random

import pytest

from fire22.sportsbook.exposure.netting import MarketBook, ScopeBook
from fire22.sportsbook.exposure.top_markets import Ranking


@pytest.mark.parametrize("seed", range(5))
def test_the_highest_are_those_of_a_sort_of_all(seed: int) -> None:
    """Markets rise and fall, come and go: what is shown does not depend on the way there."""
    random = Random(seed)
    markets: dict[str, MarketBook] = {}
    scope, ranking = ScopeBook("/", (), markets), Ranking()
    markets.update((f"m{number:02}", MarketBook(f"m{number:02}")) for number in range(40))
    placed: list[tuple[str, int, int]] = []
    for _ in range(300):
        moved = set()
        for _ in range(random.randrange(6)):
            if placed and random.random() < 0.5:
                id, cash, profit = placed.pop(random.randrange(len(placed)))
                markets[id].take(scope.chain, 0, cash, profit)
            else:
                id, cash, profit = random.choice(sorted(markets)), random.randrange(3), random.randrange(1, 9)
                placed.append((id, cash, profit))
                markets[id].add(scope.chain, markets[id].place("a"), cash, profit)
            moved.add(id)
        ranking.moved(sorted(moved), scope)
        nets = {id: scope.net(id) for id in {id for id, _, _ in placed}}
        expected = sorted(nets, key=lambda id: (-nets[id].liability, -nets[id].risk, id))
        assert ranking.top(5, scope) == expected[:5]
        assert ranking.markets.keys() == nets.keys()
