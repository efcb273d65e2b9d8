"""The archive over HTTP: what is asked for, and a page of it as JSON or as CSV.

CSV follows RFC 4180: a header, CRLF, quotes doubled. A document's inner objects become columns named by their path
(`change.revenue`); an array is one cell of JSON. A text that a spreadsheet would take for a formula has an apostrophe
before it.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Raw, Struct

from fire22.core import codes
from fire22.core.command import as_number
from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.core.times import to_text
from fire22.feed.base import Archived
from fire22.gateways.turns import Work

LIMIT_MAX: Final = 10_000
PIECE_DOCUMENTS: Final = 16  # of a page, between two pauses
CSV: Final = "text/csv; charset=utf-8; header=present"
# What a spreadsheet may take for the beginning of a formula, in full width too; blanks and controls before it it skips.
_FORMULA: Final = re.compile(r"[\s\x00-\x1f\x7f\u200b\ufeff]*[=+\-@＝＋－＠]|[\t\r\n\x00]")
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_AFTER: Final = re.compile(r"([0-9]{1,18}):(.*)", re.DOTALL)
_encode: Final = msgspec.json.Encoder().encode
_document: Final = msgspec.json.Decoder(dict[str, Json])
Key = Annotated[str, Meta(max_length=512)]


class Asked(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The parameters of a request.

    Args:
        from_: the first key.
        to: the last, with all that begin with it.
        revisions: the newest of each key, or all.
        after: where the page before ended, as it was said there.
    """

    scope: str | None = None
    from_: Key = msgspec.field(name="from", default="")
    to: Key | None = None
    revisions: Literal["newest", "all"] = "newest"
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 1_000
    format: Literal["json", "csv"] = "json"
    after: Key | None = None

    @property
    def position(self) -> tuple[str, int] | None:
        """The key and the revision after which the page begins.

        Raises:
            RequestError: `command_invalid`.
        """
        if self.after is None:
            return None
        found = _AFTER.fullmatch(self.after)
        if found is None:
            raise RequestError(codes.COMMAND_INVALID, "`after` is not what an earlier page said.")
        return found[2], int(found[1])


class _Document(Struct):
    key: str
    revision: int
    at: str
    data: Raw


class _Page(Struct, omit_defaults=True):
    topic: str
    scope: str
    documents: Raw
    after: str | None = None


def parse(query: Mapping[str, str]) -> Asked:
    """The parameters of a request.

    Raises:
        RequestError: `command_invalid` names what is wrong.
    """
    asked = {name: as_number(value) if name == "limit" else value for name, value in query.items()}
    try:
        return msgspec.convert(asked, Asked)
    except msgspec.ValidationError as error:
        raise RequestError(codes.COMMAND_INVALID, f"The request is not valid: {error}.") from None


def after(page: Sequence[Archived]) -> str:
    """What the next page is asked for with."""
    return f"{page[-1].revision}:{page[-1].key}"


def next_link(query: Mapping[str, str], position: str) -> str:
    """The `Link` to the next page (RFC 8288), relative to the address that was asked, whatever path a proxy adds."""
    return f'<?{urlencode({**query, "after": position})}>; rel="next"'


def file_name(topic: str, scope: str, asked: Asked) -> str:
    """Under which a browser saves a page: of letters that every system takes."""
    parts = [topic, *(part for part in (scope, asked.from_, asked.to or "") if part)]
    names = [name for part in parts if (name := _NOT_IN_A_NAME.sub("-", part).strip("-."))]
    return f"{'_'.join(names)[:150]}.{asked.format}"


def as_json(topic: str, scope: str, page: Sequence[Archived], position: str | None) -> Work[bytes]:
    """A page as the body of an answer, made in pieces."""
    said: list[bytes] = []
    for start in range(0, len(page), PIECE_DOCUMENTS):
        part = page[start : start + PIECE_DOCUMENTS]
        documents = [_Document(each.key, each.revision, to_text(each.at_ms), Raw(each.body)) for each in part]
        said.append(_encode(documents)[1:-1])
        yield None
    return _encode(_Page(topic, scope, Raw(b"[%b]" % b",".join(said)), position))


def as_csv(page: Sequence[Archived]) -> Work[bytes]:
    """A page as a table, made in pieces: the key, the revision, the time, and a column for each field that any document
    has."""
    rows: list[dict[str, str]] = []
    columns: dict[str, None] = dict.fromkeys(("key", "revision", "at"))
    for number, each in enumerate(page, start=1):
        row = {"key": _guarded(each.key), "revision": str(each.revision), "at": to_text(each.at_ms)}
        _flatten(_document.decode(each.body), "", row)
        columns.update(dict.fromkeys(row))
        rows.append(row)
        if number % PIECE_DOCUMENTS == 0:
            yield None
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_guarded(name) for name in columns])
    for start in range(0, len(rows), PIECE_DOCUMENTS):
        writer.writerows([row.get(name, "") for name in columns] for row in rows[start : start + PIECE_DOCUMENTS])
        yield None
    return text.getvalue().encode()


def _flatten(document: Mapping[str, Json], path: str, row: dict[str, str]) -> None:
    for name, value in document.items():
        column = f"{path}{name}"
        if isinstance(value, dict):
            _flatten(value, f"{column}.", row)
        else:
            # A field of the document that is named as one of the first columns stands beside it.
            row[f"data.{column}" if column in ("key", "revision", "at") else column] = _cell(value)


def _cell(value: Json) -> str:
    return _guarded(value) if isinstance(value, str) else _encode(value).decode()


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
