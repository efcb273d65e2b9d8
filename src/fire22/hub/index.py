"""Which lanes a message reaches: those of one topic and scope, found without asking each of a thousand filters."""

from collections.abc import Iterator

from fire22.core.filter import Condition
from fire22.hub.encoding import Item
from fire22.hub.lane import Lane

_Value = tuple[bool, int | float | str]  # whether it is a truth value: Python takes True and 1 for equal


class LaneIndex:
    """The lanes of one (topic, scope).

    A filter that names values of some field is looked up by the value that the message has there, and only then asked
    as a whole. Filters of bounds alone are asked one by one.
    """

    __slots__ = ("_by_value", "_others", "open")

    def __init__(self) -> None:
        self.open: dict[Lane, None] = {}  # without a filter
        self._by_value: dict[str, dict[_Value, dict[Lane, None]]] = {}
        self._others: dict[Lane, None] = {}

    def __bool__(self) -> bool:
        return bool(self.open or self._by_value or self._others)

    @property
    def filters(self) -> bool:
        """Whether any lane has a filter."""
        return bool(self._by_value or self._others)

    def __iter__(self) -> Iterator[Lane]:
        yield from self.open
        found: dict[Lane, None] = {}
        for by_value in self._by_value.values():
            for lanes in by_value.values():
                found.update(lanes)
        yield from found
        yield from self._others

    def passing(self, item: Item) -> Iterator[Lane]:
        """The lanes whose filter a stream's message passes."""
        fields = item.fields
        for field, by_value in self._by_value.items():
            value = fields.get(field)
            if isinstance(value, int | float | str):
                for lane in by_value.get((isinstance(value, bool), value), ()):
                    if lane.key.filter is not None and lane.key.filter.matches(fields):
                        yield lane
        for lane in self._others:
            if lane.key.filter is not None and lane.key.filter.matches(fields):
                yield lane

    def add(self, lane: Lane) -> None:
        """Take in a lane."""
        condition = _chosen(lane)
        if condition is None:
            (self._others if lane.key.filter else self.open)[lane] = None
            return
        by_value = self._by_value.setdefault(condition.field, {})
        for value in _values(condition):
            by_value.setdefault(value, {})[lane] = None

    def remove(self, lane: Lane) -> None:
        """Let go of a lane."""
        condition = _chosen(lane)
        if condition is None:
            del (self._others if lane.key.filter else self.open)[lane]
            return
        by_value = self._by_value[condition.field]
        for value in _values(condition):
            del by_value[value][lane]
            if not by_value[value]:
                del by_value[value]
        if not by_value:
            del self._by_value[condition.field]


def _chosen(lane: Lane) -> Condition | None:
    """The condition with the fewest values, if any names some."""
    conditions = lane.key.filter.conditions if lane.key.filter else ()
    naming = [each for each in conditions if each.values or each.booleans]
    return min(naming, key=lambda each: len(each.values) + len(each.booleans), default=None)


def _values(condition: Condition) -> list[_Value]:
    return [(False, value) for value in condition.values] + [(True, value) for value in condition.booleans]
