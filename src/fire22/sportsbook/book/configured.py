"""What a source makes of the rows of a book, as the configuration says."""

from pathlib import Path

from fire22.sportsbook.book.schema import Book
from fire22.sportsbook.book.schema import book as book_of
from fire22.sportsbook.book.schema.mapping import read_book_mapping


def book(mapping: str, currency: str) -> Book:
    """What a source makes of the rows of a book.

    Args:
        mapping: file that names its tables and columns; empty for a book of the demo schema.

    Raises:
        SetupError: `mapping_invalid`.
    """
    return book_of(read_book_mapping(Path(mapping), currency) if mapping else None)
