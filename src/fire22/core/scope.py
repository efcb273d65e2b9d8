"""Scopes: paths in the agent tree.

`/` is the whole book, `/M1/A7` a sub-tree, `/M1/A7/@C12` one customer. Prefixes are taken at path boundaries, so
`/M1` covers `/M1/A7` and not `/M10`.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from fire22.core import codes
from fire22.core.errors import RequestError

ROOT: Final = "/"
DEPTH_MAX: Final = 9  # eight levels of agents and the customer

_PATH: Final = re.compile(r"/|(?!.*/@?\.{1,2}(?:/|$))(?:/[A-Za-z0-9._-]{1,64})*(?:/@?[A-Za-z0-9._-]{1,64})")


@lru_cache(maxsize=65_536)
def parse_scope(text: str) -> str:
    """Check a scope that came from outside and return it.

    Raises:
        RequestError: `scope_invalid`.
    """
    if not _PATH.fullmatch(text) or text.count("/") > DEPTH_MAX:
        raise RequestError(codes.SCOPE_INVALID, "A scope is a path such as /, /M1/A7 or /M1/A7/@C12.")
    return text


def covers(scope: str, path: str) -> bool:
    """Whether `path` is `scope` itself or lies below it."""
    return scope == ROOT or path == scope or path.startswith(scope + "/")


@lru_cache(maxsize=65_536)
def ancestors(path: str) -> tuple[str, ...]:
    """Every scope that covers `path`, from the root to the path itself."""
    if path == ROOT:
        return (ROOT,)
    parts = path.split("/")
    return (ROOT, *("/".join(parts[: depth + 1]) for depth in range(1, len(parts))))


def is_customer(scope: str) -> bool:
    """Whether the scope is one customer."""
    return scope.rpartition("/")[2].startswith("@")


def name_of(scope: str) -> str:
    """The name of the agent or the customer that a scope is: `A7` of `/M1/A7`, `C12` of `/M1/A7/@C12`."""
    return scope.rpartition("/")[2].removeprefix("@")


def agent_of(scope: str) -> str:
    """The agent's part of a scope: the scope itself, or the parent of a customer."""
    if not is_customer(scope):
        return scope
    return scope.rpartition("/")[0] or ROOT


def customer_path(path: str, customer: str) -> str:
    """The scope of one customer below its agent."""
    return f"{'' if path == ROOT else path}/@{customer}"


def common_path(paths: Iterable[str]) -> str:
    """The deepest path that covers all of them."""
    shared: list[str] | None = None
    for path in paths:
        parts = path.split("/")[1:] if path != ROOT else []
        if shared is None:
            shared = parts
            continue
        same = 0
        for one, other in zip(shared, parts, strict=False):
            if one != other:
                break
            same += 1
        shared = shared[:same]
    return "/" + "/".join(shared or ())
