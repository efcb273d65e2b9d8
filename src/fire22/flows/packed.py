"""Rows that are kept in memory only in their stored bytes: for millions of small ones that are seldom looked at.

A dict of bytes costs 160 to 190 bytes for each short row, a dict of structs twice that. Here rows lie one behind the
other in pages of about eight, which a hash of the key chooses: what a row costs is its key, its value and some six
bytes. A row is found by searching its page for its key, about a microsecond.

The pages grow one by one, by linear hashing, so that no insertion ever waits for all of them. They do not become fewer.

Format of a row: 0xC1, the key in UTF-8, 0xC0, the value with 0xC0, 0xC1 and 0xFE escaped. UTF-8 has none of the three,
so 0xC1 begins a row wherever it stands, and no value can be taken for a key.
"""

from binascii import crc32
from collections.abc import Iterable, Iterator
from typing import Final

ROWS_MAX: Final = 8  # in a page, on average
_BEGUN: Final = crc32(b"\xc1")


class Pages:
    """Values by key."""

    def __init__(self) -> None:
        self._pages: list[bytes] = [b""]
        self._low = 0  # the bits of a hash that choose a page; one bit more where that page is there already
        self._high = 1
        self._count = 0
        self._loaded: list[bytes] = []

    def __len__(self) -> int:
        return self._count + len(self._loaded)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        self.settle()
        for page in list(self._pages):
            for row in _rows(page):
                key, _, value = row.partition(b"\xc0")
                yield key.decode(), _restored(value)

    @property
    def size_bytes(self) -> int:
        """What the pages hold."""
        return sum(map(len, self._pages))

    def load(self, key: str, value: bytes) -> None:
        """Add a row that is not there yet; cheaper than `put`, for many of them before the first is asked for."""
        self._loaded.append(b"\xc1%b\xc0%b" % (key.encode(), _escaped(value)))

    def settle(self) -> None:
        """Put what was loaded in its pages."""
        if not self._loaded:
            return
        rows = [b"\xc1%b" % row for page in self._pages for row in _rows(page)] + self._loaded
        self._loaded = []
        count = max(1, -(-len(rows) // ROWS_MAX))
        bits = (count - 1).bit_length()
        self._high = max(1, (1 << bits) - 1)
        self._low = self._high >> 1
        if count > self._high:
            self._low, self._high = self._high, self._high * 2 + 1
        places: list[list[bytes]] = [[] for _ in range(count)]
        low, high = self._low, self._high
        for row in rows:
            hash = crc32(row[: row.index(b"\xc0") + 1])
            place = hash & high
            places[place if place < count else hash & low].append(row)
        self._pages = [b"".join(page) for page in places]
        self._count = len(rows)

    def get(self, key: str) -> bytes | None:
        """A value, or None."""
        if self._loaded:
            self.settle()
        name = b"\xc1%b\xc0" % key.encode()
        hash = crc32(name)
        place = hash & self._high
        page = self._pages[place if place < len(self._pages) else hash & self._low]
        begin = page.find(name)
        if begin < 0:
            return None
        end = page.find(b"\xc1", begin + 1)
        return _restored(page[begin + len(name) : end if end >= 0 else None])

    def update(self, rows: Iterable[tuple[str, bytes | None]]) -> None:
        """Add or replace values; None removes one."""
        self.settle()
        pages = self._pages
        for key, value in rows:
            name = b"\xc1%b\xc0" % key.encode()
            hash = crc32(name)
            place = hash & self._high
            if place >= len(pages):
                place = hash & self._low
            page = pages[place]
            begin = page.find(name)
            if begin >= 0:
                end = page.find(b"\xc1", begin + 1)
                page = page[:begin] + (page[end:] if end >= 0 else b"")
                self._count -= 1
            if value is not None:
                page = b"%b%b%b" % (page, name, _escaped(value))
                self._count += 1
            pages[place] = page
            if self._count > ROWS_MAX * len(pages):
                self._split()

    def _split(self) -> None:
        """Add a page, which takes from one other the rows whose hash has one bit more."""
        source = len(self._pages) - self._low - 1
        bit = self._low + 1
        stay: list[bytes] = [b""]
        go: list[bytes] = [b""]
        for row in _rows(self._pages[source]):
            hash = crc32(row[: row.index(b"\xc0") + 1], _BEGUN)
            (go if hash & bit else stay).append(row)
        self._pages[source] = b"\xc1".join(stay)
        self._pages.append(b"\xc1".join(go))
        if len(self._pages) > self._high:
            self._low, self._high = self._high, self._high * 2 + 1


def _rows(page: bytes) -> list[bytes]:
    """A page's rows, without the byte that each begins with."""
    return page.split(b"\xc1")[1:]


def _escaped(value: bytes) -> bytes:
    return value.replace(b"\xfe", b"\xfe\x00").replace(b"\xc0", b"\xfe\x01").replace(b"\xc1", b"\xfe\x02")


def _restored(value: bytes) -> bytes:
    if b"\xfe" not in value:
        return value
    return value.replace(b"\xfe\x02", b"\xc1").replace(b"\xfe\x01", b"\xc0").replace(b"\xfe\x00", b"\xfe")
