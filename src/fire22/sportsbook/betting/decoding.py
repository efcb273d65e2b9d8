"""How the data of an event is read as a fact.

Matching a path against its pattern takes longer than reading all the rest of a wager, and a book has few paths. So
facts are read without it, and each path is matched once. Data that does not fit is read again by a type that has the
pattern, so that what is said of it is the first thing that is wrong.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.sportsbook.betting.bounds import PATH, Path

PATHS_MAX: Final = 65_536  # that are remembered
_pattern: Final = re.compile(PATH)


@lru_cache(maxsize=PATHS_MAX)
def is_path(text: str) -> bool:
    """Whether it can be an agent's path, or the house."""
    return _pattern.search(text) is not None


def reader(fact: type[Struct]) -> Callable[[Raw], Struct]:
    """What reads data as this type of fact.

    Raises:
        msgspec.ValidationError: when called; the data does not fit. Names the field.
    """
    read = msgspec.json.Decoder(fact).decode
    if "path" not in fact.__struct_fields__:
        return read
    explain = msgspec.json.Decoder(_matched(fact)).decode

    def read_with_path(data: Raw) -> Struct:
        try:
            one = read(data)
            if is_path(one.path):  # type: ignore[attr-defined]
                return one
        except msgspec.ValidationError:
            pass
        explain(data)
        raise AssertionError(f"{fact.__name__} does not fit, and nothing is wrong with it")

    return read_with_path


def _matched(fact: type[Struct]) -> type[Struct]:
    """The same type of fact, which matches the path while it is read."""
    matched = Annotated[str, Meta(pattern=PATH)]
    fields = [
        (each.name, matched if each.type == Path else each.type, msgspec.field(default=each.default))
        for each in msgspec.structs.fields(fact)
    ]
    return msgspec.defstruct(fact.__name__, fields, bases=(fact,), kw_only=True, rename="camel")
