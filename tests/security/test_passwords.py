"""Attacks on passwords: names that the time of an answer gives away, and passwords that are taken for others."""

import statistics
import time

import pytest

from fire22.core import codes
from fire22.core.errors import AuthError
from fire22.security.people import People, Place
from tests.support.people import people as made

SECRET = " Tr\u00e8s long, with blanks \u2603 and MiXed case " * 2  # pragma: allowlist secret
PAIRS = 25
ROUNDS = 4
NOISE = 1.5  # two halves of the same measurement differ by as much on a loaded machine


class Clock:
    """A minute passes with every look, so that nobody is throttled."""

    now_ms = 1_000_000

    def __call__(self) -> int:
        """What time it is."""
        self.now_ms += 60_000
        return self.now_ms


async def with_ann(password: str) -> People:
    """Ann, who may sign in."""
    people = made(Clock())
    await people.load()
    await people.users.add("ann", role="risk", scope="/", password=await people.passwords.hash(password))
    return people


async def seconds(people: People, name: str, address: str) -> float:
    """How long a refused sign-in takes."""
    began = time.perf_counter()
    with pytest.raises(AuthError) as refused:
        await people.enter(name, "a wrong password", Place(address, "Firefox"))
    took = time.perf_counter() - began
    assert refused.value.code is codes.SIGN_IN_FAILED
    return took


async def test_an_unknown_name_takes_as_long() -> None:
    """Nobody learns by a watch which names there are: the medians of turns by turns differ by less than the noise."""
    people = await with_ann("correct horse battery")
    ratios = []
    for round in range(ROUNDS):
        known, unknown = [], []
        for each in range(PAIRS):
            place = f"192.0.{round}.{each + 1}"
            known.append(await seconds(people, "ann", place))
            unknown.append(await seconds(people, f"nobody{each}", place))
        ratio = statistics.median(known) / statistics.median(unknown)
        ratios.append(ratio)
        if 1 / NOISE < ratio < NOISE:
            return
    pytest.fail(f"known / unknown: {ratios}")


@pytest.mark.parametrize(
    "other",
    [SECRET.strip(), SECRET.lower(), SECRET[:64], SECRET + " ", SECRET.replace("\u00e8", "e\u0300"), SECRET + "\0"],
    ids=["without blanks", "lower case", "cut", "longer", "decomposed", "NUL"],
)
async def test_a_password_is_taken_exactly_as_it_is(other: str) -> None:
    """A long password with blanks and signs of any kind is good, and nothing that is only like it."""
    assert len(SECRET) > 64
    people = await with_ann(SECRET)
    place = Place("192.0.2.1", "Firefox")
    assert (await people.enter("ann", SECRET, place)).principal.subject == "ann"
    with pytest.raises(AuthError):
        await people.enter("ann", other, place)
