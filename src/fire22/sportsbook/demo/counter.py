"""The counter: wagers are placed here; some of the large ones wait until somebody has looked at them."""

from functools import partial
from random import Random
from typing import Final

import msgspec

from fire22.sportsbook.betting import payoff, settlement
from fire22.sportsbook.betting.odds import decimal_odds
from fire22.sportsbook.betting.terms import Terms
from fire22.sportsbook.betting.wager_types import PLAIN
from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo import bettors as players
from fire22.sportsbook.demo.agenda import Agenda
from fire22.sportsbook.demo.bettors import Choice
from fire22.sportsbook.demo.board import Boards
from fire22.sportsbook.demo.bookmaker import Bookmaker
from fire22.sportsbook.demo.corrections import Corrections, profit_minor
from fire22.sportsbook.demo.ids import new_id
from fire22.sportsbook.demo.sessions import Session, Sessions
from fire22.sportsbook.demo.world import KnownLeg, KnownMarket, KnownWager, World

TRIES: Final = 3
BURST_MS: Final = (500, 7_000)
BURST_S: Final = 1.5  # of wagers at the usual rate come on top, after a goal
BURST_MAX: Final = 150

REVIEW_MINOR: Final = 100_000
REVIEWED: Final = 0.05  # of the wagers of this size or above
REVIEW_MS: Final = (3_000, 15_000)
REJECTED: Final = 0.2


class Betting:
    """Places wagers for those who are there.

    Args:
        modest: what all stakes are multiplied with.
    """

    def __init__(
        self,
        rng: Random,
        agenda: Agenda,
        world: World,
        boards: Boards,
        sessions: Sessions,
        bookmaker: Bookmaker,
        corrections: Corrections,
        rate_hz: float,
        modest: float,
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._world = world
        self._boards = boards
        self._sessions = sessions
        self._bookmaker = bookmaker
        self._corrections = corrections
        self._modest = modest
        self._burst = min(BURST_MAX, round(rate_hz * BURST_S))

    def begin(self, now_ms: int) -> None:
        """Take over the wagers that wait to be accepted: their players are gone."""
        for id in self._world.asked:
            self._agenda.after(now_ms, REVIEW_MS, partial(self._let_expire, id))

    def bet(self, at_ms: int) -> list[Change]:
        """Somebody bets on what there is."""
        for _ in range(TRIES):
            session = self._sessions.next(at_ms)
            if session is None:
                return []
            choices = players.choose(self._rng, session.player, self._boards)
            items = self._attempt(session, choices, at_ms)
            if items:
                return items
        return []

    def excite(self, market: KnownMarket, at_ms: int) -> None:
        """Many bet on one market within seconds."""
        for _ in range(self._burst):
            self._agenda.after(at_ms, BURST_MS, partial(self._bet_on, market))

    def place(
        self, session: Session, choices: list[Choice], stake_minor: int, at_ms: int, *, free_play: bool
    ) -> tuple[KnownWager, list[Change]]:
        """Accept a wager, whoever it is of; the prices follow the money."""
        wager, placed = self._written(session, choices, stake_minor, at_ms, free_play=free_play)
        return wager, [placed, *self._take(wager, session, choices, at_ms)]

    def _bet_on(self, market: KnownMarket, at_ms: int) -> list[Change]:
        session = self._sessions.somebody(at_ms)
        if session is None or session.player.sharp or not market.open:
            return []
        return self._attempt(session, [players.liked(self._rng, session.player, market)], at_ms)

    def _attempt(self, session: Session, choices: list[Choice], at_ms: int) -> list[Change]:
        """Place what a player has chosen, if the limits let it."""
        if not choices:
            return []
        parlay = len(choices) > 1
        stake = players.stake_minor(
            self._rng, session.player, session.customer, session.mood * self._modest, parlay=parlay
        )
        if not stake or not (parlay or self._is_within(choices[0], stake)):
            return []
        free_play = not session.player.sharp and self._rng.random() < players.FREE_PLAY
        if stake >= REVIEW_MINOR and self._rng.random() < REVIEWED:
            return self._ask(session, choices, stake, at_ms)
        wager, items = self.place(session, choices, stake, at_ms, free_play=free_play)
        self._corrections.plan(wager, at_ms)
        return items

    def _is_within(self, choice: Choice, stake_minor: int) -> bool:
        return self._bookmaker.accepts(choice, profit_minor(stake_minor, (choice.selection.price,)))

    def _written(
        self, session: Session, choices: list[Choice], stake_minor: int, at_ms: int, *, free_play: bool = False
    ) -> tuple[KnownWager, changes.PlaceWager]:
        """A wager at the prices of now, and the change that writes it down as accepted."""
        session.last_ms = at_ms
        legs = [KnownLeg(one.market.id, one.selection.id, one.selection.price) for one in choices]
        customer, id = session.customer, new_id(self._rng, at_ms)
        type, terms = players.type_of(id, len(legs), free_play=free_play)
        to_win = _to_win(legs, stake_minor, type, terms)
        wager = KnownWager(id, customer, stake_minor, to_win, free_play, legs, type=type, terms=terms)
        placed = changes.PlaceWager(
            id=wager.id, customer_id=customer.id, agent_id=customer.agent_id, agent_path=customer.agent_path,
            type=type, risk_minor=stake_minor, to_win_minor=to_win, at_ms=at_ms,
            channel=session.player.channel, free_play=free_play, ip=session.ip, terms=terms,
            legs=tuple(
                [
                    changes.NewLeg(leg.selection_id, leg.price, one.market.line)
                    for leg, one in zip(legs, choices, strict=True)
                ]
            ),
        )  # fmt: skip
        return wager, placed

    def _take(self, wager: KnownWager, session: Session, choices: list[Choice], at_ms: int) -> list[Change]:
        """A wager is accepted: it counts, and moves prices."""
        self._world.enter(wager)
        weight = session.player.habit.respect * wager.risk_minor / len(choices)
        items: list[Change] = []
        for choice in choices:
            items += self._bookmaker.moved(choice, weight, at_ms)
        return items

    # Reviews.

    def _ask(self, session: Session, choices: list[Choice], stake_minor: int, at_ms: int) -> list[Change]:
        """Somebody must look at a wager before it is accepted."""
        wager, placed = self._written(session, choices, stake_minor, at_ms)
        self._world.asked[wager.id] = None
        self._agenda.after(at_ms, REVIEW_MS, partial(self._decide, wager, session, choices))
        return [msgspec.structs.replace(placed, status="review")]

    def _decide(self, wager: KnownWager, session: Session, choices: list[Choice], at_ms: int) -> list[Change]:
        """Unless somebody else has decided."""
        if wager.id not in self._world.asked:
            return []
        del self._world.asked[wager.id]
        if not all(choice.market.open for choice in choices):
            return [changes.RejectWager(wager.id, "expired", "the market closed", "desk", at_ms)]
        is_above = wager.risk_minor > players.affordable_minor(wager.customer)
        if self._rng.random() < REJECTED or is_above or wager.customer.status != "active":
            return [changes.RejectWager(wager.id, "rejected", "above what the desk takes", "desk", at_ms)]
        return [changes.AcceptWager(wager.id, at_ms), *self._take(wager, session, choices, at_ms)]

    def _let_expire(self, wager_id: str, at_ms: int) -> list[Change]:
        if wager_id not in self._world.asked:
            return []
        del self._world.asked[wager_id]
        return [changes.RejectWager(wager_id, "expired", "nobody decided in time", "desk", at_ms)]


def _to_win(legs: list[KnownLeg], stake_minor: int, type: str, terms: Terms) -> int:
    if type in PLAIN:
        return profit_minor(stake_minor, tuple([leg.price for leg in legs]))
    struck = tuple([settlement.GradedLeg(decimal_odds(leg.price)) for leg in legs])
    return payoff.to_win_minor(payoff.Bet(struck, stake_minor, type=type, terms=terms))
