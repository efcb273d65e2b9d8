"""The cases of project Wycheproof for JSON Web Signature and JSON Web Key, against what checks tokens here."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from fire22.core.message import Json
from fire22.security.keys import Key, KeyRefused, from_jwk, from_set
from fire22.security.signature import NotSigned, read

VECTORS = Path(__file__).parents[2] / "vectors" / "wycheproof"

# What is not as the file says, and why; no library can reach all 401.
DISPUTED = {
    346: "a signature by PS384 under a key marked PS256: a key has one algorithm (RFC 8725 section 3.1)",
    350: "the same key",
    347: "the key is for ES521, which does not exist",
    351: "the same key",
    367: "invalid, and byte for byte the same token as case 357, which is valid, under the same key",
    370: "the same token",
    372: "valid only for who drops a `?` inside of base64url, which RFC 7515 section 2 forbids",
    373: "the same in the payload",
}


class Case(Struct):
    """One token."""

    tcId: int
    comment: str
    result: str
    jws: str | dict[str, Json]


class Group(Struct):
    """Tokens under one key or set of keys."""

    tests: list[Case]
    private: dict[str, Any] | None = None
    public: dict[str, Any] | None = None


class File(Struct):
    """All."""

    testGroups: list[Group]


def is_good(case: Case, keys: list[Key]) -> bool:
    """Whether a token is let in by these keys."""
    try:
        if not isinstance(case.jws, str):
            raise NotSigned("not compact")
        read(case.jws, lambda alg, kid: [key for key in keys if key.algorithm == alg and (not kid or key.kid == kid)])
    except NotSigned:
        return False
    return True


def wrong(file: str) -> tuple[int, set[int]]:
    """How many cases there are, and those that come out otherwise."""
    seen, found = 0, set[int]()
    for group in msgspec.json.decode((VECTORS / file).read_bytes(), type=File).testGroups:
        given = group.public or group.private or {}
        try:
            keys = from_set(given)[0] if "keys" in given else [from_jwk(given)]
        except KeyRefused:
            keys = []
        for case in group.tests:
            seen += 1
            if is_good(case, keys) is not (case.result == "valid"):
                print(case.tcId, case.comment, case.result)
                found.add(case.tcId)
    return seen, found


def test_signatures() -> None:
    """393 of the 401 cases come out as the file says; each of the others has its reason."""
    assert wrong("json_web_signature_test.json") == (401, set(DISPUTED))


def test_the_disputed_cases_contradict_the_file_itself() -> None:
    """The two invalid tokens that are let in stand in the file as a valid one, under the same key."""
    groups = msgspec.json.decode((VECTORS / "json_web_signature_test.json").read_bytes(), type=File).testGroups
    [group] = [group for group in groups if any(case.tcId == 357 for case in group.tests)]
    of = {case.tcId: (case.jws, case.result) for case in group.tests}
    assert of[357][1] == "valid"
    for number in (367, 370):
        assert of[number] == (of[357][0], "invalid")


def test_keys() -> None:
    """All 26 cases of weak, mixed, doubled and mislabelled keys come out as the file says."""
    assert wrong("json_web_key_test.json") == (26, set())


@pytest.mark.parametrize("number", [1, 2])
def test_a_set_that_is_none(number: int) -> None:
    """What is no set of keys, or has too many, gives none."""
    with pytest.raises(KeyRefused):
        from_set({"keys": [{}] * 65 if number == 1 else "none"})
