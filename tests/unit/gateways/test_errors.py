"""Error codes: each once, and each with its place on every transport."""

import re
import subprocess
import sys

import pytest

from fire22.core import codes
from fire22.core.codes import Close, Code
from fire22.core.errors import AuthError, Fire22Error, RequestError, StorageError
from fire22.core.frames import may_be_sent
from fire22.core.message import encode_json
from fire22.gateways.errors import as_message, close_code, http_status
from fire22.sportsbook.betting import codes as betting_codes

ALL = list(codes.ALL.values())


@pytest.mark.parametrize("code", ALL, ids=lambda code: code.name)
def test_each_code(code: Code) -> None:
    """A program can rely on the word, a person on the sentence, and each transport has a status for it."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code.name)
    assert code.meaning.endswith(".")
    status = http_status(Fire22Error(code, ""))
    assert 400 <= status < 600
    assert may_be_sent(close_code(Fire22Error(code, "")))
    # Whoever may come back with the same request is told by a status that says so.
    assert (status >= 500 or status == 429) is (code.temporary or code in (codes.STORAGE_CORRUPT, codes.FOLD_STOPPED))


def test_codes_are_listed_once() -> None:
    """The table of codes has each name that the server's module and the domain's have, under that name."""
    places = {**vars(codes), **vars(betting_codes)}
    named = {value.name: name for name, value in places.items() if isinstance(value, Code)}
    assert named.keys() == codes.ALL.keys()
    assert all(constant.lower() == name for name, constant in named.items())


def test_the_server_knows_no_code_of_betting() -> None:
    """Another domain brings other codes: those of the sportsbook come with the sportsbook, and with their statuses."""
    loaded = subprocess.run(
        [sys.executable, "-c", "from fire22.core import codes; import fire22.gateways.errors; print(*codes.ALL)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    own = {value.name for value in vars(betting_codes).values() if isinstance(value, Code)}
    assert own
    assert not own & set(loaded)
    assert {code.status for code in ALL if code.name in own} == {None, 404, 409}


def test_close_codes_are_unique() -> None:
    """A close code says one thing, and may be sent."""
    numbers = [number for name, number in vars(Close).items() if name.isupper()]
    assert len(set(numbers)) == len(numbers)
    assert all(may_be_sent(number) for number in numbers)


@pytest.mark.parametrize(
    ("error", "status", "close"),
    [
        (AuthError(codes.AUTH_REQUIRED, ""), 401, 1008),
        (AuthError(codes.TOKEN_EXPIRED, ""), 401, 1008),
        (RequestError(codes.SCOPE_FORBIDDEN, ""), 403, 1011),
        (RequestError(codes.FILTER_INVALID, ""), 400, 1011),
        (RequestError(codes.ID_CONFLICT, ""), 409, 1011),
        (RequestError(codes.MESSAGE_TOO_LARGE, ""), 413, 1009),
        (RequestError(codes.OVERLOADED, ""), 503, 1013),
        (RequestError(codes.RESTARTING, ""), 503, 1012),
        (StorageError(codes.STORAGE_FULL, ""), 507, 1011),
        (RequestError(codes.STALLED, ""), 503, 4000),
    ],
)
def test_mapping(error: Fire22Error, status: int, close: int) -> None:
    """What went wrong is said in the words of the transport."""
    assert http_status(error) == status
    assert close_code(error) == close


def test_error_message() -> None:
    """An error is one shape everywhere: flat, and the same again in `data`."""
    error = RequestError(codes.OVERLOADED, "Later.", details={"index": 3}, retry_after_s=2.5)
    assert encode_json(as_message(error, 0, id=7)) == (
        b'{"type":"error","timestamp":"1970-01-01T00:00:00.000Z",'
        b'"data":{"code":"overloaded","message":"Later.","retryAfter":2.5,"details":{"index":3}},'
        b'"id":7,"code":"overloaded","message":"Later.","retryAfter":2.5,"details":{"index":3}}'
    )
    assert encode_json(as_message(RequestError(codes.FORBIDDEN, "No."), 0, kind="connection_error")) == (
        b'{"type":"connection_error","timestamp":"1970-01-01T00:00:00.000Z",'
        b'"data":{"code":"forbidden","message":"No."},"code":"forbidden","message":"No."}'
    )


def test_temporary_follows_from_the_code() -> None:
    """A caller asks the error whether to try again, and one error may know better than its code."""
    assert Fire22Error(codes.BOOK_LOCKED, "").temporary
    assert not Fire22Error(codes.BOOK_CORRUPT, "").temporary
    assert not Fire22Error(codes.STORAGE_FAILED, "", temporary=False).temporary
    assert str(Fire22Error(codes.FORBIDDEN, "No.")) == "No. [forbidden]"
