"""The counter: wagers are placed here, and a few are corrected by hand soon after."""

from functools import lru_cache, partial
from random import Random
from typing import Final, Literal

from fire22.sportsbook import changes
from fire22.sportsbook.changes import Change
from fire22.sportsbook.odds import to_win_minor
from fire22.sportsbook.simulation import players
from fire22.sportsbook.simulation.agenda import Agenda
from fire22.sportsbook.simulation.board import Boards
from fire22.sportsbook.simulation.bookmaker import Bookmaker
from fire22.sportsbook.simulation.ids import new_id
from fire22.sportsbook.simulation.players import Choice
from fire22.sportsbook.simulation.sessions import Session, Sessions
from fire22.sportsbook.simulation.world import Leg, Market, Wager, World

TRIES: Final = 3
BURST_MS: Final = (500, 7_000)
BURST_S: Final = 1.5  # of wagers at the usual rate come on top, after a goal
BURST_MAX: Final = 150

# Shares of the wagers, and when after they were placed.
CANCELLED: Final = 0.003
MODIFIED: Final = 0.003
DELETED: Final = 0.0004
CORRECTED_MS: Final = (3_000, 20_000)


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
        rate_hz: float,
        modest: float,
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._world = world
        self._boards = boards
        self._sessions = sessions
        self._bookmaker = bookmaker
        self._modest = modest
        self._burst = min(BURST_MAX, round(rate_hz * BURST_S))

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

    def excite(self, market: Market, at_ms: int) -> None:
        """Many bet on one market within seconds."""
        for _ in range(self._burst):
            self._agenda.after(at_ms, BURST_MS, partial(self._bet_on, market))

    def place(
        self, session: Session, choices: list[Choice], stake_minor: int, at_ms: int, *, free_play: bool
    ) -> tuple[Wager, list[Change]]:
        """Accept a wager, whoever it is of; the prices follow the money."""
        legs = [Leg(one.market.id, one.selection.id, one.selection.price) for one in choices]
        to_win = _profit(stake_minor, tuple([leg.price for leg in legs]))
        wager = Wager(new_id(self._rng, at_ms), session.customer, stake_minor, to_win, free_play, legs)
        self._enter(wager, choices)
        session.last_ms = at_ms
        customer = session.customer
        placed = changes.PlaceWager(
            id=wager.id, customer_id=customer.id, agent_id=customer.agent_id, agent_path=customer.agent_path,
            type="parlay" if len(legs) > 1 else "straight", risk_minor=stake_minor, to_win_minor=to_win, at_ms=at_ms,
            channel=session.player.channel, free_play=free_play, ip=session.ip,
            legs=tuple(
                [
                    changes.NewLeg(leg.selection_id, leg.price, one.market.line)
                    for leg, one in zip(legs, choices, strict=True)
                ]
            ),
        )  # fmt: skip
        return wager, [placed, *self._move(session, choices, stake_minor, at_ms)]

    def void(self, wager: Wager, reason: str, at_ms: int) -> list[Change]:
        """Call off a wager, if it is still open."""
        return self._undo(wager, changes.CancelWager(wager.id, "voided", reason, "desk", at_ms))

    def _bet_on(self, market: Market, at_ms: int) -> list[Change]:
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
        if not stake or not (parlay or self._accepted(choices[0], stake)):
            return []
        free_play = not session.player.sharp and self._rng.random() < players.FREE_PLAY
        wager, items = self.place(session, choices, stake, at_ms, free_play=free_play)
        self._plan_correction(wager, at_ms)
        return items

    def _accepted(self, choice: Choice, stake_minor: int) -> bool:
        return self._bookmaker.accepts(choice, _profit(stake_minor, (choice.selection.price,)))

    def _enter(self, wager: Wager, choices: list[Choice]) -> None:
        """Take a new wager into the world."""
        self._world.wagers[wager.id] = wager
        for choice in choices:
            choice.market.wagers[wager.id] = wager
        wager.customer.open_minor += wager.cash_minor
        wager.customer.unplayed_minor -= wager.cash_minor
        if len(choices) == 1:
            choices[0].market.staked[choices[0].index] += wager.cash_minor
            choices[0].market.paid[choices[0].index] += wager.to_win_minor

    def _move(self, session: Session, choices: list[Choice], stake_minor: int, at_ms: int) -> list[Change]:
        weight = session.player.habit.respect * stake_minor / len(choices)
        items: list[Change] = []
        for choice in choices:
            items += self._bookmaker.moved(choice, weight, at_ms)
        return items

    # Corrections.

    def _plan_correction(self, wager: Wager, at_ms: int) -> None:
        draw = self._rng.random()
        if draw >= CANCELLED + MODIFIED + DELETED:
            return
        if draw < CANCELLED:
            decide = self._cancel
        elif draw < CANCELLED + MODIFIED:
            decide = self._modify
        else:
            decide = self._delete
        self._agenda.after(at_ms, CORRECTED_MS, partial(decide, wager))

    def _cancel(self, wager: Wager, at_ms: int) -> list[Change]:
        status: Literal["cancelled", "voided"] = self._rng.choice(("cancelled", "voided"))
        reason = "customer's request" if status == "cancelled" else "placed after a change of the line-up"
        return self._undo(wager, changes.CancelWager(wager.id, status, reason, "desk", at_ms))

    def _delete(self, wager: Wager, at_ms: int) -> list[Change]:
        return self._undo(wager, changes.DeleteWager(wager.id, "entered twice", "desk", at_ms))

    def _undo(self, wager: Wager, change: Change) -> list[Change]:
        if not wager.open:
            return []
        wager.open = False
        del self._world.wagers[wager.id]
        wager.customer.open_minor -= wager.cash_minor
        return [change]

    def _modify(self, wager: Wager, at_ms: int) -> list[Change]:
        if not wager.open:
            return []
        wager.customer.open_minor -= wager.cash_minor
        wager.risk_minor = max(100, 100 * round(wager.risk_minor * self._rng.choice((0.5, 0.8)) / 100))
        wager.to_win_minor = _profit(wager.risk_minor, tuple([leg.price for leg in wager.legs]))
        wager.customer.open_minor += wager.cash_minor
        return [changes.ModifyWager(wager.id, wager.risk_minor, wager.to_win_minor, "stake corrected", "desk", at_ms)]


@lru_cache(maxsize=65_536)
def _straight_profit(stake_minor: int, price: int) -> int:
    return to_win_minor(stake_minor, (price,))


def _profit(stake_minor: int, prices: tuple[int, ...]) -> int:
    if len(prices) == 1:
        return _straight_profit(stake_minor, prices[0])
    return to_win_minor(stake_minor, prices)
