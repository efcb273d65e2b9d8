"""Leaves a note of what a command of the program has done: the server brings it into the audit trail (`pending.py`).

Only the server appends to its log, so the note lies in the store until then, or until the next start.

Rows of the store: `audit/<time>-<id>`, an event `system.audited` as the log keeps it.
"""

import os
import pwd
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from fire22.core.audit import AUDITED, Audited
from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.core.times import to_datetime
from fire22.store.base import Put

ROWS: Final = "audit/"
USER: Final = "staff:cli"
ROLE: Final = "admin"
SOURCE: Final = "cli"


def left(action: str, *, now_ms: int, target: str = "", after: Mapping[str, Json] | None = None) -> Put:
    """The row that a note of what a command has done is left in.

    Args:
        after: without secrets.
    """
    entry = Audited(
        action,
        user=USER,
        role=ROLE,
        client=_account(),
        target=target,
        after=UNSET if after is None else Raw(msgspec.json.encode(after)),
    )
    id = f"audit:{secrets.token_hex(12)}"
    event = encode_event(Event(id, AUDITED, SOURCE, to_datetime(now_ms), Raw(msgspec.json.encode(entry))))
    return Put(f"{ROWS}{now_ms:015}-{id}", event.body)


def _account() -> str:
    """The operating system's account that runs the command."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
