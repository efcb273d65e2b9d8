"""The archive as JSON and CSV."""

import csv
import io
from random import Random

import msgspec
import pytest

from fire22.core.errors import RequestError
from fire22.core.message import Json
from fire22.feed.base import Archived
from fire22.gateways.http import archive
from fire22.gateways.http.archive import Asked
from fire22.gateways.turns import at_once

AT_MS = 1_772_366_400_000


def document(key: str, body: dict[str, Json], revision: int = 1) -> Archived:
    """A document of the archive."""
    return Archived("figures", "/M1", key, revision, AT_MS, msgspec.json.encode(body))


def table(*documents: Archived) -> list[list[str]]:
    """What a spreadsheet reads."""
    return list(csv.reader(io.StringIO(at_once(archive.as_csv(documents)).decode(), newline=""), strict=True))


def test_a_page_as_csv() -> None:
    """A bookkeeper opens a week in a spreadsheet: a column for each field, money as numbers, no field lost."""
    text = at_once(
        archive.as_csv(
            [
                document("2026-03-01", {"revenue": -12.5, "change": {"revenue": 1, "deep": {"x": True}}}),
                document("2026-03-02", {"hold": 4.25, "tags": ["a", {"b": 1}], "name": 'a "b", c'}, 2),
            ]
        )
    )
    assert text.decode() == (
        "key,revision,at,revenue,change.revenue,change.deep.x,hold,tags,name\r\n"
        "2026-03-01,1,2026-03-01T12:00:00.000Z,-12.5,1,true,,,\r\n"
        '2026-03-02,2,2026-03-01T12:00:00.000Z,,,,4.25,"[""a"",{""b"":1}]","a ""b"", c"\r\n'
    )


def test_an_empty_page_as_csv() -> None:
    """A table without rows still says what it is."""
    assert at_once(archive.as_csv([])) == b"key,revision,at\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\x00=1",
        " =1",
        "\u00a0=1",
        "\ufeff=1",
        "\uff1d1",
        "\uff201",
    ],
)
def test_no_text_is_a_formula(text: str) -> None:
    """A customer's name cannot run in the spreadsheet of the book; a negative number stays one."""
    [_, row] = table(document("k", {"name": text, "value": -1}))
    assert row[3:] == [f"'{text}", "-1"]
    [head, row] = table(document(text, {text: 1}))
    assert (row[0], head[3]) == (f"'{text}", f"'{text}")


def test_fields_named_as_the_first_columns() -> None:
    """A document with a field `key` hides neither its own key nor the field."""
    [head, row] = table(document("k", {"key": "inner", "at": 7}))
    assert dict(zip(head, row, strict=True)) == {
        "key": "k", "revision": "1", "at": "2026-03-01T12:00:00.000Z", "data.key": "inner", "data.at": "7",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_any_text_comes_back(seed: int) -> None:
    """Whatever a name holds, a reader of RFC 4180 gets it back, cell by cell."""
    random = Random(seed)
    documents = [
        document(f"k{row}", {f"f{column}": "".join(random.choices('a,"\r\n\tÄ𝄞;= ', k=6)) for column in range(4)})
        for row in range(5)
    ]
    rows = table(*documents)
    for row, each in zip(rows[1:], documents, strict=True):
        wanted = list(msgspec.json.decode(each.body).values())
        assert [cell.removeprefix("'") for cell in row[3:]] == wanted, f"seed {seed}"


@pytest.mark.parametrize(
    ("scope", "asked", "name"),
    [
        ("/", Asked(), "figures.json"),
        ("/M1/A7/@C12", Asked(from_="2026-03", to="2026-04", format="csv"), "figures_M1-A7-C12_2026-03_2026-04.csv"),
        ("/", Asked(from_='../"\r\nx: y', format="csv"), "figures_x-y.csv"),
        ("/", Asked(from_="ä" * 300, to="x" * 300), "figures_" + "x" * 142 + ".json"),
    ],
)
def test_file_names(scope: str, asked: Asked, name: str) -> None:
    """A browser saves a page under a name that says what it is, and nobody's parameter gets into a header."""
    assert archive.file_name("figures", scope, asked) == name


@pytest.mark.parametrize("key", ["2026-03-01", "a b&c=d", "1:2", "", "ä\n"])
def test_a_page_says_where_the_next_begins(key: str) -> None:
    """What a page says as `after` is understood as what it was, whatever the key holds."""
    said = archive.after([document("a", {}), document(key, {}, 3)])
    assert archive.parse({"after": said}).position == (key, 3)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "10001"}, {"limit": "x"}, {"limit": "-1"}, {"format": "xml"}, {"revisions": "1"},
        {"from": "x" * 513}, {"until": "x"}, {"from_": "x"},
    ],
)  # fmt: skip
def test_wrong_parameters(query: dict[str, str]) -> None:
    """What cannot be served is refused rather than guessed at."""
    with pytest.raises(RequestError, match="not valid"):
        archive.parse(query)


@pytest.mark.parametrize("after", ["", "x", "1", ":a", "-1:a", "9" * 30 + ":a"])
def test_wrong_after(after: str) -> None:
    """A made-up place to go on from is refused."""
    with pytest.raises(RequestError, match="after"):
        print(archive.parse({"after": after}).position)
