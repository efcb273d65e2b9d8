"""Filters: what a client may ask for, and what passes."""

import pytest

from fire22.core.errors import RequestError
from fire22.core.filter import FIELDS_MAX, VALUES_MAX, parse_filter
from fire22.core.message import Json

FIELDS = ("status", "amount", "live", "at", *(f"f{number}" for number in range(10)))


def passes(filter: dict[str, Json], data: dict[str, Json]) -> bool:
    """Whether a message with this data reaches a subscriber with this filter."""
    parsed = parse_filter(filter, FIELDS, "wagers")
    assert parsed is not None
    return parsed.matches(data)


@pytest.mark.parametrize(
    ("filter", "data", "expected"),
    [
        ({"status": "open"}, {"status": "open"}, True),
        ({"status": "open"}, {"status": "won"}, False),
        ({"status": "open"}, {}, False),
        ({"status": "open"}, {"status": None}, False),
        ({"status": "open"}, {"status": ["open"]}, False),
        ({"status": ["open", "won"]}, {"status": "won"}, True),
        ({"status": ["open", 1]}, {"status": "won"}, False),
        ({"amount": 5}, {"amount": 5.0}, True),
        ({"amount": 1}, {"amount": True}, False),
        ({"live": True}, {"live": 1}, False),
        ({"live": False}, {"live": False}, True),
        ({"amount": {"gte": 5}}, {"amount": 5}, True),
        ({"amount": {"gte": 5}}, {"amount": 4.99}, False),
        ({"amount": {"lte": 5}}, {"amount": 5}, True),
        ({"amount": {"gte": 5, "lte": 7}}, {"amount": 6.5}, True),
        ({"amount": {"gte": 5, "lte": 7}}, {"amount": 8}, False),
        ({"amount": {"gte": 5}}, {"amount": "6"}, False),
        ({"amount": {"gte": 0}}, {"amount": True}, False),
        ({"amount": {"gte": 0, "lte": "x"}}, {"amount": 1}, False),
        ({"at": {"gte": "2026-01-01", "lte": "2026-02"}}, {"at": "2026-01-31T00:00:00Z"}, True),
        ({"at": {"gte": "2026-01-01"}}, {"at": "2025-12-31"}, False),
        ({"at": {"gte": ""}}, {"at": 5}, False),
        ({"status": "open", "amount": {"gte": 5}}, {"status": "open", "amount": 4}, False),
        ({"status": "open", "amount": {"gte": 5}}, {"status": "open", "amount": 5}, True),
    ],
)
def test_matching(filter: dict[str, Json], data: dict[str, Json], expected: bool) -> None:
    """A subscriber gets what meets every condition, compared as JSON compares."""
    assert passes(filter, data) is expected


def test_nothing_asked() -> None:
    """No filter and an empty one are the same lane."""
    assert parse_filter(None, FIELDS, "wagers") is None
    assert parse_filter({}, FIELDS, "wagers") is None


def test_equal_filters_are_one_lane() -> None:
    """The order of fields and of values, and values said twice, do not make another lane."""
    one = parse_filter({"status": ["won", "open", "open"], "amount": 1}, FIELDS, "wagers")
    other = parse_filter({"amount": 1, "status": ["open", "won"]}, FIELDS, "wagers")
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [({"live": True}, {"live": 1}), ({"live": [True, "a"]}, {"live": [1, "a"]}), ({"live": False}, {"live": 0})],
)
def test_different_filters_are_different_lanes(one: dict[str, Json], other: dict[str, Json]) -> None:
    """`true` and `1` are different values, so whoever asks for one never shares a lane with who asks for the other."""
    assert parse_filter(one, FIELDS, "wagers") != parse_filter(other, FIELDS, "wagers")


def test_both_true_and_one() -> None:
    """A list may hold values that Python takes for equal, and each of them passes."""
    for value in (True, 1):
        assert passes({"live": [True, 1]}, {"live": value})
        assert passes({"live": [1, True]}, {"live": value})


@pytest.mark.parametrize(
    ("filter", "code"),
    [
        ({"colour": 1}, "filter_field_unknown"),
        ({"status": None}, "filter_invalid"),
        ({"status": []}, "filter_invalid"),
        ({"status": [None]}, "filter_invalid"),
        ({"status": [["open"]]}, "filter_invalid"),
        ({"status": {}}, "filter_invalid"),
        ({"status": {"gt": 5}}, "filter_invalid"),
        ({"status": {"gte": None}}, "filter_invalid"),
        ({"status": {"gte": True}}, "filter_invalid"),
        ({"status": {"gte": [1]}}, "filter_invalid"),
        ({"status": list(range(VALUES_MAX + 1))}, "filter_invalid"),
        ({f"f{number}": 1 for number in range(FIELDS_MAX + 1)}, "filter_invalid"),
    ],
)
def test_refused(filter: dict[str, Json], code: str) -> None:
    """A filter that cannot be served is refused with a code, and the message names the field."""
    with pytest.raises(RequestError) as caught:
        parse_filter(filter, FIELDS, "wagers")
    assert caught.value.code.name == code
    if len(filter) == 1:
        assert next(iter(filter)) in caught.value.message


def test_limits() -> None:
    """As many fields and values as are allowed are taken."""
    parse_filter({f"f{number}": 1 for number in range(FIELDS_MAX)}, FIELDS, "wagers")
    parse_filter({"status": list(range(VALUES_MAX))}, FIELDS, "wagers")
