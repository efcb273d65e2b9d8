"""The store's contract: the server's own rows, which do not follow from the log.

Who may sign in, who is signed in, what has been revoked, what people have saved. A row is bytes under a key, such as
`session/4f1c`: the parts of a key are parted by a slash, and the first says what kind of row it is. The store knows
nothing of what is in a row.

Each write has a version of its own, higher than that of every write before, and so has each row that it puts. A row
that was deleted and put again therefore never has the version that it had, and who read it before is told.

Another store is one more file here, and one more entry in `tests/contract/test_store.py`.
"""

from typing import Final, Protocol

from msgspec import Struct

ANY: Final = -1  # of the version that a change expects: whatever is there
ABSENT: Final = 0  # the same: nothing is there
KEY_BYTES_MAX: Final = 512
VALUE_BYTES_MAX: Final = 1 << 20
CHANGES_MAX: Final = 100


class Item(Struct, frozen=True, gc=False):
    """A row.

    Args:
        version: of the write that put it; greater than 0.
        expires_ms: from this time on it is as if it were not there; 0 is never.
    """

    key: str
    value: bytes
    version: int
    expires_ms: int = 0


class Put(Struct, frozen=True, gc=False):
    """Add or replace a row.

    Args:
        expected: the version that the row must have; `ANY`, or `ABSENT`.
    """

    key: str
    value: bytes
    expires_ms: int = 0
    expected: int = ANY


class Delete(Struct, frozen=True, gc=False):
    """Remove a row, or leave it absent.

    Args:
        expected: see `Put`.
    """

    key: str
    expected: int = ANY


class Conflict(Exception):
    """A row does not have the version that a change expects; nothing was written.

    Args:
        key: of the first such change.
        version: the row's; `ABSENT` where there is none.
    """

    def __init__(self, key: str, version: int) -> None:
        super().__init__(f"{key} has version {version}.")
        self.key = key
        self.version = version


class Store(Protocol):
    """What a store offers. Time is the store's own clock, in milliseconds since 1970 UTC.

    Whatever it does raises StorageError where the storage cannot be read or written; `temporary` tells whether to try
    again, `storage_corrupt` names what is damaged.
    """

    async def get(self, key: str) -> Item | None:
        """The row, or None where there is none or it has expired."""

    async def list(self, prefix: str, *, after: str = "", limit: int) -> list[Item]:
        """The first rows whose keys begin with `prefix`, in the order of their keys (by code point).

        Args:
            after: the last key that one had.
            limit: how many at most.
        """

    async def write(self, *changes: Put | Delete) -> int:
        """Make all of the changes or none; done once they are durable. Reads that begin then see them.

        Args:
            changes: at most `CHANGES_MAX`, each of another key.

        Returns:
            The version of this write, which every row that was put now has.

        Raises:
            Conflict: a row does not have the version expected.
        """

    async def expire(self, *, items_max: int = 500) -> int:
        """Delete rows that have expired, so that they take no room; how many, call again until it is 0."""


def check(changes: tuple[Put | Delete, ...]) -> None:
    """Whether a store can take them; that they are is up to the caller."""
    if not 0 < len(changes) <= CHANGES_MAX or len({each.key for each in changes}) < len(changes):
        raise AssertionError(f"a write has 1 to {CHANGES_MAX} changes, each of another key")
    for each in changes:
        if not 0 < len(each.key.encode()) <= KEY_BYTES_MAX:
            raise AssertionError(f"a key has 1 to {KEY_BYTES_MAX} bytes")
        if isinstance(each, Put) and len(each.value) > VALUE_BYTES_MAX:
            raise AssertionError(f"a value has at most {VALUE_BYTES_MAX} bytes")
