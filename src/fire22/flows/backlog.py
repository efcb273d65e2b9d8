"""What a view has still to say, by the scope that shows it: so that its followers know as of when they are told."""

from fire22.flows.base import Emitter


class Backlog:
    """Documents that wait. A scope shows several; it is as of the time since which the first of them waits.

    Args:
        topic: of the view.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._waiting: dict[str, dict[int, int]] = {}  # by scope: how many wait since when
        self._changed: dict[str, None] = {}

    def __contains__(self, scope: str) -> bool:
        return scope in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, scope: str, since_ms: int) -> None:
        """A document of a scope waits."""
        waiting = self._waiting.setdefault(scope, {})
        waiting[since_ms] = waiting.get(since_ms, 0) + 1
        self._changed[scope] = None

    def remove(self, scope: str, since_ms: int) -> None:
        """One that waited since then has been said."""
        waiting = self._waiting[scope]
        waiting[since_ms] -= 1
        if not waiting[since_ms]:
            del waiting[since_ms]
            if not waiting:
                del self._waiting[scope]
        self._changed[scope] = None

    def tell(self, out: Emitter) -> None:
        """Tell what has changed."""
        changed, self._changed = self._changed, {}
        for scope in changed:
            waiting = self._waiting.get(scope)
            if waiting is None:
                out.settled(self._topic, scope)
            else:
                out.waits(self._topic, scope, min(waiting))
