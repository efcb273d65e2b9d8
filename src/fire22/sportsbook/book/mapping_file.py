"""Reads a mapping, of a book or of a recorded file: TOML, checked as a whole."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.strict import checked, parse_toml

T = TypeVar("T")


def read_mapping_file(path: Path, kind: type[T], wrong: Callable[[T], Iterable[str]]) -> T:
    """Read a mapping of either sort.

    Args:
        wrong: says what else is wrong with one whose keys and types are right.

    Raises:
        SetupError: `mapping_invalid`; the message names every key that is wrong.
    """
    try:
        raw = parse_toml(path.read_bytes())
    except OSError as error:
        raise SetupError(codes.MAPPING_INVALID, f"The mapping {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise SetupError(codes.MAPPING_INVALID, f"The mapping {path} is not TOML: {error}.") from None
    try:
        return checked(raw, kind, wrong, f"The mapping {path}")
    except ValueError as error:
        raise SetupError(codes.MAPPING_INVALID, str(error)) from None
