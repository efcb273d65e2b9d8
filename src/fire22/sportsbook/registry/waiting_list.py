"""What waits for a decision, by scope, oldest first: a bounded list, and a document that says what waits in all."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from fire22.core.message import Json
from fire22.core.scope import ancestors, customer_path
from fire22.sportsbook.betting.money import Major

SHOWN_MAX: Final = 200  # of a scope; the next in line appears when one of these is decided

Change = tuple[str, str, dict[str, Json] | None]


class Item(Protocol):
    """What can wait. One that is to wait elsewhere, or for other amounts, leaves and comes as a new one."""

    @property
    def order(self) -> int:
        """The place in the log of the fact that told of it first."""

    @property
    def customer_id(self) -> str:
        """Whose it is."""

    @property
    def path(self) -> str:
        """The agent's."""


Waiting = TypeVar("Waiting", bound=Item)


class _Line:
    """What waits in one scope, in the order in which it came: the shown ones, and those behind them."""

    __slots__ = ("behind", "shown", "sums")

    def __init__(self, sums: dict[str, int]) -> None:
        self.shown: dict[str, None] = {}
        self.behind: dict[str, None] = {}
        self.sums = sums


class WaitingList(Generic[Waiting]):
    """Derived from what waits: `put` each when it changes, and say what `changes` yields.

    Args:
        document: what is shown of one.
        amounts: what of one is summed up, minor units, always under the same names.
    """

    def __init__(
        self, document: Callable[[str, Waiting, Major], dict[str, Json]], amounts: Callable[[Waiting], dict[str, int]]
    ) -> None:
        self._document = document
        self._amounts = amounts
        self._items: dict[str, Waiting] = {}
        self._lines: dict[str, _Line] = {}
        self._changed: dict[tuple[str, str], None] = {}

    def load(self, items: Iterable[tuple[str, Waiting]]) -> None:
        """Take what waits after a restart; nothing of it is a change."""
        for id, item in sorted(items, key=lambda each: (each[1].order, each[0])):
            self.put(id, item)
        self._changed = {}

    def items(self) -> list[tuple[str, Waiting]]:
        """All that waits, sorted by its id."""
        return sorted(self._items.items())

    def put(self, id: str, item: Waiting) -> None:
        """One waits, or waits in another state than before."""
        before = self._items.get(id)
        self._items[id] = item
        for scope in _scopes(item):
            if before is None:
                self._enter(scope, id, item)
            elif id in self._lines[scope].shown:
                self._changed[scope, id] = None

    def leave(self, id: str) -> None:
        """One waits no more; nothing happens where it did not."""
        item = self._items.pop(id, None)
        if item is not None:
            for scope in _scopes(item):
                self._leave(scope, id, item)

    def changes(self, major: Major) -> Iterator[Change]:
        """The documents that changed since the last call, as (scope, key, document); None is one that is gone."""
        changed, self._changed = self._changed, {}
        for scope, id in sorted(changed):
            line = self._lines.get(scope)
            if id == "":
                yield scope, "", _summary(line, major) if line is not None else None
            elif line is not None and id in line.shown:
                yield scope, id, self._document(id, self._items[id], major)
            else:
                yield scope, id, None

    def _enter(self, scope: str, id: str, item: Waiting) -> None:
        line = self._lines.get(scope)
        amounts = self._amounts(item)
        if line is None:
            line = self._lines[scope] = _Line(dict.fromkeys(amounts, 0))
        for name, amount in amounts.items():
            line.sums[name] += amount
        self._changed[scope, ""] = None
        if len(line.shown) < SHOWN_MAX:
            line.shown[id] = None
            self._changed[scope, id] = None
        else:
            line.behind[id] = None

    def _leave(self, scope: str, id: str, item: Waiting) -> None:
        line = self._lines[scope]
        for name, amount in self._amounts(item).items():
            line.sums[name] -= amount
        self._changed[scope, ""] = None
        if id in line.behind:
            del line.behind[id]
            return
        del line.shown[id]
        self._changed[scope, id] = None
        following = next(iter(line.behind), None)
        if following is not None:
            del line.behind[following]
            line.shown[following] = None
            self._changed[scope, following] = None
        elif not line.shown:
            del self._lines[scope]


def _scopes(item: Item) -> tuple[str, ...]:
    return ancestors(customer_path(item.path, item.customer_id))


def _summary(line: _Line, major: Major) -> dict[str, Json]:
    sums: dict[str, Json] = {name: major(amount) for name, amount in line.sums.items()}
    return {"count": len(line.shown) + len(line.behind), **sums}
