"""What the demo book's world is made of: its tree, its prices, its players, and what is staged in it."""

from collections import Counter
from random import Random

import pytest

from fire22.sportsbook.betting.odds import decimal_odds
from fire22.sportsbook.book import changes
from fire22.sportsbook.demo import agents as tree
from fire22.sportsbook.demo import bettors as players
from fire22.sportsbook.demo import offer, prices
from fire22.sportsbook.demo.agenda import BEHIND_MS_MAX, Agenda
from fire22.sportsbook.demo.board import Boards
from fire22.sportsbook.demo.catalogue import FULL, SMALL, Size, opening, with_markets
from fire22.sportsbook.demo.incidents import Note, parse
from fire22.sportsbook.demo.simulation import Simulation
from fire22.sportsbook.demo.world import KnownCustomer, KnownMarket
from tests.support.simulated import MINUTE_MS, NOW_MS, lived, new_world


def market(seed: int, kind: str = "total") -> KnownMarket:
    """A market of a new game."""
    rng = Random(seed)
    while True:
        for one in offer.game(rng, NOW_MS, NOW_MS + MINUTE_MS):
            if isinstance(one, changes.AddMarket) and one.type == kind:
                return offer.known(one)


def overround(posted: list[int]) -> float:
    """What the probabilities behind prices sum to."""
    return float(sum(1 / decimal_odds(each) for each in posted))


def test_the_full_tree_has_two_hundred_agents_in_eight_levels() -> None:
    """A large operator: every agent hangs below one of the level above, and its path says so."""
    found = tree.agents(Random(1), NOW_MS, FULL.levels)
    assert len(found) == 200
    assert Counter(one.level for one in found) == dict(enumerate(FULL.levels, 1))
    by_id = {one.id: one for one in found}
    for one in found:
        parent = by_id[one.parent_id] if one.parent_id else None
        assert one.path == f"{parent.path if parent else ''}/{one.code}"
        assert one.level == (parent.level if parent else 0) + 1
    assert max(Counter(one.parent_id for one in found if one.level > tree.EVEN_LEVELS).values()) > 4


def test_a_full_book_has_its_customers_at_the_ends_of_the_tree() -> None:
    """6,000 customers of all segments, most of them with agents who have no sub-agents; 100 to 150 open markets."""
    items = opening(Random(1), NOW_MS, FULL)
    parents = {one.parent_id for one in items if isinstance(one, changes.AddAgent)}
    customers = [one for one in items if isinstance(one, changes.AddCustomer)]
    assert len(customers) == 6_000
    assert sum(one.agent_id not in parents for one in customers) > 0.5 * len(customers)
    assert set(Counter(one.segment for one in customers)) == {"casual", "regular", "vip", "sharp"}
    assert 100 <= sum(isinstance(one, changes.AddMarket) for one in items) <= 150


@pytest.mark.parametrize("markets", [1, 60, 114, 299, 300, 2_000, 5_000])
def test_a_book_can_be_asked_for_so_many_markets(markets: int) -> None:
    """The number of open markets is an option, met within a game's worth."""
    size = with_markets(FULL, markets)
    opened = sum(isinstance(one, changes.AddMarket) for one in opening(Random(1), NOW_MS, size))
    assert markets <= opened == size.markets <= markets + 9


def test_prices_hold_the_margin_whatever_moves_them() -> None:
    """However much money comes, and from where, what a market's prices imply sums to a little more than one."""
    for seed in range(30):
        rng, one = Random(seed), market(seed, "spread" if seed % 2 else "total")
        for _ in range(100):
            likely = one.likely
            one.likely = prices.pushed(likely, rng.randrange(2), rng.uniform(-3, 3))
            one.likely = prices.pulled(rng, one.likely, one.true)
            assert sum(one.likely) == pytest.approx(1)
            assert 1.005 < overround(prices.posted(one.likely)) < 1.1


def test_money_moves_prices_towards_itself() -> None:
    """A side that is backed pays less, the others more, and twice the money moves twice as far."""
    one = market(1)
    for index, other in ((0, 1), (1, 0)):
        before = [float(decimal_odds(each)) for each in prices.posted(one.likely)]
        after = [float(decimal_odds(each)) for each in prices.posted(prices.pushed(one.likely, index, 0.2))]
        assert after[index] < before[index]
        assert after[other] > before[other]
    twice = prices.pushed(prices.pushed(one.likely, 0, 0.1), 0, 0.1)
    assert twice == pytest.approx(prices.pushed(one.likely, 0, 0.2))


def test_other_books_bring_an_estimate_to_the_truth() -> None:
    """Look by look the estimate comes nearer, on average over many markets."""
    distances: list[float] = []
    for looks in (0, 10, 40):
        sum_ = 0.0
        for seed in range(100):
            rng, one = Random(seed), market(seed)
            for _ in range(looks):
                one.likely = prices.pulled(rng, one.likely, one.true)
            sum_ += abs(one.likely[0] - one.true[0])
        distances.append(sum_)
    assert distances[0] > 1.5 * distances[1] > 2 * distances[2]


def test_what_is_true_of_a_market_outlives_the_simulator() -> None:
    """The truth is a function of the market's id: nobody stores it, everybody who must know it does."""
    assert (
        prices.truth("m1", "moneyline", 2) == prices.truth("m1", "moneyline", 2) != prices.truth("m2", "moneyline", 2)
    )
    for kind, outcomes in (("total", 2), ("1x2", 3), ("outright", 8)):
        assert sum(prices.truth("m1", kind, outcomes)) == pytest.approx(1)


def test_recreational_players_like_favourites_and_overs() -> None:
    """What is popular is bet more than what is likely."""
    rng, player = (
        Random(1),
        players.player(KnownCustomer("c", "C1", "a", "/M1", "casual", "active", 1.0, 100_000, 50_000)),
    )
    total = market(1)
    total.likely = [0.5, 0.5]
    overs = sum(players.liked(rng, player, total).selection.name.startswith("Over") for _ in range(2_000))
    assert 0.6 < overs / 2_000 < 0.75
    winner = market(2, "moneyline")
    winner.likely = [0.65, 0.35]
    assert sum(players.liked(rng, player, winner).index == 0 for _ in range(2_000)) > 0.68 * 2_000


def test_sharp_players_bet_only_what_pays() -> None:
    """They take the best price that is better than the truth, and nothing where there is none."""
    boards, one = Boards(), market(1)
    boards.games.add(one)
    one.true = [0.6, 0.4]
    choice = players.best(Random(1), boards, 4)
    assert choice is not None
    assert choice.selection is one.selections[0]
    one.true = prices.implied([float(decimal_odds(each.price)) for each in one.selections])
    assert players.best(Random(1), boards, 4) is None


def test_addresses_are_shared_by_two_at_most() -> None:
    """A household has one address; three accounts at one are news."""
    shared = Counter(players.address(f"C{number}") for number in range(1, 6_001))
    assert Counter(shared.values()) == {1: 5_402, 2: 299}


def test_the_agenda_keeps_what_is_due_in_order_and_leaves_out_what_was_missed() -> None:
    """Appointments of the same time come in the order in which they were made; nobody lives long ago."""
    agenda, kept = Agenda(Random(1)), []

    def note(name: str) -> None:
        def decide(at_ms: int) -> list[changes.Change]:
            kept.append((name, at_ms))
            return []

        agenda.at(1_000 if name != "first" else 500, decide)

    for name in ("b", "c", "first"):
        note(name)
    agenda.at(10**9, lambda _: [])
    assert list(agenda.keep(2_000)) == [[], [], []]
    assert kept == [("first", 500), ("b", 1_000), ("c", 1_000)]
    assert agenda.next_ms == 10**9
    note("late")
    list(agenda.keep(100_000))
    assert kept[-1] == ("late", 100_000 - BEHIND_MS_MAX)


@pytest.mark.parametrize("rate_hz", [0.5, 50.0, 5_000.0])
def test_things_arrive_at_the_rate_that_was_asked_for(rate_hz: float) -> None:
    """From one in two seconds to five within a millisecond."""
    agenda, count = Agenda(Random(1)), 0

    def decide(at_ms: int) -> list[changes.Change]:
        nonlocal count
        count += 1
        return []

    agenda.arrive(NOW_MS, lambda _: rate_hz, decide)
    span_ms = round(4_000 / rate_hz * 1_000)
    while agenda.next_ms < NOW_MS + span_ms:
        list(agenda.keep(agenda.next_ms))
    assert 3_750 < count < 4_250


def staged(text: str, seed: int = 1) -> tuple[list[Note], list[changes.Change]]:
    """A full book of ten minutes, with one incident."""
    notes: list[Note] = []
    name, after_s = parse(text)
    made = Simulation(new_world(seed), seed="1", rate_hz=4, now_ms=NOW_MS, size=FULL, tell=notes.append)
    made.plan(name, NOW_MS + round(after_s * 1000))
    return notes, list(lived(made, NOW_MS + 3 * MINUTE_MS))


def taken(note: Note, decided: list[changes.Change]) -> list[changes.PlaceWager]:
    """The first wager of each of an incident's customers since it began."""
    opened = opening(Random(1), NOW_MS, FULL)
    ids = {one.id for one in opened if isinstance(one, changes.AddCustomer) and one.code in note.customers}
    (side,) = (
        leg.id
        for one in opened
        if isinstance(one, changes.AddMarket) and one.id == note.market_id
        for leg in one.selections
        if leg.name == note.selection
    )
    firsts: dict[str, changes.PlaceWager] = {}
    for one in decided:
        if isinstance(one, changes.PlaceWager) and one.customer_id in ids and one.at_ms >= note.at_ms:
            firsts.setdefault(one.customer_id, one)
    wagers = list(firsts.values())
    assert {leg.selection_id for one in wagers for leg in one.legs} == {side}
    assert len({one.agent_id for one in wagers}) == len(wagers) == len(note.customers)
    return wagers


def test_a_steam_move_is_many_who_know_and_a_price_that_falls() -> None:
    """Six sharp customers of six agents within half a minute, with stakes of all sizes; the price follows."""
    notes, decided = staged("steam@10")
    (note,) = notes
    assert note.at_ms == NOW_MS + 10_000
    wagers = taken(note, decided)
    assert len(wagers) == 6
    assert min(one.risk_minor for one in wagers) >= 50_000
    assert all(one.at_ms - note.at_ms <= 25_000 for one in wagers)
    struck = [float(decimal_odds(one.legs[0].price)) for one in wagers]
    assert struck[-1] < 0.95 * struck[0]


def test_a_syndicate_is_one_address_and_several_agents() -> None:
    """Six accounts of six agents at one address take the same selection with small stakes."""
    notes, decided = staged("syndicate@10")
    (note,) = notes
    wagers = taken(note, decided)
    assert len(wagers) == 6
    (address,) = {one.ip or "" for one in wagers}
    assert address.startswith(("192.0.2.", "198.51.100.", "203.0.113."))
    assert max(one.risk_minor for one in wagers) < 50_000


def test_a_wrong_price_is_hit_put_right_and_its_wagers_voided() -> None:
    """One price pays three times what was meant; four are quick; all four wagers are called off."""
    notes, decided = staged("wrong_price@10")
    (note,) = notes
    hits = taken(note, decided)
    assert len(hits) == 4
    assert min(float(decimal_odds(one.legs[0].price)) for one in hits) > 4
    posted = [
        (one.at_ms, float(decimal_odds(one.price)))
        for one in decided
        if isinstance(one, changes.SetPrice) and one.selection_id == hits[0].legs[0].selection_id
    ]
    assert [at_ms - note.at_ms for at_ms, price in posted if price > 4] == [0]
    assert next(price for at_ms, price in posted if at_ms == note.at_ms + 12_000) < 2.5
    voided = {one.wager_id for one in decided if isinstance(one, changes.CancelWager) and "price" in one.reason}
    assert voided == {one.id for one in hits}


def test_incidents_come_again() -> None:
    """A demo has each of them once in a while, the first of each within the first round."""
    notes: list[Note] = []
    made = Simulation(new_world(1), seed="1", rate_hz=2, now_ms=NOW_MS, size=FULL, tell=notes.append)
    made.plan_incidents(300_000)
    for _ in lived(made, NOW_MS + 14 * MINUTE_MS):
        pass
    assert Counter(note.incident for note in notes) == {"steam": 3, "syndicate": 3, "wrong_price": 2}
    assert notes[0].at_ms < NOW_MS + 2 * MINUTE_MS


def test_incidents_wait_for_what_they_need() -> None:
    """Where no market fits, nothing is forced."""
    notes: list[Note] = []
    tiny = Size((1,), 20, 1, 1)
    made = Simulation(new_world(1, tiny), seed="1", rate_hz=1, now_ms=NOW_MS, size=tiny, tell=notes.append)
    made.plan("steam", NOW_MS)
    for _ in lived(made, NOW_MS + 5 * MINUTE_MS):
        pass
    assert notes == []


@pytest.mark.parametrize("text", ["steam", "steam@", "steam@-1", "goal@3", "@3", "steam@1e9", "steam@nan"])
def test_an_unknown_incident_is_refused(text: str) -> None:
    """Who mistypes an incident is told which there are."""
    with pytest.raises(ValueError, match="steam@SECONDS, syndicate@SECONDS, wrong_price@SECONDS"):
        parse(text)


def test_an_incident_is_read() -> None:
    """A name and when."""
    assert parse("wrong_price@90.5") == ("wrong_price", 90.5)


def test_the_small_book_is_what_tests_know() -> None:
    """40 agents in three levels, with /M1/A1 among them."""
    paths = [one.path for one in opening(Random(1), NOW_MS, SMALL) if isinstance(one, changes.AddAgent)]
    assert len(paths) == 40
    assert {"/M1", "/M1/A1", "/M1/A1/S1", "/M1/A1/S2", "/M4/A12/S24"} <= set(paths)
