"""`python -m bench.profiled FILE serve …`: the server under cProfile; at its end FILE holds each part's share, as JSON.

Shares are of the time in which the process worked: waiting in the loop is left out. A system call counts for the part
that makes it.
"""

import cProfile
import json
import pstats
import sys
from pathlib import Path
from typing import Final

from fire22.cli import main

PARTS: Final = (
    ("hub", "/fire22/hub/"),
    ("system calls of writing", "posix.write"),
    ("gateways", "/fire22/gateways/"),
    ("core", "/fire22/core/"),
    ("flows", "/fire22/flows/"),
    ("sportsbook", "/fire22/sportsbook/"),
    ("feed", "/fire22/feed/"),
    ("log", "/fire22/log/"),
    ("security", "/fire22/security/"),
    ("zlib", "zlib."),
    ("msgspec", "msgspec."),
    ("HTTP (uvicorn, starlette)", ("/uvicorn/", "/starlette/", "httptools")),
)
LOOP: Final = "runners.py"  # where uvloop waits, and its own C code runs


def shares(profile: cProfile.Profile) -> dict[str, float]:
    """Each part's own time, as a share of all but the loop's."""
    found: dict[str, float] = {}
    for (file, _, function), (_, _, own_s, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        name = f"{file}:{function}"
        if LOOP not in name:
            part = next((part for part, marks in PARTS if _has(name, marks)), "other")
            found[part] = found.get(part, 0.0) + own_s
    total = sum(found.values())
    return {part: found[part] / total for part in sorted(found, key=found.__getitem__, reverse=True)}


def _has(name: str, marks: str | tuple[str, ...]) -> bool:
    return any(mark in name for mark in ((marks,) if isinstance(marks, str) else marks))


if __name__ == "__main__":
    target = Path(sys.argv.pop(1))
    profile = cProfile.Profile()
    profile.enable()
    try:
        main()
    except SystemExit:
        pass
    finally:
        profile.disable()
        target.write_text(json.dumps(shares(profile)))
