"""Whose work is done next: turns of the event loop, and of the thread that reads from storage, fair between users.

Start-time fair queueing (Goyal, Vin, Cheng 1996): each user has a virtual time that advances by what its work takes,
and the earliest is next. Who comes back after a pause begins at the time of the one that is served, up to one slice
earlier, and before others of the same time; so a user who asks little waits for one slice, however many users ask much
and however much waits for them. Round robin would let it wait for a slice of each.

Work is a `Worker`: it does as much as fits into its slice and says whether it has more to do. Between two slices the
loop does all else.
"""

import asyncio
import heapq
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from fire22.observability.logging import get_logger

IDLE_KEPT_MAX: Final = 10_000  # users without work whose virtual time is remembered
Item = TypeVar("Item")
Result = TypeVar("Result")
Read = Callable[[], Awaitable[Any]]


class Pause(Struct, frozen=True):
    """What work waits for that needs no thread.

    Args:
        until: is given what to call when the work can go on.
    """

    until: Callable[[Callable[[], None]], None]


# Work in pieces: it yields None where others may go first, and otherwise what it waits for: a pause, or what is to be
# read from storage, whose result it is sent.
Work = Generator[Read | Pause | None, Any, Result]


class Flow(Generic[Item]):
    """The work of one user.

    Attributes:
        start: virtual time at which the piece begins that is next.
    """

    __slots__ = ("items", "start", "user", "waits")

    def __init__(self, user: str) -> None:
        self.user = user
        self.items: deque[Item] = deque()
        self.start = float("-inf")
        self.waits = False


class FairQueue(Generic[Item]):
    """Items by user; fed by hand.

    Args:
        lead: how far before the others, in units of cost, one may begin who comes back.
    """

    def __init__(self, lead: float) -> None:
        self._lead = lead
        self._now = 0.0  # virtual time: the start of what was taken last
        self._flows: dict[str, Flow[Item]] = {}
        self._heap: list[tuple[float, bool, int, Flow[Item]]] = []
        self._number = count()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, user: str, item: Item) -> None:
        """A user has something to do."""
        flow = self._flows.get(user)
        if flow is None:
            flow = self._flows[user] = Flow(user)
        flow.items.append(item)
        if not flow.waits:
            flow.start = max(flow.start, self._now - self._lead)
            self._push(flow, again=False)

    def take(self) -> tuple[Flow[Item], Item] | None:
        """What is next; `charge` follows when it is done. Meanwhile others may be taken."""
        if not self._heap:
            return None
        self._now, _, _, flow = heapq.heappop(self._heap)
        return flow, flow.items.popleft()

    def charge(self, flow: Flow[Item], cost: float, again: Item | None = None, *, first: bool = False) -> None:
        """What was taken has cost so much; `again` is the rest of it, behind the user's other items or before them."""
        flow.start += cost
        if again is not None:
            (flow.items.appendleft if first else flow.items.append)(again)
        if flow.items:
            self._push(flow, again=True)
            return
        flow.waits = False
        if not self._heap:
            self._flows = {user: each for user, each in self._flows.items() if each.waits}
        elif len(self._flows) > IDLE_KEPT_MAX + 2 * len(self._heap):
            early = self._now - self._lead
            self._flows = {user: each for user, each in self._flows.items() if each.waits or each.start > early}

    def _push(self, flow: Flow[Item], *, again: bool) -> None:
        flow.waits = True
        heapq.heappush(self._heap, (flow.start, again, next(self._number), flow))


class Worker(Protocol):
    """What can be done in slices.

    A user's work that is begun is done before more of it is begun, so that a user makes the server hold the parts of
    few answers, however many connections ask for one at once.
    """

    @property
    @abstractmethod
    def is_midway(self) -> bool:
        """Whether a piece of work is begun, and not done."""

    @abstractmethod
    def step(self, until_s: float) -> bool:
        """Work until about this time of the clock; whether there is more that can be done at once."""


class Turns:
    """The turns of the event loop.

    Args:
        slice_s: how long one piece of work holds up others; the loop does all else between two of them.
        clock: of the work that this thread has done, in seconds. Time for which other programs have the processor is
            nobody's.
    """

    def __init__(self, slice_s: float = 0.002, clock: Callable[[], float] = time.thread_time) -> None:
        self.clock = clock
        self.reads = Reads(slice_s, time.monotonic)
        self._slice_s = slice_s
        self._queue: FairQueue[Worker] = FairQueue(slice_s)
        self._spent_s = 0.0  # of the slice in this turn of the loop
        self._is_running = False
        self._is_scheduled = False

    @property
    def waiting(self) -> int:
        """Users whose work waits."""
        return len(self._queue)

    def ready(self, user: str, worker: Worker) -> None:
        """A worker can go on: at once where nobody is before it, and else in its turn. Not again before its step."""
        self._queue.put(user, worker)
        self._run()

    def perform(self, user: str, work: Work[Result]) -> "asyncio.Future[Result]":
        """Do work in slices, and give its result."""
        job = _Job(self, user, work)
        self.ready(user, job)
        return job.done

    def _run(self) -> None:
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._spent_s < self._slice_s and (taken := self._queue.take()) is not None:
                self._step(*taken)
        finally:
            self._is_running = False
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _step(self, flow: Flow[Worker], worker: Worker) -> None:
        began_s = self.clock()
        goes_on = False
        try:
            goes_on = worker.step(began_s + self._slice_s - self._spent_s)
        except Exception as error:  # it costs its sender an answer, and nobody else
            get_logger().error("work failed", exc_info=error)
        took_s = self.clock() - began_s
        self._spent_s += took_s
        self._queue.charge(flow, took_s, worker if goes_on else None, first=worker.is_midway)

    def _next_turn(self) -> None:
        self._is_scheduled = False
        self._spent_s = 0.0
        if self._queue:
            self._run()


class Reads:
    """Reads from storage, one after the other: there is one thread for all."""

    def __init__(self, slice_s: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._queue: FairQueue[tuple[Read, Callable[[Any, BaseException | None], None]]] = FairQueue(slice_s)
        self._task: asyncio.Task[None] | None = None

    def ask(self, user: str, read: Read, done: Callable[[Any, BaseException | None], None]) -> None:
        """Read in the user's turn; `done` gets what was read, or why it could not be."""
        self._queue.put(user, (read, done))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="reads for commands")

    async def _run(self) -> None:
        while (taken := self._queue.take()) is not None:
            flow, (read, done) = taken
            began_s = self._clock()
            found, failure = None, None
            try:
                found = await read()
            except Exception as error:
                failure = error
            self._queue.charge(flow, self._clock() - began_s)
            done(found, failure)
        self._task = None


class Progress(Generic[Result]):
    """Work under way.

    Args:
        awake: called when what it waited for has been read, and it can go on.
    """

    __slots__ = ("_awake", "_failure", "_found", "_reads", "_user", "_work", "is_waiting", "result")

    def __init__(self, reads: Reads, user: str, work: Work[Result], awake: Callable[[], None]) -> None:
        self._reads = reads
        self._user = user
        self._work = work
        self._awake = awake
        self._found: Any = None
        self._failure: BaseException | None = None
        self.is_waiting = False
        self.result: Result

    def advance(self) -> bool:
        """One piece; whether that was the last, and `result` is there.

        Raises what the work raises.
        """
        found, self._found = self._found, None
        failure, self._failure = self._failure, None
        try:
            wanted = self._work.throw(failure) if failure is not None else self._work.send(found)
        except StopIteration as end:
            self.result = end.value
            return True
        if isinstance(wanted, Pause):
            self.is_waiting = True
            wanted.until(lambda: self._read(None, None))
        elif wanted is not None:
            self.is_waiting = True
            self._reads.ask(self._user, wanted, self._read)
        return False

    def _read(self, found: Any, failure: BaseException | None) -> None:
        self._found, self._failure = found, failure
        self.is_waiting = False
        self._awake()


class _Job(Generic[Result]):
    """Work that a coroutine waits for."""

    is_midway = True

    def __init__(self, turns: Turns, user: str, work: Work[Result]) -> None:
        self.done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._clock = turns.clock
        self._progress = Progress(turns.reads, user, work, lambda: turns.ready(user, self))

    def step(self, until_s: float) -> bool:
        """See Worker. Nobody waits any more: it ends."""
        while not self.done.done():
            try:
                if self._progress.advance():
                    self.done.set_result(self._progress.result)
                    return False
            except Exception as error:
                self.done.set_exception(error)
                return False
            if self._progress.is_waiting:
                return False
            if self._clock() >= until_s:
                return True
        return False


def reading(read: Read) -> Work[Any]:
    """Work that is nothing but reading from storage."""
    return (yield read)


def at_once(work: Work[Result]) -> Result:
    """The result of work that waits for nothing, where nobody else does."""
    while True:
        try:
            if next(work) is not None:
                raise AssertionError("work that is done at once waits for something")
        except StopIteration as end:
            result: Result = end.value
            return result
