"""A SQLite file layer on which the power can fail: what was not synced is lost, all of it or at random.

It writes through to real files, so everything else sees them as usual, and remembers for each file the content as of
its last sync and the writes since. `restore` puts on the disk what a machine would find when it starts again. A sync
costs nothing here: the real one is not called.

Limits: a write covers its own bytes only (SQLite's power-safe overwrite, true of disks with checksums or of SSDs); a
new name in a folder is there as soon as it was made.
"""

import itertools
from pathlib import Path
from random import Random
from types import TracebackType

import apsw

SECTOR = 512
_numbers = itertools.count()


class _Content:
    """One file: what is safe, and the changes since as (offset, bytes) or, for a truncation, (size, None)."""

    def __init__(self, safe: bytes) -> None:
        self.safe = safe
        self.pending: list[tuple[int, bytes | None]] = []

    def sync(self) -> None:
        """Everything is safe now."""
        self.safe = self.after(self.pending)
        self.pending = []

    def after(self, changes: list[tuple[int, bytes | None]]) -> bytes:
        """The safe content with some changes."""
        content = bytearray(self.safe)
        for offset, data in changes:
            if data is None:
                del content[offset:]
                continue
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
        return bytes(content)

    def survivors(self, random: Random) -> list[tuple[int, bytes | None]]:
        """Some of the changes that nobody synced, torn at the borders of sectors."""
        kept: list[tuple[int, bytes | None]] = []
        for offset, data in self.pending:
            if data is None:
                if random.random() < 0.5:
                    kept.append((offset, None))
                continue
            start = 0
            while start < len(data):
                end = min(len(data), start + SECTOR - (offset + start) % SECTOR)
                if random.random() < 0.6:
                    kept.append((offset + start, data[start:end]))
                start = end
        return kept


class PowerLoss(apsw.VFS):
    """The file layer; open connections with `vfs=self.name`."""

    def __init__(self) -> None:
        self.name = f"power-loss-{next(_numbers)}"
        super().__init__(self.name, "")
        self.off = False
        self.writes_left = -1
        self._contents: dict[int, _Content] = {}

    def cut_after(self, writes: int) -> None:
        """The power fails at that many writes, syncs and truncations from now."""
        self.writes_left = writes

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":
        """Open a file and remember what it holds."""
        self.check()
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file; without power nothing is deleted."""
        self.spend()
        self._contents.pop(Path(filename).stat().st_ino, None)
        super().xDelete(filename, syncdir)

    def excepthook(
        self, etype: type[BaseException] | None, evalue: BaseException | None, etraceback: TracebackType | None
    ) -> bool:
        """What SQLite cannot report, since it was closing or tidying up: only the loss of power is to be expected."""
        return self.off or super().excepthook(etype, evalue, etraceback)

    def content(self, path: Path) -> _Content:
        """What is known of the file at `path`."""
        inode = path.stat().st_ino
        if inode not in self._contents:
            self._contents[inode] = _Content(path.read_bytes())
        return self._contents[inode]

    def check(self) -> None:
        """Fails where there is no power."""
        if self.off:
            raise apsw.IOError("the power is off")

    def spend(self) -> None:
        """Count an operation; the last one does not happen."""
        self.check()
        if self.writes_left == 0:
            self.off = True
            self.check()
        self.writes_left -= 1

    def restore(self, folder: Path, random: Random | None) -> None:
        """The machine starts again: put the safe contents in place, with a random part of the rest if asked for.

        Every connection must be closed.
        """
        for path in sorted(folder.iterdir()):
            if path.name.endswith("-shm"):
                path.unlink()
                continue
            content = self._contents.get(path.stat().st_ino)
            if content is not None:
                path.write_bytes(content.after(content.survivors(random) if random else []))
        self._contents = {}
        self.off = False
        self.writes_left = -1


class _File(apsw.VFSFile):
    def __init__(self, vfs: PowerLoss, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._vfs = vfs
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._content = vfs.content(Path(path)) if path else _Content(b"")

    def excepthook(
        self, etype: type[BaseException] | None, evalue: BaseException | None, etraceback: TracebackType | None
    ) -> bool:
        return self._vfs.off or super().excepthook(etype, evalue, etraceback)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._vfs.spend()
        self._content.pending.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._vfs.spend()
        self._content.pending.append((newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._vfs.spend()
        self._content.sync()
