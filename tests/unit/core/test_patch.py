"""Merge patches: RFC 7396's own cases, and what our documents add to them."""

from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from fire22.core.message import Json
from fire22.core.patch import Document, apply, compose, diff

VECTORS = Path(__file__).parents[2] / "vectors" / "merge_patch.json"


class Case(Struct, frozen=True):
    """One case of the vectors."""

    name: str
    target: Json
    patch: Json
    result: Json


CASES = msgspec.json.decode(VECTORS.read_bytes(), type=list[Case])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vectors(case: Case) -> None:
    """A patch does what RFC 7396 says, as it does in the JavaScript client."""
    assert apply(case.target, case.patch) == case.result


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_arguments_stay_as_they_were(case: Case) -> None:
    """Whoever holds a document keeps it when a patch for it comes."""
    before = msgspec.json.encode([case.target, case.patch])
    apply(case.target, case.patch)
    assert msgspec.json.encode([case.target, case.patch]) == before


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": False}, {"a": 0}, {"a": 0}),
        ({"a": 1, "b": 2}, {"b": 2}, {"a": None}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
        ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, {"a": [1, {"b": 3}]}),
        ({"a": [1]}, {"a": [1]}, {}),
    ],
)
def test_diff(old: Document, new: Document, patch: Document) -> None:
    """A view's subscriber gets what changed and no more."""
    found = diff(old, new)
    assert msgspec.json.encode(found, order="sorted") == msgspec.json.encode(patch, order="sorted")


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": {"c": None}}, {"a": {"b": 1, "c": None}}),
        ({"a": None}, {"a": 1}, {"a": 1}),
        ({"a": None}, {"a": {"b": 1}}, None),
        ({"a": {"b": None}}, {"a": {"b": {"c": 1}}}, None),
        ({"a": 1}, {"a": {"b": 2}}, None),
        ({"a": [1]}, {"a": {"b": None}}, None),
    ],
)
def test_compose(first: Document, second: Document, both: Document | None) -> None:
    """Two patches become one, or none where the first's removal (or value) would be undone by merging."""
    assert compose(first, second) == both
