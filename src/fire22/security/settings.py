"""Notes in the audit trail which settings are other ones than at the last start.

Row of the store: `configuration`, the settings of the last start by their full names, without secrets.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from fire22.core.message import Json
from fire22.security.audit import Audit, without_secrets
from fire22.store.base import Put, Store

KEY: Final = "configuration"
ACTION: Final = "configuration.changed"


async def note_settings(store: Store, audit: Audit, raw: Mapping[str, Json]) -> None:
    """Note the settings that have changed; the first start has nothing to compare with.

    Args:
        raw: the settings in force, section by section.

    Raises:
        StorageError: the store cannot be read or written.
    """
    now = dict(_named(without_secrets(raw)))
    row = await store.get(KEY)
    if row is not None:
        last = msgspec.json.decode(row.value, type=dict[str, Json])
        changed = [name for name in sorted(last.keys() | now.keys()) if last.get(name) != now.get(name)]
        if not changed:
            return
        before = {name: last[name] for name in changed if name in last}
        audit.note(ACTION, before=before, after={name: now[name] for name in changed if name in now})
        await audit.durable()  # a crash here notes it once more rather than never
    await store.write(Put(KEY, msgspec.json.encode(now)))


def _named(value: Json, prefix: str = "") -> Iterator[tuple[str, Json]]:
    """Each setting by its full name: `server.port`. What is not one value is compared as a whole."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _named(inner, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, value
