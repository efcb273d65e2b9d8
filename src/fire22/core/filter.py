"""Filters: `{field: value | [values] | {"gte"?, "lte"?}}`; all of them must hold."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.core.message import Json

FIELDS_MAX: Final = 8
VALUES_MAX: Final = 100

Scalar = bool | int | float | str


class Condition(Struct, frozen=True):
    """One field's condition: one of the listed values, or (where none is listed) within the bounds, both inclusive.

    Truth values stand apart: Python takes `True` and `1` for equal, and two filters that differ would be one lane.
    """

    field: str
    values: tuple[int | float | str, ...] = ()
    booleans: tuple[bool, ...] = ()
    gte: float | int | str | None = None
    lte: float | int | str | None = None

    def holds(self, value: Json) -> bool:
        """Whether a field's value passes; an absent one (None) never does."""
        if value is None or isinstance(value, list | dict):
            return False
        if isinstance(value, bool):
            return value in self.booleans
        if self.values or self.booleans:
            return value in self.values
        return _within(value, self.gte, self.lte)


class Filter(Struct, frozen=True):
    """Conditions in the order of their fields, so that equal filters are one lane."""

    conditions: tuple[Condition, ...]

    def matches(self, data: Mapping[str, Json]) -> bool:
        """Whether a payload passes every condition."""
        return all(condition.holds(data.get(condition.field)) for condition in self.conditions)


def _within(value: int | float | str, low: float | int | str | None, high: float | int | str | None) -> bool:
    for bound in (low, high):
        if bound is not None and isinstance(bound, str) is not isinstance(value, str):
            return False
    return not ((low is not None and value < low) or (high is not None and value > high))  # type: ignore[operator]


def parse_filter(raw: Mapping[str, Json] | None, filterable: tuple[str, ...], topic: str) -> Filter | None:
    """Read a client's filter; None where it asks for nothing.

    Raises:
        RequestError: `filter_invalid` or `filter_field_unknown`, naming the field.
    """
    if not raw:
        return None
    if len(raw) > FIELDS_MAX:
        raise RequestError(
            codes.FILTER_INVALID, f"A filter names at most {FIELDS_MAX} fields; this one has {len(raw)}."
        )
    for field in raw:
        if field not in filterable:
            offer = ", ".join(filterable) or "none"
            raise RequestError(
                codes.FILTER_FIELD_UNKNOWN, f"{topic} cannot be filtered by {field[:64]}; it can by: {offer}."
            )
    return Filter(tuple(_condition(field, raw[field]) for field in sorted(raw)))


def _condition(field: str, raw: Json) -> Condition:
    if isinstance(raw, bool | int | float | str):
        return _one_of(field, [raw])
    if isinstance(raw, list) and 0 < len(raw) <= VALUES_MAX:
        values = [value for value in raw if isinstance(value, bool | int | float | str)]
        if len(values) == len(raw):
            return _one_of(field, values)
    if isinstance(raw, dict) and raw and set(raw) <= {"gte", "lte"}:
        bounds = {name: bound for name, bound in raw.items() if isinstance(bound, int | float | str)}
        if len(bounds) == len(raw) and not any(isinstance(bound, bool) for bound in bounds.values()):
            return Condition(field, gte=bounds.get("gte"), lte=bounds.get("lte"))
    raise RequestError(
        codes.FILTER_INVALID,
        f'The filter of {field} must be a value, a list of 1 to {VALUES_MAX} values, or {{"gte"?, "lte"?}}.',
    )


def _one_of(field: str, wanted: list[Scalar]) -> Condition:
    booleans = {value for value in wanted if isinstance(value, bool)}
    others = {value for value in wanted if not isinstance(value, bool)}
    values = sorted(others, key=lambda value: (isinstance(value, str), value))
    return Condition(field, tuple(values), tuple(sorted(booleans)))
