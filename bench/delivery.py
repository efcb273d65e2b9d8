"""What one delivered message costs the server, beside peers: one at a time, and as many as it can take.

How a side is set up and measured stands in `stage.py`.
"""

import contextlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from bench.beside import PEERS, Missing, peer
from bench.report import Report, Row
from bench.stage import (
    GENERATOR_CORE,
    OTHERS_MAX,
    OURS,
    P99_MS,
    PEER_MESSAGE,
    SERVER_CORE,
    SUBSCRIBERS,
    Cost,
    Sample,
    Stage,
    stage,
    wait_quiet,
)

LIMIT_FACTOR: Final = 1.35  # of what C takes for a message without batching
PRODUCT_FACTOR: Final = 10  # over whoever writes each message by itself
COMPRESSED_FACTOR: Final = 30
WARM_S: Final = 0.4
GROWTH: Final = 2.0  # from one rate to the next
BACK: Final = (1.0, 1.0, 0.8, 0.6)  # of the highest rate found, until one is sustained
RATE_MIN_HZ: Final = 2.0  # who cannot even do this in time is measured here all the same
RATE_MAX_HZ: Final = 65_536.0
SINGLE: Final = ("limit", "ws", "bun", "nchan", "websockets", "centrifugo")
COMPRESSED: Final = ("ws-deflate", "bun-deflate")
BATCHING_GUESS_HZ: Final = 16_000.0
COMPRESSED_GUESS_HZ: Final = MappingProxyType({OURS: BATCHING_GUESS_HZ, "ws-deflate": 16.0, "bun-deflate": 100.0})
Staging = Callable[[str], contextlib.AbstractContextManager[Stage]]
Staged = Callable[[], contextlib.AbstractContextManager[Stage]]


class Plan(Struct, frozen=True):
    """How long and how often.

    Args:
        messages: one at a time.
        cost_rounds: of messages one at a time; `rounds` of the highest rate.
        retries: how many samples in all may be repeated because other programs took the machine.
    """

    messages: int
    cost_rounds: int
    rounds: int
    search_s: float
    measure_s: float
    bisections: int
    retries: int


FULL: Final = Plan(messages=100, cost_rounds=3, rounds=2, search_s=1.0, measure_s=2.0, bisections=2, retries=6)
QUICK: Final = Plan(messages=60, cost_rounds=1, rounds=1, search_s=1.0, measure_s=1.5, bisections=1, retries=2)


def measure(*, quick: bool) -> Report:
    """Ours and every peer that can be had, in turns."""
    return _Bench(QUICK if quick else FULL).report()


class _Bench:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._retries = plan.retries
        self._missing: dict[str, str] = {}

    def report(self) -> Report:
        singles = [OURS, *filter(self._can_be_had, SINGLE)]
        compressing = [OURS, *filter(self._can_be_had, COMPRESSED)]
        costs = self._one_by_one(singles)
        batched = partial(stage, protocol="fire22.v1.json", posts=True)
        many = self._many(singles, batched, {name: _guess_hz(name, found) for name, found in costs.items()})
        deflated = self._many(compressing, partial(batched, deflate=True), COMPRESSED_GUESS_HZ)
        rows = (*_cost_rows(costs), *_many_rows(many), *_compressed_rows(deflated))
        notes = (
            *_general_notes(self._plan),
            *_cost_notes(costs),
            *_sample_notes("at most", many),
            *_sample_notes("compressed", deflated),
            *(f"could not be had: {PEERS[name].label}: {why}" for name, why in self._missing.items()),
        )
        return Report(rows, notes)

    def _can_be_had(self, name: str) -> bool:
        try:
            with peer(name):
                return True
        except Missing as error:
            self._missing[name] = " ".join(str(error).split())[:300]
            return False

    def _one_by_one(self, names: Sequence[str]) -> dict[str, list[Cost]]:
        found: dict[str, list[Cost]] = {name: [] for name in names}
        for _ in range(self._plan.cost_rounds):
            for name in names:
                with stage(name) as on:
                    cost = on.one_by_one(self._plan.messages)
                    while cost.others > OTHERS_MAX and self._may_retry():
                        cost = min(cost, on.one_by_one(self._plan.messages), key=lambda each: each.others)
                found[name].append(cost)
        return found

    def _many(self, names: Sequence[str], staged: Staging, guesses: Mapping[str, float]) -> dict[str, list[Sample]]:
        """For each side its highest rate, looked for once, and then measured there in turns."""
        rates = {name: self._highest_hz(partial(staged, name), guesses[name]) for name in names}
        found: dict[str, list[Sample]] = {name: [] for name in names}
        for _ in range(self._plan.rounds):
            for name in names:
                found[name].append(self._sustained(partial(staged, name), rates[name]))
        return found

    def _highest_hz(self, staged: Staged, guess_hz: float) -> float:
        with contextlib.closing(_Search(staged, self._plan, self._may_retry)) as search:
            return search.highest_hz(guess_hz)

    def _sustained(self, staged: Staged, hz: float) -> Sample:
        """At the highest rate, or a little below it where a busier minute does not allow that one."""
        samples: list[Sample] = []
        for back in BACK:
            with staged() as on:
                on.at_rate(max(RATE_MIN_HZ, hz * back), WARM_S)
                samples.append(on.at_rate(max(RATE_MIN_HZ, hz * back), self._plan.measure_s))
            if samples[-1].good:
                return samples[-1]
            if samples[-1].others > OTHERS_MAX:
                self._may_retry()
        return min(samples, key=lambda sample: sample.p99_ms)

    def _may_retry(self) -> bool:
        """Whether a disturbed sample is repeated: once the machine is quiet again, if it becomes so."""
        self._retries -= 1
        if self._retries < 0:
            return False
        wait_quiet()
        return True


class _Search:
    """The highest rate at which everything arrives in time.

    From above: what arrives in time at one rate need not at a lower one, where a neighbour or the first messages of a
    new server make a few late, and a search from below would end there. What is left of far too much is not waited
    for: the next rate gets a new stage.
    """

    def __init__(self, staged: Staged, plan: Plan, may_retry: Callable[[], bool]) -> None:
        self._staged = staged
        self._plan = plan
        self._may_retry = may_retry
        self._stack = contextlib.ExitStack()
        self._stage: Stage | None = None

    def close(self) -> None:
        """End the stage that is open."""
        self._stage = None
        self._stack.close()

    def highest_hz(self, guess_hz: float) -> float:
        """Halved from a guess until everything is in time, doubled where the guess was too low, and then bisected."""
        low = high = guess_hz
        if self._is_good(guess_hz):
            while self._is_good(high := low * GROWTH) and high < RATE_MAX_HZ:
                low = high
        else:
            while low > RATE_MIN_HZ:
                high, low = low, max(RATE_MIN_HZ, low / GROWTH)
                if self._is_good(low):
                    break
        for _ in range(self._plan.bisections if low > RATE_MIN_HZ else 0):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self._is_good(middle) else (low, middle)
        return low

    def _is_good(self, hz: float) -> bool:
        """A rate that is only a little late, or was disturbed, is tried once more."""
        sample = self._once(hz)
        if not sample.good and (sample.keeps_up or (sample.others > OTHERS_MAX and self._may_retry())):
            sample = self._once(hz)
        return sample.good

    def _once(self, hz: float) -> Sample:
        if self._stage is None:
            self._stage = self._stack.enter_context(self._staged())
            self._stage.at_rate(min(hz, 20.0), WARM_S)
        sample = self._stage.at_rate(hz, self._plan.search_s)
        if not sample.complete:
            self.close()
        return sample


def _guess_hz(name: str, costs: Sequence[Cost]) -> float:
    """Where to begin to look: of those who write each message by itself, what its cost allows."""
    if name == OURS or PEERS[name].batches:
        return BATCHING_GUESS_HZ
    return 1e6 / costs[0].us / SUBSCRIBERS


def _median(samples: Sequence[Sample]) -> float:
    """Of the rounds in which everything was in time; of all where it never was, which the notes say."""
    good = [sample for sample in samples if sample.good]
    return statistics.median(sample.for_cpu_second for sample in good or samples)


def _cost_rows(costs: dict[str, list[Cost]]) -> Iterator[Row]:
    medians = {name: statistics.median(cost.us for cost in found) for name, found in costs.items()}
    figure = f"server CPU for a delivered message, µs, {SUBSCRIBERS:,} subscribers, one at a time"
    for name, us in medians.items():
        if name != OURS:
            target = LIMIT_FACTOR * us if name == "limit" else None
            yield Row(figure, medians[OURS], "less", target, us, PEERS[name].label)


def _many_rows(many: dict[str, list[Sample]]) -> Iterator[Row]:
    figure = f"messages delivered for each CPU-second at p99 ≤ {P99_MS:g} ms, {SUBSCRIBERS:,} subscribers"
    for name, samples in many.items():
        if name != OURS:
            kind, value = PEERS[name], _median(samples)
            factor = 1 if kind.batches else PRODUCT_FACTOR
            target = factor * value if kind.product else None
            yield Row(figure, _median(many[OURS]), "more", target, value, kind.label)


def _compressed_rows(deflated: dict[str, list[Sample]]) -> Iterator[Row]:
    figure = "the same, permessage-deflate"
    for name, samples in deflated.items():
        if name != OURS:
            kind, value = PEERS[name], _median(samples)
            factor = 1 if kind.batches else COMPRESSED_FACTOR
            yield Row(figure, _median(deflated[OURS]), "more", factor * value, value, kind.label)


def _general_notes(plan: Plan) -> Iterator[str]:
    yield (
        f"{plan.cost_rounds} and {plan.rounds} rounds of each side in turns, a new server each; medians; "
        f"the same message of about {len(PEER_MESSAGE) + 12} bytes everywhere; "
        f"server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}; "
        "every message arrived everywhere, in order, once (of compressed connections: on the 63 that inflate, and the "
        "others had as many bytes)"
    )
    yield (
        "ours appends each message to its durable log, and ends each write with a tick; one at a time by WebSocket "
        "commands and plain frames, at most by POST of arrays and fire22.v1.json; the peers keep nothing"
    )


def _cost_notes(costs: dict[str, list[Cost]]) -> Iterator[str]:
    for name, found in costs.items():
        each = ", ".join(f"{cost.us:.1f} ({100 * cost.others:.0f} %)" for cost in found)
        generator = max(cost.generator for cost in found)
        yield (
            f"one at a time, {_label(name)}, µs (others, in % of a core): {each}; generator at most "
            f"{100 * generator:.0f} % of its core"
        )


def _sample_notes(what: str, samples: dict[str, list[Sample]]) -> Iterator[str]:
    for name, found in samples.items():
        each = "; ".join(
            f"{sample.hz:,.0f} a second, p50 / p99 {sample.p50_ms:.0f} / {sample.p99_ms:.0f} ms, "
            f"server {100 * sample.cpu_s / sample.seconds:.0f} %, generator {100 * sample.generator:.0f} %, "
            f"others {100 * sample.others:.0f} %"
            f"{'' if sample.good else ' NOT SUSTAINED'}"
            for sample in found
        )
        yield f"{what}, {_label(name)}: {each}"


def _label(name: str) -> str:
    return "ours" if name == OURS else PEERS[name].label
