"""A store in memory (see `store/base.py`), for tests of what stands before one. Two of its users may share it."""

from collections.abc import Callable

from fire22.store.base import ABSENT, ANY, Conflict, Delete, Item, Put, check


class MemoryStore:
    """Keeps rows in a dict."""

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.rows: dict[str, Item] = {}
        self._now_ms = now_ms
        self._version = 0

    async def get(self, key: str) -> Item | None:
        """See Store."""
        item = self.rows.get(key)
        return None if item is None or 0 < item.expires_ms <= self._now_ms() else item

    async def list(self, prefix: str, *, after: str = "", limit: int) -> list[Item]:
        """See Store."""
        keys = sorted(key for key in self.rows if key.startswith(prefix) and key > after)
        return [item for key in keys if (item := await self.get(key)) is not None][:limit]

    async def write(self, *changes: Put | Delete) -> int:
        """See Store."""
        check(changes)
        for each in changes:
            item = await self.get(each.key)
            version = ABSENT if item is None else item.version
            if each.expected not in (ANY, version):
                raise Conflict(each.key, version)
        self._version += 1
        for each in changes:
            if isinstance(each, Put):
                self.rows[each.key] = Item(each.key, each.value, self._version, each.expires_ms)
            else:
                self.rows.pop(each.key, None)
        return self._version

    async def expire(self, *, items_max: int = 500) -> int:
        """See Store."""
        expired = [key for key in self.rows if await self.get(key) is None][:items_max]
        for key in expired:
            del self.rows[key]
        return len(expired)
