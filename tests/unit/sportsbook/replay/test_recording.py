"""Recorded files: read by a mapping, exactly, with errors that name the place."""

import gzip
from pathlib import Path

import pytest

from fire22.core import codes
from fire22.core.errors import Fire22Error, SetupError, SourceError
from fire22.sportsbook.replay.recording import Mapping, Recording, Row, read_mapping

EXAMPLE = Path(__file__).parents[4] / "examples" / "bustabit.toml"
MAPPING = """
[file]
format = "csv"
nulls = ["", "NA"]
[columns]
id = "Id"
customer = "Player"
stake = "Bet"
profit = "Profit"
placed_at = "PlayDate"
"""
HEADER = "Id,GameID,Player,Bet,CashedOut,Bonus,Profit,BustedAt,PlayDate\n"
T0 = 1_477_928_634_000  # 2016-10-31T15:43:54Z


def mapping_of(tmp_path: Path, text: str) -> Mapping:
    """Read a mapping from text."""
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    return read_mapping(file)


def rows_of(path: Path, mapping: Mapping) -> list[Row]:
    """All rows of a file."""
    recording = Recording(path, mapping)
    try:
        return list(recording.rows())
    finally:
        recording.close()


def csv_rows(tmp_path: Path, text: str, mapping: str = MAPPING) -> list[Row]:
    """All rows of a CSV text."""
    file = tmp_path / "file.csv"
    file.write_text(text, newline="")
    return rows_of(file, mapping_of(tmp_path, mapping))


def test_the_shipped_mapping_reads_its_rows(tmp_path: Path) -> None:
    """A win returns stake and profit, NA returns nothing; amounts in any notation are exact."""
    file = tmp_path / "wagers.csv.gz"
    lines = (
        "4336,3294827,P00006,4,1.1,3.25,0.53,1.63,2016-10-31T15:43:54Z\n"
        "4337,3294827,P00007,100,NA,NA,NA,1.25,2016-10-31T15:43:54Z\n"
        "4338,3294827,P00008,2000,2,0,2e3,6.51,2016-10-31T15:43:55Z\n"
    )
    file.write_bytes(gzip.compress((HEADER + lines).encode()))
    assert rows_of(file, read_mapping(EXAMPLE)) == [
        Row(2, "4336", "P00006", "/BB", 400, 453, T0, T0),
        Row(3, "4337", "P00007", "/BB", 10_000, 0, T0, T0),
        Row(4, "4338", "P00008", "/BB", 200_000, 400_000, T0 + 1000, T0 + 1000),
    ]


def test_json_lines_are_read_without_floats(tmp_path: Path) -> None:
    """Numbers with fractions stay exact; a wager without a return is open; times and paths come from the file."""
    file = tmp_path / "wagers.jsonl"
    file.write_text(
        '{"id": 1, "who": "C1", "risk": 0.07, "back": 1.005, "at": 1477928634, "end": 1477928635.5, "path": "/M1/A7"}\n'
        "\n"
        '{"id": 2, "who": "C1", "risk": "10", "back": null, "at": 1477928634}\n'
    )
    mapping = mapping_of(
        tmp_path,
        '[file]\nformat = "jsonl"\n[columns]\nid = "id"\ncustomer = "who"\nstake = "risk"\nreturned = "back"\n'
        'placed_at = "at"\nsettled_at = "end"\nagent_path = "path"\n[units]\ntime = "unix_s"\n',
    )
    assert rows_of(file, mapping) == [
        Row(1, "1", "C1", "/M1/A7", 7, 101, T0, T0 + 1500),
        Row(3, "2", "C1", "/R", 1000, None, T0, T0),
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MAPPING + 'stakes = "x"\n', "stakes"),
        (MAPPING.replace('"Bet"', "7"), "columns.stake"),
        (MAPPING.replace('id = "Id"\n', ""), "id"),
        (MAPPING.replace('"csv"', '"xml"'), "file.format"),
        (MAPPING.replace('profit = "Profit"\n', ""), "columns.profit"),
        (MAPPING + 'returned = "x"\n', "columns.returned"),
        (MAPPING + "[units]\nmoney_decimals = 99\n", "units.money_decimals"),
        (MAPPING + '[book]\nagent_path = "BB"\n', "book.agent_path"),
        (MAPPING + '[book]\nagent_path = "/A/@C1"\n', "book.agent_path"),
        ("not toml", "mapping.toml"),
    ],
)
def test_a_wrong_mapping_names_the_key(tmp_path: Path, text: str, key: str) -> None:
    """An unknown key, a wrong type or a missing key says which."""
    with pytest.raises(SetupError) as caught:
        mapping_of(tmp_path, text)
    assert caught.value.code is codes.MAPPING_INVALID
    assert key in caught.value.message


def test_a_missing_mapping_is_named(tmp_path: Path) -> None:
    """A wrong path is a clear error."""
    with pytest.raises(SetupError) as caught:
        read_mapping(tmp_path / "none.toml")
    assert caught.value.code is codes.MAPPING_INVALID


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,g,P1,x,NA,NA,NA,1,2016-10-31T15:43:54Z\n", "column Bet: not a number"),
        ("1,g,P1,NaN,NA,NA,NA,1,2016-10-31T15:43:54Z\n", "column Bet: not a finite number"),
        ("1,g,P1,-5,NA,NA,NA,1,2016-10-31T15:43:54Z\n", "column Bet: is negative"),
        ("1,g,P1,NA,NA,NA,NA,1,2016-10-31T15:43:54Z\n", "column Bet: has no value"),
        ("1,g,P1,5,NA,NA,-6,1,2016-10-31T15:43:54Z\n", "column Profit: makes the return negative"),
        ("1,g,P 1,5,NA,NA,NA,1,2016-10-31T15:43:54Z\n", "column Player: not a code"),
        ("1,g,P1,5,NA,NA,NA,1,yesterday\n", "column PlayDate: "),
        (",g,P1,5,NA,NA,NA,1,2016-10-31T15:43:54Z\n", "column Id: has no value"),
        ("1,g,P1,5\n", "4 columns in place of 9"),
        ('1,g,"P1,5\n', "line 3"),
    ],
)
def test_a_bad_row_names_line_and_column(tmp_path: Path, row: str, words: str) -> None:
    """Whoever made the file finds the place."""
    good = "0,g,P1,5,NA,NA,NA,1,2016-10-31T15:43:54Z\n"
    with pytest.raises(SourceError) as caught:
        csv_rows(tmp_path, HEADER + good + row)
    assert caught.value.code is codes.INPUT_INVALID
    assert words in caught.value.message
    assert "file.csv line 3" in caught.value.message


def test_a_column_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    """A mapping for another file is said to be that."""
    with pytest.raises(SetupError) as caught:
        csv_rows(tmp_path, "Id,Player\n1,P1\n")
    assert caught.value.code is codes.MAPPING_INVALID
    assert "columns.stake" in caught.value.message


@pytest.mark.parametrize(
    "content", [b"not gzip at all", gzip.compress(HEADER.encode() * 100, mtime=0)[:-30]], ids=["other", "cut"]
)
def test_a_damaged_archive_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is not gzip, or is cut off, is an error with a code."""
    file = tmp_path / "wagers.csv.gz"
    file.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        rows_of(file, read_mapping(EXAMPLE))
    assert caught.value.code is codes.INPUT_INVALID


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """Another encoding is an error with a code."""
    file = tmp_path / "wagers.csv"
    file.write_bytes(HEADER.encode() + b"1,g,\xff,5,NA,NA,NA,1,2016-10-31T15:43:54Z\n")
    with pytest.raises(Fire22Error) as caught:
        rows_of(file, read_mapping(EXAMPLE))
    assert caught.value.code is codes.INPUT_INVALID


def test_a_settlement_before_its_wager_is_refused(tmp_path: Path) -> None:
    """Nothing is settled before it was placed."""
    mapping = MAPPING + 'settled_at = "BustedAt"\n'
    with pytest.raises(SourceError, match="BustedAt: is before"):
        csv_rows(tmp_path, HEADER + "1,g,P1,5,NA,NA,NA,2016-10-31T15:43:53Z,2016-10-31T15:43:54Z\n", mapping)
