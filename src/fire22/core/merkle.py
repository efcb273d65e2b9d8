"""Merkle trees over a growing list, as of RFC 9162 section 2.1: one hash says what is in the list, and in which order.

A proof of inclusion shows with about log2(n) hashes that an entry is in a list of which only the root is known; a
proof of consistency, that a list has only grown since an earlier root.
"""

import hashlib
from collections.abc import Sequence

EMPTY = hashlib.sha256(b"").digest()


def leaf(entry: bytes) -> bytes:
    """The hash of an entry; no inner node can have it."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def grow(peaks: list[bytes], size: int, hash: bytes) -> None:
    """Append a leaf's hash to a list of `size` leaves, of which only the roots of the full sub-trees are kept."""
    while size & 1:
        hash = node(peaks.pop(), hash)
        size >>= 1
    peaks.append(hash)


def root(peaks: Sequence[bytes]) -> bytes:
    """The root of a list whose full sub-trees have these roots, the largest first."""
    if not peaks:
        return EMPTY
    found = peaks[-1]
    for peak in reversed(peaks[:-1]):
        found = node(peak, found)
    return found


class Tree:
    """The whole tree, for proofs."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0])

    def append(self, hash: bytes) -> None:
        """Append a leaf's hash."""
        for level in self._levels:
            level.append(hash)
            if len(level) & 1:
                return
            hash = node(level[-2], level[-1])
        self._levels.append([hash])

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves; of all where that is None."""
        end = self.size if size is None else size
        return self._root(0, end) if end else EMPTY

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that leaf `index` is among the first `size` (section 2.1.3.1)."""
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _below(end - start)
            if index < middle:
                path.append(self._root(middle, end))
                end = middle
            else:
                path.append(self._root(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, earlier: int, size: int) -> list[bytes]:
        """The proof that the first `size` leaves begin with the first `earlier` ones (section 2.1.4.1)."""
        if not 0 < earlier < size:
            return []
        path: list[bytes] = []
        start, end, whole = 0, size, True
        while earlier != end:
            middle = start + _below(end - start)
            if earlier <= middle:
                path.append(self._root(middle, end))
                end = middle
            else:
                path.append(self._root(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._root(start, end))
        return path[::-1]

    def _root(self, start: int, end: int) -> bytes:
        width = end - start
        if width & (width - 1) == 0:
            return self._levels[width.bit_length() - 1][start // width]
        middle = start + _below(width)
        return node(self._root(start, middle), self._root(middle, end))


def includes(hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that a leaf with this hash is in the tree (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last = index, size - 1
    for each in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            hash = node(each, hash)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            hash = node(hash, each)
        at, last = at >> 1, last >> 1
    return last == 0 and hash == root


def extends(earlier: int, earlier_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that the later tree begins with the earlier one (section 2.1.4.2)."""
    if not 0 < earlier <= size:
        return False
    if earlier == size:
        return not path and earlier_root == root
    hashes = [earlier_root, *path] if earlier & (earlier - 1) == 0 else list(path)
    if not hashes:
        return False
    at, last = earlier - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node(each, first), node(each, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = node(second, each)
        at, last = at >> 1, last >> 1
    return last == 0 and first == earlier_root and second == root


def _below(width: int) -> int:
    """The largest power of two below a width of at least two."""
    return 1 << ((width - 1).bit_length() - 1)
