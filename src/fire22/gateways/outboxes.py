"""What connections have yet to take, together: a bound on the memory that slow readers cost.

Each is bounded by itself (`outbox_bytes_max`, and one answer more), and many are much all the same. Above the bound
connections end until it is kept: of the user whose connections hold the most, the one that has waited the longest. So
who opens many connections and reads none of them ends the own ones, not those of others.
"""

from collections import Counter, defaultdict, deque
from typing import Generic, Protocol, TypeVar


class Holding(Protocol):
    """A connection, as far as it is of interest here."""

    @property
    def unsent_bytes(self) -> int:
        """What was written and not taken yet."""


Who = TypeVar("Who", bound=Holding)


class Outboxes(Generic[Who]):
    """The connections that take no more for now, the longest waiting first.

    Args:
        bytes_max: that they may hold together.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0  # as of when each was added, or counted again
        self._held: dict[Who, tuple[str, int]] = {}

    @property
    def size_bytes(self) -> int:
        """What they hold, at most: some of it may have been taken since."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether they hold more than they may."""
        return self._bytes > self._bytes_max

    def add(self, connection: Who, user: str) -> None:
        """A connection takes no more for now."""
        self.remove(connection)
        size = connection.unsent_bytes
        self._held[connection] = user, size
        self._bytes += size

    def remove(self, connection: Who) -> None:
        """It takes bytes again, or is gone."""
        _, size = self._held.pop(connection, ("", 0))
        self._bytes -= size

    def excess(self) -> list[Who]:
        """The connections that must end for the rest to hold no more than they may; they are removed."""
        for connection, (user, _) in list(self._held.items()):  # some of it may have been taken since
            self._held[connection] = user, connection.unsent_bytes
        self._bytes = sum(size for _, size in self._held.values())
        of_user: dict[str, deque[Who]] = defaultdict(deque)
        totals: Counter[str] = Counter()
        for connection, (user, size) in self._held.items():
            of_user[user].append(connection)
            totals[user] += size
        found: list[Who] = []
        while self._bytes > self._bytes_max:
            user = max(totals, key=totals.__getitem__)
            connection = of_user[user].popleft()
            totals[user] -= self._held[connection][1]
            self.remove(connection)
            found.append(connection)
        return found
