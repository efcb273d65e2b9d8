"""The page with a whole session shows what a server sends now."""

import json
import re
from pathlib import Path
from typing import Any

from docs.session import PAGE, record

from tests.integration.processes import free_port

# Where a run stands by chance: in which flush something came, and what the clock had said by then.
CHANCE = {"offset", "base", "before", "position", "after", "seq", "watermark", "readTo", "late"}


def frames(page: str) -> list[tuple[str, Any]]:
    """Who sent each frame of a page, and the frame without what chance decides."""
    found = re.findall(r'^```json title="([^"]+)"\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)
    return [(who, without(json.loads(text))) for who, text in found]


def without(value: Any) -> Any:
    """A value without what chance decides."""
    if isinstance(value, dict):
        return {key: without(each) for key, each in value.items() if key not in CHANCE}
    return [without(each) for each in value] if isinstance(value, list) else value


def test_the_session_of_the_page_is_what_a_server_sends(tmp_path: Path) -> None:
    """Who writes a client reads frames that are true; `python -m docs.session` writes the page anew."""
    shown = frames(PAGE.read_text())
    assert len(shown) > 15
    assert frames(record(tmp_path, free_port())) == shown
