"""The facts of a sportsbook: what is accepted, what is refused."""

import msgspec
import pytest
from msgspec import Raw

from fire22.sportsbook.betting import facts
from fire22.sportsbook.betting.facts import FACTS
from fire22.sportsbook.domain import decode

PLACED = {
    "wagerId": "w1", "wagerNumber": 7, "customerId": "C1", "agentId": "A1", "path": "/M1/A1", "type": "straight",
    "riskMinor": 1100, "toWinMinor": 1000, "freePlay": False, "channel": "web", "status": "accepted", "version": 1,
    "legs": [{"marketId": "m1", "selectionId": "s1", "odds": 1.909091}],
}  # fmt: skip


def read(type: str, data: object) -> object:
    """Read a fact as the flows do."""
    return decode(type, Raw(msgspec.json.encode(data)))


def test_a_placed_wager_is_read_with_its_public_names() -> None:
    """The camel-case names of the wire become the fields of a struct."""
    fact = read("wager.placed", PLACED)
    assert fact == facts.WagerPlaced(
        wager_id="w1", wager_number=7, customer_id="C1", agent_id="A1", path="/M1/A1", type="straight",
        risk_minor=1100, to_win_minor=1000, free_play=False, channel="web", status="accepted", version=1,
        legs=(facts.Leg("m1", "s1", 1.909091),),
    )  # fmt: skip


def test_a_fact_survives_the_round_trip() -> None:
    """What is written is read back the same."""
    fact = read("wager.placed", PLACED)
    assert msgspec.json.decode(msgspec.json.encode(fact)) == PLACED


def test_unknown_fields_are_ignored() -> None:
    """Another book may tell more than the server knows."""
    assert read("wager.placed", {**PLACED, "terminal": 12}) == read("wager.placed", PLACED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"riskMinor": -1},
        {"riskMinor": 10.5},
        {"riskMinor": "1100"},
        {"path": "M1/A1"},
        {"path": None},
        {"version": 0},
        {"wagerId": ""},
        {"freePlay": 1},
        {"legs": [{"marketId": "m1", "selectionId": "s1", "odds": 0.5}]},
    ],
)
def test_a_wrong_value_is_refused(wrong: dict[str, object]) -> None:
    """A malformed fact is an error at the border, never a wrong figure."""
    with pytest.raises(msgspec.ValidationError):
        read("wager.placed", {**PLACED, **wrong})


@pytest.mark.parametrize("missing", sorted(set(PLACED) - {"legs"}))
def test_a_missing_field_is_refused(missing: str) -> None:
    """Every field of a wager is needed; only its legs may be absent."""
    with pytest.raises(msgspec.ValidationError, match=missing):
        read("wager.placed", {key: value for key, value in PLACED.items() if key != missing})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"path": "/M|1"}, "path"),
        ({"path": "/M|1", "type": 1}, "path"),
        ({"agentId": 1, "path": "/M|1"}, "agentId"),
        ({"path": "/M|1", "version": 0, "riskMinor": -1}, "path"),
    ],
)
def test_what_is_wrong_first_is_named(wrong: dict[str, object], field: str) -> None:
    """Who mends a dead letter reads of one field, the first in the data that does not fit."""
    for _ in range(2):
        with pytest.raises(msgspec.ValidationError, match=rf"`\$\.{field}`$"):
            read("wager.placed", {**PLACED, **wrong})


def test_a_path_is_that_of_an_agent_or_the_house() -> None:
    """The rows of the flows are named by paths, so no fact brings one that could be taken for another."""
    for path in ("/", "/M1", "/M1/A 7", "/é" * 8, f"/{'a' * 64}"):
        assert getattr(read("wager.placed", {**PLACED, "path": path}), "path", None) == path
    for path in ("", "M1", "/M1/", "//", "/M1//A", "/M|1", "/M1\n", "/M\x001", "/a" * 9, f"/{'a' * 65}"):
        with pytest.raises(msgspec.ValidationError, match="`str` matching regex"):
            read("wager.placed", {**PLACED, "path": path})


def test_a_time_needs_its_offset() -> None:
    """A time without a zone could mean anything."""
    customer = {"customerId": "C1", "agentId": "A1", "path": "/M1", "name": "n", "status": "active"}
    read("customer.imported", {**customer, "lastWagerAt": "2026-01-01T00:00:00.000Z"})
    with pytest.raises(msgspec.ValidationError):
        read("customer.imported", {**customer, "lastWagerAt": "2026-01-01T00:00:00"})


def test_event_types_are_dotted_lower_case() -> None:
    """The names of the facts follow the protocol."""
    assert all(name.count(".") == 1 and name == name.lower() for name in FACTS)


@pytest.mark.parametrize("wrong", [{"deadHeat": 0}, {"void": 0.3}, {"deadHeat": 1.5}])
def test_a_result_that_cannot_be_is_set_aside(wrong: dict[str, object]) -> None:
    """A winner of whom a dead heat leaves nothing, and a third of a stake that is void, are not counted as a win."""
    told = {"marketId": "m", "results": [{"selectionId": "a", "result": 1, **wrong}]}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(told, facts.MarketResulted)
    loser = {"marketId": "m", "results": [{"selectionId": "a", "result": 0, "deadHeat": 0}]}
    assert msgspec.convert(loser, facts.MarketResulted).results[0].dead_heat == 0
