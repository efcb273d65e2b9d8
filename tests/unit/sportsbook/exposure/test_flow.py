"""Exposure: what each scope can lose by market, event and outcome, and in all; with the vectors of the domain rules."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from fire22.core.errors import RequestError
from fire22.flows.base import Flow
from fire22.sportsbook.exposure.flow import RESULTS_MS, Exposures
from fire22.sportsbook.exposure.view import AGENTS_MANY, DEEP
from fire22.sportsbook.registry.flow import Registry
from tests.support.folding import Folding
from tests.support.storage import START_MS, event

SECOND = 1000
Legs = Sequence[tuple[str, str, float]]


class Book(Folding):
    """A book of a few agents with the flow behind the gate."""

    def __init__(self, *paths: str, **settings: int) -> None:
        self.flow: Exposures
        super().__init__(self._make)
        self.now_ms = START_MS
        self._wagers: dict[str, dict[str, Any]] = {}
        configured = {"flows": {"exposure": {"version": 1, "settings": settings}}}
        self.group([event("settings", type="system.configured", at_ms=START_MS, data=configured)])
        self.step()
        for path in paths or ("/M1", "/M1/A1", "/M1/A2"):
            agent = {"agentId": path.rpartition("/")[2], "name": "", "path": path, "level": path.count("/")}
            self.tell("agent.created", agent | {"status": "active"})
        customer = {"customerId": "C1", "agentId": "A1", "path": "/M1/A1", "name": "", "status": "active"}
        self.tell("customer.created", customer)

    def _make(self) -> tuple[Flow, ...]:
        registry = Registry()
        self.flow = Exposures(registry)
        return registry, self.flow

    def market(self, id: str, *selections: str, event: str = "E1", **more: Any) -> None:
        """A market with its outcomes at 1.9."""
        listed = [{"selectionId": each, "name": f"Team {each}", "odds": 1.9} for each in selections]
        told = {"marketId": id, "eventId": event, "type": "moneyline", "status": "open", "eventName": "A - B"}
        self.tell("market.created", told | {"selections": listed} | more)

    def place(
        self, id: str, risk: int, to_win: int, legs: Legs, path: str = "/M1/A1", *, free: bool = False, **more: Any
    ) -> None:
        """A wager, straight or a parlay unless `type` says otherwise; amounts in minor units."""
        listed = [{"marketId": market, "selectionId": each, "odds": odds} for market, each, odds in legs]
        self._wagers[id] = {
            "wagerId": id, "wagerNumber": len(self._wagers) + 1, "customerId": "C1", "agentId": "A1", "path": path,
            "type": "parlay" if len(legs) > 1 else "straight", "riskMinor": risk, "toWinMinor": to_win,
            "freePlay": free,
        }  # fmt: skip
        self._wagers[id]["type"] = more.pop("type", self._wagers[id]["type"])
        more |= {"channel": "web", "status": "accepted", "version": 1, "legs": listed}
        self.tell("wager.placed", self._wagers[id] | more, self.now_ms)

    def settle(self, id: str, result: str, returned: int) -> None:
        """A wager is over."""
        more = {"revision": 1, "result": result, "returnMinor": returned, "previousReturnMinor": 0}
        self.tell("wager.settled", self._wagers[id] | more, self.now_ms)

    def result(self, market: str, **winners: int) -> None:
        """A market has its result; 1 is a winner."""
        told = [{"selectionId": each, "result": won} for each, won in winners.items()]
        self.tell("market.resulted", {"marketId": market, "results": told}, self.now_ms)

    def step(self) -> None:
        """The watermark moves by a second."""
        self.now_ms += SECOND
        self.clock(self.now_ms)

    def shown(self, scope: str, key: str = "") -> dict[str, Any]:
        """A document."""
        body = self.documents["exposure", scope, key]
        return msgspec.convert(body, dict[str, Any])

    def keys(self, scope: str) -> list[str]:
        """The documents of a scope."""
        return sorted(key for _, path, key in self.documents if path == scope)

    def pnl(self, scope: str, market: str) -> dict[str, float]:
        """What if: by outcome."""
        return {each: one["pnl"] for each, one in self.shown(scope, market)["outcomes"].items()}


@pytest.mark.parametrize(
    ("wagers", "pnl", "liability", "worst"),
    [
        ([("A", 110_000, 100_000), ("B", 55_000, 50_000)], {"A": -450.0, "B": 600.0}, 450.0, "A"),
        ([("H", 100, 150), ("D", 50, 110), ("A", 80, 160)], {"H": -0.2, "D": 0.7, "A": -0.1}, 0.2, "H"),
        ([("O", 11_000, 10_000), ("U", 22_000, 20_000)], {"O": 120.0, "U": -90.0}, 90.0, "U"),
        ([("A", 11_000, 10_000), ("B", 11_000, 10_000)], {"A": 10.0, "B": 10.0}, 0.0, "none"),
    ],
)  # fmt: skip
def test_the_vectors_of_the_domain_rules(
    wagers: list[tuple[str, int, int]], pnl: dict[str, float], liability: float, worst: str
) -> None:
    """Two-way, three-way, a total, and a book that cannot lose: what if, by outcome, for every scope above."""
    book = Book()
    book.market("m", *pnl)
    for number, (selection, risk, to_win) in enumerate(wagers):
        book.place(f"w{number}", risk, to_win, [("m", selection, 1.9)])
    book.step()
    for scope in ("/", "/M1", "/M1/A1"):
        assert book.pnl(scope, "m") == pnl
        document = book.shown(scope, "m")
        assert (document["liability"], document["worst"], document["wagers"]) == (liability, worst, len(wagers))
        assert book.flow.total(scope) == liability * 100
        assert not book.flow.is_bound(scope)
    assert book.flow.total("/M1/A2") == 0
    assert book.keys("/M1/A2") == []


def test_netting_is_for_each_scope() -> None:
    """Two sub-agents with opposite sides can lose 100 and 100; their master cannot lose at all."""
    book = Book()
    book.place("w1", 11_000, 10_000, [("m", "A", 1.91)], "/M1/A1")
    book.place("w2", 11_000, 10_000, [("m", "B", 1.91)], "/M1/A2")
    book.step()
    assert [book.flow.total(scope) for scope in ("/", "/M1", "/M1/A1", "/M1/A2")] == [0, 0, 10_000, 10_000]


def test_a_market_document_says_what_is_known_of_the_market() -> None:
    """Names, odds as they are now, and the limit, which only the house sees."""
    book = Book()
    book.market("m", "A", "B", line=-3.5, liabilityLimitMinor=500_000)
    book.place("w1", 5_000, 4_500, [("m", "A", 1.9)])
    book.step()
    assert book.shown("/", "m") == {
        "marketId": "m", "eventId": "E1", "eventName": "A - B", "type": "moneyline", "status": "open", "line": -3.5,
        "limit": 5000.0, "liability": 45.0, "risk": 50.0, "wagers": 1, "parlays": 0, "worst": "A",
        "outcomes": {
            "A": {"payout": 95.0, "pnl": -45.0, "name": "Team A", "odds": 1.9},
            "B": {"payout": 0.0, "pnl": 50.0, "name": "Team B", "odds": 1.9},
        },
    }  # fmt: skip
    assert "limit" not in book.shown("/M1", "m")
    book.tell("market.price_changed", {"marketId": "m", "selectionId": "B", "oldOdds": 1.9, "newOdds": 2.2})
    book.tell("market.status_changed", {"marketId": "m", "status": "suspended"})
    book.step()
    assert book.shown("/M1", "m")["outcomes"]["B"]["odds"] == 2.2
    assert book.shown("/M1", "m")["status"] == "suspended"


def test_an_event_is_the_sum_of_its_markets_and_says_that_it_is_a_bound() -> None:
    """Who wins also covers: markets of one event that can both lose are correlated."""
    book = Book()
    book.market("m1", "A", "B")
    book.market("m2", "C", "D")
    book.place("w1", 5_000, 4_500, [("m1", "A", 1.9)])
    book.step()
    assert book.shown("/M1", "event:E1") == {
        "eventId": "E1", "eventName": "A - B", "liability": 45.0, "markets": {"m1": 45.0}
    }  # fmt: skip
    book.place("w2", 1_000, 900, [("m2", "C", 1.9)])
    book.step()
    assert book.shown("/M1", "event:E1")["isBound"]
    assert book.shown("/M1", "event:E1")["markets"] == {"m1": 45.0, "m2": 9.0}


def test_parlays_are_searched_when_the_watermark_moves() -> None:
    """Until then a parlay counts with its whole profit, and the total says that it is a bound; then it is exact."""
    book = Book()
    book.place("w1", 50_000, 45_000, [("m1", "A", 1.9)])
    book.place("w2", 5_000, 18_864, [("m1", "B", 1.91), ("m2", "C", 2.5)])
    assert (book.flow.total("/"), book.flow.is_bound("/")) == (45_000 + 18_864, True)
    book.step()
    assert (book.flow.total("/"), book.flow.is_bound("/")) == (45_000 - 5_000, False)  # A wins, so the parlay has lost
    assert book.shown("/M1") == {
        "totalLiability": 400.0, "isBound": False, "upperBound": 638.64, "straight": 450.0, "parlayProfit": 188.64,
        "grossPotentialPayout": 1188.64, "markets": 2, "parlays": 1, "linkedMarkets": 2, "components": 1,
        "largestComponent": 2,
    }  # fmt: skip
    book.place("w3", 1_000, 900, [("m2", "C", 1.9)])
    assert (book.flow.total("/"), book.flow.is_bound("/")) == (40_000 + 900, True)
    book.settle("w3", "loss", 0)
    assert book.flow.total("/") <= 40_900 + 1_000
    book.step()
    assert (book.flow.total("/"), book.flow.is_bound("/")) == (40_000, False)


def test_the_searches_of_one_step_are_limited_and_the_book_comes_first() -> None:
    """What is not reached is a bound until its turn; every component has one."""
    book = Book(states_step_max=1)
    for number in range(3):
        legs = [(f"m{number}", "A", 1.9), (f"n{number}", "B", 1.9)]
        book.place(f"w{number}", 1_000, 2_600, legs)
    bounds = []
    for _ in range(500):
        book.step()
        bounds.append([scope for scope in ("/", "/M1", "/M1/A1") if book.flow.is_bound(scope)])
    assert bounds[0] == ["/", "/M1", "/M1/A1"]
    assert bounds[-1] == []
    assert sorted(bounds, key=len, reverse=True) == bounds
    assert ["/M1", "/M1/A1"] in bounds


def test_what_is_beyond_the_limit_is_a_bound() -> None:
    """With a limit of one state nothing is exact, and nothing is less than the worst case."""
    book = Book(states_max=1)
    book.place("w1", 5_000, 18_864, [("m1", "B", 1.91), ("m2", "C", 2.5)])
    book.place("w2", 5_000, 18_864, [("m1", "D", 1.91), ("m2", "C", 2.5)])
    book.step()
    assert book.flow.is_bound("/")
    assert 18_864 - 5_000 <= book.flow.total("/") <= 2 * 18_864
    assert book.shown("/")["isBound"]


def test_a_wager_whose_legs_are_not_known_counts_with_its_whole_profit() -> None:
    """A book that tells no legs gets a bound."""
    book = Book()
    book.place("w1", 5_000, 4_500, [])
    book.step()
    assert (book.flow.total("/M1"), book.flow.is_bound("/M1")) == (4_500, True)
    book.settle("w1", "win", 9_500)
    assert (book.flow.total("/M1"), book.flow.is_bound("/M1")) == (0, False)


def test_results_decide_what_is_owed_before_wagers_are_settled() -> None:
    """A lost leg removes liability, a won one rolls on, a straight wager owes what its result gives."""
    book = Book()
    book.place("w1", 10_000, 9_000, [("m1", "A", 1.9)])
    book.place("w2", 10_000, 9_000, [("m1", "B", 1.9)])
    book.place("w3", 1_000, 3_000, [("m1", "A", 2.0), ("m2", "C", 2.0)])
    book.place("w4", 1_000, 3_000, [("m1", "B", 2.0), ("m2", "C", 2.0)])
    book.result("m1", A=1, B=0)
    assert book.flow.total("/") == 3_000  # w1 and w2 net to a win, w3 may still win, w4 is lost
    book.step()
    assert (book.flow.total("/"), book.flow.is_bound("/")) == (3_000, False)
    assert book.shown("/", "m1")["liability"] == 0.0
    book.settle("w2", "loss", 0)
    assert book.flow.total("/") == 9_000 + 3_000
    book.result("m1", A=0, B=1)  # corrected
    assert book.flow.total("/") == 0 + 3_000
    book.result("m2", C=1)
    book.step()
    assert (book.flow.total("/"), book.flow.is_bound("/")) == (3_000, False)
    assert book.shown("/")["linkedMarkets"] == 0


def test_a_free_play_loses_the_book_its_profit_and_wins_it_nothing() -> None:
    """The stake of a free play is not the customer's."""
    book = Book()
    book.place("w1", 10_000, 10_000, [("m", "A", 2.0)], free=True)
    book.place("w2", 9_000, 8_000, [("m", "B", 1.9)])
    book.step()
    assert book.pnl("/", "m") == {"A": -10.0, "B": -80.0}


def test_results_are_forgotten_a_while_after_their_wagers() -> None:
    """Memory follows what is open; a wager that is opened again soon still finds its result."""
    book = Book()
    book.place("w1", 1_000, 900, [("m", "A", 1.9)])
    book.result("m", A=0)
    book.settle("w1", "loss", 0)
    book.place("w2", 1_000, 900, [("m", "A", 1.9)])
    assert book.flow.total("/") == 0
    book.now_ms += RESULTS_MS
    book.step()
    assert book.flow.total("/") == 0  # it is still needed
    book.settle("w2", "loss", 0)
    book.now_ms += RESULTS_MS
    book.step()
    book.place("w3", 1_000, 900, [("m", "A", 1.9)])
    assert book.flow.total("/") == 900


def test_only_the_markets_that_can_cost_most_are_shown() -> None:
    """Others leave the view, and come back when they can cost more."""
    book = Book(markets_max=2)
    for number in range(4):
        book.market(f"m{number}", "A", event=f"E{number}")
        book.place(f"w{number}", 1_000, 1_000 * (number + 1), [(f"m{number}", "A", 2.0)])
    book.step()
    assert book.keys("/M1") == ["", "event:E2", "event:E3", "m2", "m3"]
    book.settle("w3", "loss", 0)
    book.step()
    assert book.keys("/M1") == ["", "event:E1", "event:E2", "m1", "m2"]
    assert book.shown("/M1")["markets"] == 3
    for number in range(3):
        book.settle(f"w{number}", "loss", 0)
    book.step()
    assert book.keys("/M1") == [""]
    assert book.shown("/M1")["totalLiability"] == 0.0


def test_documents_are_said_once_in_an_interval() -> None:
    """A burst of wagers costs one document a market and second, not one a wager; totals are right at once."""
    book = Book(interval_ms=5_000)
    book.now_ms = START_MS // 5_000 * 5_000 + 5_000
    book.clock(book.now_ms)
    before = len(book.documents)
    for number in range(4):
        book.place(f"w{number}", 1_000, 900, [("m", "A", 1.9)])
        book.step()
        assert len(book.documents) == before
        assert book.flow.total("/") == 900 * (number + 1)
    book.step()
    assert book.shown("/", "m")["wagers"] == 4


def test_deep_scopes_of_a_large_book_take_turns() -> None:
    """In a book of many agents each scope below the first level is said within ten intervals, the others in each."""
    paths = ["/M1", *(f"/M1/A{number}" for number in range(AGENTS_MANY))]
    book = Book(*paths)
    for number in range(12):
        book.place(f"w{number}", 1_000, 900, [("m", "A", 1.9)], f"/M1/A{number}")
    book.step()
    assert book.shown("/M1", "m")["wagers"] == 12
    said = [sum(key == "m" for _, path, key in book.documents if path.count("/") == 2)]
    for _ in range(DEEP):
        book.step()
        said.append(sum(key == "m" for _, path, key in book.documents if path.count("/") == 2))
    assert said[0] < 12
    assert said[-1] == 12


def test_whose_total_has_changed_is_told_once_in_order() -> None:
    """Other figures ask what changed; a change that nets to nothing is none."""
    book = Book()
    book.place("w1", 1_000, 900, [("m", "A", 1.9)], "/M1/A1")
    assert book.flow.take_changed() == ["/", "/M1", "/M1/A1"]
    assert book.flow.take_changed() == []
    book.place("w2", 0, 0, [("m", "B", 1.9)], "/M1/A2")
    assert book.flow.take_changed() == []
    assert book.flow.gross("/M1") == 1_900
    assert book.flow.market_liability("/M1", "m") == 900


def test_a_market_of_many_outcomes() -> None:
    """An outright with thirty runners: each has its own what if."""
    book = Book()
    names = [f"s{number:02}" for number in range(30)]
    for number, name in enumerate(names):
        book.place(f"w{number}", 100, 100 * (number + 1), [("m", name, 2.0 + number)])
    book.step()
    assert book.pnl("/M1/A1", "m") == {name: 30.0 - number - 2 for number, name in enumerate(names)}
    assert book.shown("/M1/A1", "m")["worst"] == "s29"


def test_what_if_over_several_markets_and_parlays() -> None:
    """What is certain then, and the worst that may come of all others."""
    book = Book()
    book.place("w1", 50_000, 45_000, [("m1", "A", 1.9)])
    book.place("w2", 20_000, 18_000, [("m2", "C", 1.9)])
    book.place("w3", 1_000, 7_000, [("m1", "A", 2.0), ("m2", "C", 2.0), ("m3", "E", 2.0)])
    book.place("w4", 1_000, 3_000, [("m1", "B", 2.0), ("m3", "E", 2.0)])
    assert book.flow.what_if("/M1", {"outcome": ["A"]}) == {
        "scope": "/M1",
        "markets": [{"marketId": "m1", "outcome": "A", "pnl": -450.0}],
        "parlays": {"won": 0, "lost": 1, "open": 1},
        "pnl": -440.0,
        "worst": -440.0 - 180.0 - 70.0,
        "isBound": False,
    }
    both = book.flow.what_if("/M1", {"outcome": ["A", "E"], "void": ["m2"]})
    assert both["parlays"] == {"won": 1, "lost": 1, "open": 0}
    assert both["pnl"] == both["worst"] == -450.0 + 10.0 - 30.0  # void m2 leaves 10 at 2.0 and 2.0
    assert book.flow.what_if("/M1/A2", {"outcome": ["A"]})["worst"] == 0.0


def test_a_question_that_cannot_be_answered_is_refused() -> None:
    """An outcome that nobody knows, two of one market, none at all, another parameter."""
    book = Book()
    book.market("m", "A", "B")
    for wrong, code in (
        ({"outcome": ["Z"]}, "not_found"),
        ({"outcome": ["A", "B"]}, "command_invalid"),
        ({"outcome": ["A"], "void": ["m"]}, "command_invalid"),
        ({}, "command_invalid"),
        ({"outcome": ["A"], "at": ["now"]}, "command_invalid"),
        ({"void": [f"m{number}" for number in range(21)]}, "command_invalid"),
    ):
        with pytest.raises(RequestError) as refused:
            book.flow.what_if("/", wrong)
        assert refused.value.code.name == code
