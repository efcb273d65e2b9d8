"""The checksum of a row of a mirror: what is read equals what was written, or is refused as damage.

It is the CRC-32 of the row's values in MessagePack, begun with the table's name, so that neither a changed bit nor a
row of another table passes. It finds damage by disks and memory, not a forger, who could work it out anew. A row costs
about a microsecond.
"""

import zlib
from typing import Any, Final

import apsw
import msgspec

from fire22.core.outbox import Values

COLUMN: Final = "fire22_seal"  # beside the columns of each table
BYTES: Final = 4  # of a row that is kept as one value
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[Any, ...]).decode


class Seal:
    """Seals the rows of one table.

    Args:
        table: its name.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._begin = zlib.crc32(table.encode())

    def of(self, row: Values) -> int:
        """What is stored beside a row."""
        return zlib.crc32(_encode(row), self._begin)

    def checked(self, stored: Values) -> Values:
        """The row of what was read: its values and its seal.

        Raises:
            apsw.CorruptError: it is not the row that was written.
        """
        row = stored[:-1]
        if zlib.crc32(_encode(row), self._begin) != stored[-1]:
            raise apsw.CorruptError(f"row {row[0]!r} of {self._table} is not what was written")
        return row

    def packed(self, row: Values) -> bytes:
        """A row and its seal as one value; equal rows are equal values."""
        encoded = _encode(row)
        return encoded + zlib.crc32(encoded, self._begin).to_bytes(BYTES, "big")

    def unpacked(self, stored: bytes) -> Values:
        """The row of `packed`.

        Raises:
            apsw.CorruptError: it is not what was written.
        """
        encoded = stored[:-BYTES]
        if zlib.crc32(encoded, self._begin).to_bytes(BYTES, "big") != stored[-BYTES:]:
            raise apsw.CorruptError(f"another row of a key in {self._table} is not what was written")
        return _decode(encoded)
