"""What open wagers have in common is kept once."""

import msgspec
import pytest

from fire22.sportsbook.betting import facts
from fire22.sportsbook.registry import open_wager
from fire22.sportsbook.registry.open_wager import LegNames, Legs, StruckLeg, bettor_of

WAGER = facts.WagerPlaced(
    "w1", 1, "C1", "A1", "/M1/A1", "straight", 1100, 1000, False, channel="web", status="accepted", version=1, ip="::1"
)


def leg(selection: str, odds: float, market: str = "m") -> facts.Leg:
    """A leg as it is told, its words new."""
    return facts.Leg("".join(market), "".join(selection), odds)


def unknown(market: str, selection: str) -> None:
    """The names of a market that nobody knows."""


def test_straight_wagers_at_the_same_odds_share_their_leg() -> None:
    """Ten thousand wagers on one price hold it once; another price, or market, is never taken for it."""
    legs = Legs(unknown)
    first = legs.of((leg("a", 1.9),))
    assert first == (StruckLeg("m", "a", 1.9),)
    assert legs.of((leg("a", 1.9),)) is first
    assert legs.of((leg("a", 2.1),)) == (StruckLeg("m", "a", 2.1),)
    assert legs.of((leg("a", 2.1, "n"),)) == (StruckLeg("n", "a", 2.1),)
    assert legs.of((leg("a", 1.9),)) == first


def test_a_wager_has_the_legs_that_were_told() -> None:
    """A parlay has each of its legs, in order; a wager whose legs are not known has none."""
    legs = Legs(unknown)
    legs.of((leg("a", 1.9),))
    assert legs.of((leg("b", 3.0), leg("a", 1.5))) == (StruckLeg("m", "b", 3.0), StruckLeg("m", "a", 1.5))
    assert legs.of(()) == ()


def test_no_more_selections_are_remembered_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book that lists new markets for years does not fill the memory with old ones."""
    monkeypatch.setattr(open_wager, "SELECTIONS_MAX", 2)
    legs = Legs(unknown)
    first = legs.of((leg("a", 1.9),))
    legs.of((leg("b", 1.9),))
    assert legs.of((leg("a", 1.9),)) is first
    legs.of((leg("c", 1.9),))
    again = legs.of((leg("a", 1.9),))
    assert again == first and again is not first


def test_a_leg_has_the_names_that_hold_when_it_is_made() -> None:
    """A wager keeps the names that its market had; who bets after the market was renamed has the new ones."""
    called = {"event": "Here - There"}
    legs = Legs(lambda market, selection: LegNames("e", called["event"], "moneyline", "", selection.upper()))
    first = legs.of((leg("a", 1.9),))
    assert first[0].names == LegNames("e", "Here - There", "moneyline", "", "A")
    called["event"] = "Here - Elsewhere"
    legs.forget("m")
    renamed, other = legs.of((leg("a", 1.9),)), legs.of((leg("a", 2.0), leg("b", 2.0, "n")))
    again = legs.of((leg("a", 2.5),))
    said = [each.names and each.names.event for each in (*renamed, *other, *again, *first)]
    assert said == ["Here - Elsewhere"] * 4 + ["Here - There"]


@pytest.mark.parametrize("other", [{"path": "/"}, {"agent_id": "A2"}, {"channel": "app"}, {"ip": ""}])
def test_who_bets_in_another_way_is_noticed(other: dict[str, str]) -> None:
    """A customer's next wager has the words of the last one only where they are the same."""
    bettor = bettor_of(WAGER)
    assert (bettor.customer_id, bettor.agent_id, bettor.path) == ("C1", "A1", "/M1/A1")
    assert bettor.has_placed(WAGER)
    assert not bettor.has_placed(msgspec.structs.replace(WAGER, **other))
