"""JSON merge patches (RFC 7396).

Documents here never hold `null`: undefined is absent, so `null` in a patch always means removal.
"""

from collections.abc import Mapping
from typing import Any, Final

from fire22.core.message import Json

Document = dict[str, Json]
_ABSENT: Final[Any] = object()


def apply(document: Json, patch: Json) -> Json:
    """The document after the patch; neither argument is changed (RFC 7396 section 2)."""
    if not isinstance(patch, dict):
        return patch
    result: Document = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


def diff(old: Mapping[str, Json], new: Mapping[str, Json]) -> Document:
    """The smallest merge patch that makes `new` of `old`; empty when they are equal.

    `1` and `1.0` are one number, as in JSON; `true` and `1` are not.
    """
    patch: Document = {} if old.keys() == new.keys() else {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name, _ABSENT)
        if before is value:
            continue
        kind = type(value)
        if kind is float or kind is int or kind is str:
            if before != value or type(before) is bool:
                patch[name] = value
        elif isinstance(before, dict) and isinstance(value, dict):
            inner = diff(before, value)
            if inner:
                patch[name] = inner
        elif before is _ABSENT or not _same(before, value):
            patch[name] = value
    return patch


def _same(one: Json, other: Json) -> bool:
    """Equal as JSON; Python takes `True` and `1` for equal, also within arrays."""
    if one != other:
        return False
    if isinstance(one, list) and isinstance(other, list):
        return all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same(value, other[name]) for name, value in one.items())
    return isinstance(one, bool) is isinstance(other, bool)


def compose(first: Document, second: Document) -> Document | None:
    """One patch that does what `first` and then `second` do, or None where none exists.

    Merge patches do not compose where a removal or a plain value is followed by an object at the same place: the object
    would be merged into what `first` should have taken away.
    """
    result = dict(first)
    for name, value in second.items():
        before = first.get(name)
        if isinstance(value, dict) and name in first:
            if not isinstance(before, dict):
                return None
            inner = compose(before, value)
            if inner is None:
                return None
            result[name] = inner
        else:
            result[name] = value
    return result
