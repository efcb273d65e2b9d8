"""Invented books that live in memory: a simulation and what it decides, without a database, in virtual time."""

from collections.abc import Iterator
from random import Random

from fire22.sportsbook.book import changes
from fire22.sportsbook.book.changes import Change
from fire22.sportsbook.demo import offer
from fire22.sportsbook.demo.catalogue import FULL, Size, opening
from fire22.sportsbook.demo.simulation import Simulation
from fire22.sportsbook.demo.world import KnownCustomer, World

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000


def new_world(seed: int, size: Size = FULL) -> World:
    """A new book as a simulation knows it."""
    items = opening(Random(seed), NOW_MS, size)
    paths = {one.id: one.path for one in items if isinstance(one, changes.AddAgent)}
    customers = [
        KnownCustomer(
            one.id, one.code, one.agent_id, paths[one.agent_id], one.segment, "active",
            one.bet_factor, one.credit_limit_minor, one.max_wager_minor,
        )
        for one in items
        if isinstance(one, changes.AddCustomer)
    ]  # fmt: skip
    markets = [offer.known(one) for one in items if isinstance(one, changes.AddMarket)]
    return World(customers, {one.id: one for one in markets})


def lived(made: Simulation, until_ms: int) -> Iterator[Change]:
    """What a simulation decides until a time, each appointment kept at its own."""
    while made.next_ms <= until_ms:
        for items in made.step(made.next_ms):
            yield from items
