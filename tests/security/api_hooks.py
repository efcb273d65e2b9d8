"""What schemathesis puts into requests for the ids that it cannot know; loaded by it, see `api_cases.py`."""

import json
import os
from pathlib import Path
from typing import Any
from zlib import crc32

import schemathesis

IDS: dict[str, list[str]] = json.loads(Path(os.environ["FIRE22_IDS"]).read_text())
TOPICS = ("kpi", "wagers", "balances", "exposure", "reports", "alerts", "activity", "figures", "ledger", "payments")


def _real(name: str, value: object) -> object:
    """In three of four cases a value that exists, the same for the same value."""
    digest = crc32(f"{name} {value!r}".encode())
    known = TOPICS if name == "topic" else IDS.get(name, ())
    return known[digest // 4 % len(known)] if known and digest % 4 else value


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _real(name, _known(each)) if isinstance(each, str) else _known(each) for name, each in value.items()
        }
    return [_known(each) for each in value] if isinstance(value, list) else value


def map_body(context: Any, body: Any) -> Any:
    """Bodies of commands name what exists."""
    return _known(body)


def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Addresses name topics that exist."""
    return _known(path_parameters)


def map_query(context: Any, query: Any) -> Any:
    """Scopes that exist."""
    if isinstance(query, dict) and isinstance(query.get("scope"), str):
        return query | {"scope": _real("path", query["scope"])}
    return query


for hook in (map_body, map_path_parameters, map_query):
    schemathesis.hook(hook)
