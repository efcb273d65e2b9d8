"""Players: distinct customers who were seen in a trailing window, for each scope.

A customer who was moved counts at each path where it was seen, and once where the paths meet.
"""

import heapq
from typing import Final

from fire22.core.scope import ancestors
from fire22.flows.kept import Kept

WAGERED: Final = 0  # it has wagered: the window of active players
SHOWN: Final = 1  # it has shown itself: the window of those who are online


# When a customer below an agent has wagered last, and when it has shown itself last; ms since 1970 UTC, 0 where it
# does not count.
Player = Kept[list[int]]


def new_player(customer: str, path: str) -> Player:
    """A customer below an agent who was not seen yet."""
    return Kept(f"{customer}|{path}", [0, 0])  # no path has a `|`


def names(player: Player) -> tuple[str, str]:
    """A player's customer and path."""
    customer, _, path = player.key.rpartition("|")
    return customer, path


class Window:
    """Counts by scope, kept while customers come and their time runs out.

    Args:
        kind: `WAGERED` or `SHOWN`.
    """

    def __init__(self, kind: int) -> None:
        self.counts: dict[str, int] = {}
        self._kind = kind
        self._players: dict[str, Player] = {}
        self._looked_at_ms: dict[str, int] = {}  # when it is looked whether a player still counts
        self._paths: dict[str, tuple[str, ...]] = {}
        self._ends: list[tuple[int, str]] = []

    def seen(self, player: Player, at_ms: int) -> tuple[str, ...]:
        """A customer was seen, at a moment after 1970; returns the scopes whose count changed."""
        row = player.row
        before = row[self._kind]
        if at_ms > before:
            row[self._kind] = at_ms
        return () if before or at_ms <= 0 else self.enter(player)

    def enter(self, player: Player) -> tuple[str, ...]:
        """Count a player whose time is known; returns the scopes whose count changed."""
        self._players[player.key] = player
        self._look_at(player)
        customer, path = names(player)
        others = self._paths.get(customer, ())
        self._paths[customer] = (*others, path)
        return self._count(path, others, 1)

    def players(self, customer: str) -> list[Player]:
        """A customer, below each agent where it counts."""
        return [self._players[f"{customer}|{path}"] for path in self._paths.get(customer, ())]

    def leave(self, player: Player) -> tuple[str, ...]:
        """A player counts no longer; returns the scopes whose count changed."""
        del self._players[player.key], self._looked_at_ms[player.key]
        player.row[self._kind] = 0
        customer, path = names(player)
        others = tuple(each for each in self._paths[customer] if each != path)
        if others:
            self._paths[customer] = others
        else:
            del self._paths[customer]
        return self._count(path, others, -1)

    def expire(self, since_ms: int) -> tuple[list[str], list[Player]]:
        """Forget who was not seen after `since_ms`; returns the scopes that changed, and who was forgotten."""
        scopes: list[str] = []
        gone: list[Player] = []
        while self._ends and self._ends[0][0] <= since_ms:
            end_ms, key = heapq.heappop(self._ends)
            if self._looked_at_ms.get(key) != end_ms:  # has left since
                continue
            player = self._players[key]
            if player.row[self._kind] > since_ms:  # seen again since it was put here
                self._look_at(player)
                continue
            scopes += self.leave(player)
            gone.append(player)
        return scopes, gone

    def _look_at(self, player: Player) -> None:
        self._looked_at_ms[player.key] = end_ms = player.row[self._kind]
        heapq.heappush(self._ends, (end_ms, player.key))

    def _count(self, path: str, others: tuple[str, ...], sign: int) -> tuple[str, ...]:
        changed = ancestors(path)
        if others:
            elsewhere = {scope for other in others for scope in ancestors(other)}
            changed = tuple(scope for scope in changed if scope not in elsewhere)
        for scope in changed:
            self.counts[scope] = self.counts.get(scope, 0) + sign
        return changed
