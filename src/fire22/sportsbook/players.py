"""Players: distinct customers who were seen in a trailing window, for each scope.

A customer who was moved counts at each path where it was seen, and once where the paths meet.
"""

import heapq
from typing import Final

from fire22.core.scope import ancestors

WAGERED: Final = 0  # it has wagered: the window of active players
SHOWN: Final = 1  # it has shown itself: the window of those who are online


class Player:
    """A customer below an agent.

    Args:
        last_ms: when it has wagered last, and when it has shown itself last; ms since 1970 UTC, 0 where it does not
            count. It is what is kept of the player.
    """

    __slots__ = ("changed", "customer", "key", "last_ms", "looked_at_ms", "path")

    def __init__(self, customer: str, path: str, last_ms: list[int]) -> None:
        self.customer = customer
        self.path = path
        self.key = f"{customer}|{path}"  # no path has a `|`
        self.last_ms = last_ms
        self.looked_at_ms = [0, 0]  # when each window looks whether it still counts
        self.changed = False


class Window:
    """Counts by scope, kept while customers come and their time runs out.

    Args:
        kind: `WAGERED` or `SHOWN`.
    """

    def __init__(self, kind: int) -> None:
        self.counts: dict[str, int] = {}
        self._kind = kind
        self._players: dict[str, Player] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._ends: list[tuple[int, str]] = []

    def seen(self, player: Player, at_ms: int) -> tuple[str, ...]:
        """A customer was seen, at a moment after 1970; returns the scopes whose count changed."""
        last_ms = player.last_ms
        before = last_ms[self._kind]
        if at_ms > before:
            last_ms[self._kind] = at_ms
        return () if before else self.enter(player)

    def enter(self, player: Player) -> tuple[str, ...]:
        """Count a player whose time is known; returns the scopes whose count changed."""
        self._players[player.key] = player
        self._look_at(player)
        others = self._paths.get(player.customer, ())
        self._paths[player.customer] = (*others, player.path)
        return self._count(player.path, others, 1)

    def players(self, customer: str) -> list[Player]:
        """A customer, below each agent where it counts."""
        return [self._players[f"{customer}|{path}"] for path in self._paths.get(customer, ())]

    def leave(self, player: Player) -> tuple[str, ...]:
        """A player counts no longer; returns the scopes whose count changed."""
        del self._players[player.key]
        player.last_ms[self._kind] = 0
        others = tuple(each for each in self._paths[player.customer] if each != player.path)
        if others:
            self._paths[player.customer] = others
        else:
            del self._paths[player.customer]
        return self._count(player.path, others, -1)

    def expire(self, since_ms: int) -> tuple[list[str], list[Player]]:
        """Forget who was not seen after `since_ms`; returns the scopes that changed, and who was forgotten."""
        scopes: list[str] = []
        gone: list[Player] = []
        while self._ends and self._ends[0][0] <= since_ms:
            end_ms, key = heapq.heappop(self._ends)
            player = self._players.get(key)
            if player is None or player.looked_at_ms[self._kind] != end_ms:  # has left since
                continue
            if player.last_ms[self._kind] > since_ms:  # seen again since it was put here
                self._look_at(player)
                continue
            scopes += self.leave(player)
            gone.append(player)
        return scopes, gone

    def _look_at(self, player: Player) -> None:
        player.looked_at_ms[self._kind] = end_ms = player.last_ms[self._kind]
        heapq.heappush(self._ends, (end_ms, player.key))

    def _count(self, path: str, others: tuple[str, ...], sign: int) -> tuple[str, ...]:
        changed = ancestors(path)
        if others:
            elsewhere = {scope for other in others for scope in ancestors(other)}
            changed = tuple(scope for scope in changed if scope not in elsewhere)
        for scope in changed:
            self.counts[scope] = self.counts.get(scope, 0) + sign
        return changed
