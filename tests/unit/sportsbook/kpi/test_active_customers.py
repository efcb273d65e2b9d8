"""Active players: distinct customers in the trailing window, for each scope."""

from random import Random

import pytest

from fire22.sportsbook.kpi.active_customers import WAGERED, Player, Window, names, new_player


class Players:
    """A window, and the players that it is told of by customer and path."""

    def __init__(self) -> None:
        self._window = Window(WAGERED)
        self._players: dict[tuple[str, str], Player] = {}

    @property
    def counts(self) -> dict[str, int]:
        """The scopes with anybody in them."""
        return {scope: count for scope, count in self._window.counts.items() if count}

    def player(self, customer: str, path: str) -> Player:
        """A customer below an agent."""
        return self._players.setdefault((customer, path), new_player(customer, path))

    def seen(self, customer: str, path: str, at_ms: int) -> tuple[str, ...]:
        """A customer was seen."""
        return self._window.seen(self.player(customer, path), at_ms)

    def leave(self, customer: str, path: str) -> tuple[str, ...]:
        """A customer has left."""
        assert self._window.players(customer) == [self.player(customer, path)]
        return self._window.leave(self.player(customer, path))

    def expire(self, since_ms: int) -> tuple[list[str], list[tuple[str, str]]]:
        """Time has passed."""
        scopes, gone = self._window.expire(since_ms)
        assert all(player.row[WAGERED] == 0 for player in gone)
        return scopes, [names(player) for player in gone]


def test_a_customer_counts_once_in_every_scope_above() -> None:
    """However often a customer wagers, it is one player of the agent, of those above, and of the book."""
    players = Players()
    assert players.seen("C1", "/M1/A7", 10) == ("/", "/M1", "/M1/A7")
    assert players.seen("C1", "/M1/A7", 20) == ()
    assert players.seen("C2", "/M1", 20) == ("/", "/M1")
    assert players.counts == {"/": 2, "/M1": 2, "/M1/A7": 1}


def test_a_customer_who_was_moved_counts_once_where_the_paths_meet() -> None:
    """Both agents had the customer; the book and their master had one."""
    players = Players()
    players.seen("C1", "/M1/A1", 10)
    assert players.seen("C1", "/M1/A2", 20) == ("/M1/A2",)
    assert players.counts == {"/": 1, "/M1": 1, "/M1/A1": 1, "/M1/A2": 1}
    assert players.expire(10) == (["/M1/A1"], [("C1", "/M1/A1")])
    assert players.counts == {"/": 1, "/M1": 1, "/M1/A2": 1}


def test_who_leaves_and_comes_again_counts_once_more() -> None:
    """However often a customer leaves and comes back, its window ends after its latest sign of life."""
    players = Players()
    for at_ms in (10, 20, 30):
        assert players.seen("C1", "/M1", at_ms) == ("/", "/M1")
        assert players.leave("C1", "/M1") == ("/", "/M1")
    players.seen("C1", "/M1", 40)
    assert players.expire(30) == ([], [])
    assert players.counts == {"/": 1, "/M1": 1}
    assert players.expire(40) == (["/", "/M1"], [("C1", "/M1")])
    assert players.expire(100) == ([], [])


def test_a_player_counts_until_the_window_has_passed() -> None:
    """The window is (since, now]: what happened at its very end is out."""
    players = Players()
    players.seen("C1", "/M1", 10)
    assert players.expire(9) == ([], [])
    assert players.expire(10) == (["/", "/M1"], [("C1", "/M1")])
    assert players.counts == {}


def test_a_later_wager_prolongs_and_an_earlier_one_does_not_shorten() -> None:
    """The latest wager counts, in whatever order they are told."""
    players = Players()
    players.seen("C1", "/", 30)
    players.seen("C1", "/", 10)
    assert players.expire(20) == ([], [])
    players.seen("C1", "/", 50)
    assert players.expire(40) == ([], [])
    assert players.expire(50) == (["/"], [("C1", "/")])


def test_who_is_gone_may_come_back() -> None:
    """A customer who returns is counted anew."""
    players = Players()
    players.seen("C1", "/M1", 10)
    players.expire(10)
    assert players.seen("C1", "/M1", 20) == ("/", "/M1")
    assert players.counts == {"/": 1, "/M1": 1}


@pytest.mark.parametrize("seed", range(10))
def test_it_agrees_with_counting_anew(seed: int) -> None:
    """Over any coming and going the counts are those of a plain count, and a changed scope is always told."""
    random = Random(seed)
    paths = ("/", "/M1", "/M1/A1", "/M1/A2", "/M2/A3/S4")
    scopes = ("/", "/M1", "/M1/A1", "/M1/A2", "/M2", "/M2/A3", "/M2/A3/S4")
    players, seen, since = Players(), list[tuple[str, str, int]](), 0
    before = dict.fromkeys(scopes, 0)
    for now in range(0, 4000, 10):
        if random.random() < 0.5:
            fact = (f"C{random.randrange(8)}", random.choice(paths), max(since + 1, now - random.randrange(300)))
            seen.append(fact)
            told = set(players.seen(*fact))
        else:
            since = max(since, now - 200)
            told = set(players.expire(since)[0])
        right = {
            scope: len({c for c, path, at in seen if at > since and f"{path}/".startswith(f"{scope.rstrip('/')}/")})
            for scope in scopes
        }
        assert players.counts == {scope: count for scope, count in right.items() if count}
        assert {scope for scope in scopes if right[scope] != before[scope]} <= told
        before = right
