"""Checks values that a person wrote against the structs that they are to become, and says all that is wrong at once.

msgspec itself ends at the first mistake. Who has made five of them would have to start the program six times.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

T = TypeVar("T")

SHOWN_MAX: Final = 60  # of a wrong value


class Problem(Struct, frozen=True):
    """One mistake: where it stands, such as `server.port`, and what is wrong there."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def parse_toml(data: bytes) -> dict[str, Any]:
    """A TOML file, with or without a byte order mark before it.

    Raises:
        ValueError: it is not TOML in UTF-8, or has a number of thousands of digits; the message says where.
    """
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def problems(raw: object, kind: Any, place: str = "") -> list[Problem]:
    """Every mistake in values that are to become a `kind`, in the order in which they were written.

    Args:
        raw: as it was read: dicts, lists, texts, numbers.
        kind: a struct, or whatever else `msgspec.convert` takes.
        place: of the values, when they are a part of others.
    """
    found = list(_inside(raw, kind, place))
    return found if found else list(_of_all(raw, kind, place))


def checked(raw: dict[str, Any], kind: type[T], more: Callable[[T], Iterable[str]], what: str) -> T:
    """The values as a struct.

    Args:
        more: says what else is wrong with a struct, as `place: what`.
        what: the values are, for the message.

    Raises:
        ValueError: something is wrong; the message says everything that is, whether it is of shape or of sense.
    """
    found = problems(raw, kind)
    for each in found:
        _drop(raw, each.place)
    try:
        value = msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError:  # too little is left
        raise ValueError(sentence(what, found)) from None
    told = [*map(str, found), *(each for each in more(value) if not any(each.startswith(one.place) for one in found))]
    if told:
        raise ValueError(sentence(what, told))
    return value


def _drop(raw: Any, place: str) -> None:
    """Take a wrong part out, so that the rest can be looked at."""
    *path, last = place.partition("[")[0].split(".")
    for key in path:
        raw = raw.get(key) if isinstance(raw, dict) else None
    if isinstance(raw, dict):
        raw.pop(last, None)


def sentence(what: str, found: Sequence[object]) -> str:
    """What to say of mistakes: one in a sentence, more of them line by line."""
    if len(found) == 1:
        text = f"{what} is not valid: {found[0]}"
        return text if text.endswith("?") else f"{text}."
    return f"{what} is not valid in {len(found)} places:" + "".join(f"\n  {each}" for each in found)


def _inside(raw: object, kind: Any, place: str) -> Iterator[Problem]:
    """The mistakes in the parts of a struct, a dict or an array."""
    if isinstance(raw, Mapping):
        for one in _choices(kind):
            if isinstance(one, type) and issubclass(one, Struct):
                yield from _of_struct(raw, one, place)
                return
            if get_origin(one) is dict:
                for key, value in raw.items():
                    yield from problems(value, get_args(one)[1], _join(place, key))
                return
    elif isinstance(raw, list):
        for one in _choices(kind):
            if get_origin(one) in (list, tuple) and get_args(one)[1:] in ((), (...,)):
                for number, value in enumerate(raw):
                    yield from problems(value, get_args(one)[0], f"{place}[{number}]")
                return


def _of_struct(raw: Mapping[str, object], kind: type[Struct], place: str) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in raw.items():
        if key in fields:
            yield from problems(value, fields[key].type, _join(place, key))
        else:
            near = difflib.get_close_matches(key, fields, 1, 0.5)
            hint = f"did you mean {_join(place, near[0])}?" if near else f"known are: {', '.join(fields)}"
            yield Problem(_join(place, key), f"there is no such key; {hint}")
    for name, field in fields.items():
        if field.required and name not in raw:
            yield Problem(_join(place, name), "it is missing")


def _of_all(raw: object, kind: Any, place: str) -> Iterator[Problem]:
    """What is wrong with a value as a whole."""
    try:
        msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        allowed = ", ".join(_values(kind))
        what = f"there is no {str(raw)[:SHOWN_MAX]}; known are: {allowed}" if allowed else text
        yield Problem(place + path.rstrip("`"), what)


def _choices(kind: Any) -> tuple[Any, ...]:
    """The types that a value may have, without what limits them."""
    if get_origin(kind) is Annotated:
        return _choices(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(one for each in get_args(kind) for one in _choices(each))
    return (kind,)


def _values(kind: Any) -> list[str]:
    """All that a value may be; nothing where that is not a list."""
    found: list[str] = []
    for one in _choices(kind):
        if get_origin(one) is Literal:
            found += map(str, get_args(one))
        elif isinstance(one, type) and issubclass(one, Enum):
            found += [str(each.value) for each in one]
        elif one is not NoneType:
            return []
    return found


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
