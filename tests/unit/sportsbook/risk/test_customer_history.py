"""What is remembered of a customer: bets and results in the order of their times, whole again after it was stored."""

from random import Random

import msgspec
import pytest

from fire22.sportsbook.risk.customer_history import (
    BETS_KEPT,
    IDS_KEPT,
    RESULTS_KEPT,
    CustomerHistory,
    player_of,
    player_row,
)


def stored(player: CustomerHistory) -> CustomerHistory:
    """A player as it comes back from storage."""
    return player_of(CustomerHistory, msgspec.msgpack.decode(msgspec.msgpack.encode(player_row(player))))


@pytest.mark.parametrize("seed", range(5))
def test_bets_are_kept_by_their_times(seed: int) -> None:
    """However late each is told, the newest are kept in order, each knows its place, and the last few their ids."""
    random = Random(seed)
    player, told = CustomerHistory(), list[tuple[int, int]]()
    for number in range(120):
        told.append((random.randrange(200), number))
        place = player.bet(told[-1][0], number, f"w{number}")
        newest = sorted(told, key=lambda one: one[0])[-BETS_KEPT:]
        assert list(zip(player.times, player.stakes, strict=True)) == newest, f"seed {seed}"
        assert player.ids == [f"w{stake}" for _, stake in newest[-IDS_KEPT:]]
        assert (newest[place] if place >= 0 else None) == (told[-1] if told[-1] in newest else None)
        if random.random() < 0.1:
            player = stored(player)
    assert player.told == 120
    assert player.since_ms == min(at for at, _ in told)


@pytest.mark.parametrize("seed", range(5))
def test_results_are_kept_by_their_times(seed: int) -> None:
    """The newest are kept in order; of the last few up to a time it is known which were lost, or that they are not."""
    random = Random(seed)
    player, told = CustomerHistory(), list[tuple[int, str]]()
    for number in range(60):
        told.append((random.randrange(100), random.choice(("", f"w{number}"))))
        player.result(*told[-1])
        newest = sorted(told, key=lambda one: one[0])[-RESULTS_KEPT:]
        upto, count = random.randrange(100), random.randrange(1, 5)
        known = [id for at, id in newest if at <= upto]
        expected = [id for id in known[-count:] if id] if len(known) >= count else None
        assert player.lost_of(count, upto) == expected, f"seed {seed}"
        if random.random() < 0.1:
            player = stored(player)
