"""Passwords: hashed and checked by argon2id (OWASP's minimum: 19 MiB, 2 passes, 1 lane), on a thread of their own.

A check takes about 18 ms. At most `WAITING_MAX` wait, and address prefixes take turns: who floods from one prefix waits
behind everybody else, and gives up places when others come. An unknown name is checked against a hash that no password
has, so that it takes as long as a known one.
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.security.guesses import Guesses

WAITING_MAX: Final = 20
LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 256
RETRY_S: Final = 1.0
_HASHER: Final = PasswordHasher(
    time_cost=2, memory_cost=19 << 10, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)
# Of random bytes that nobody kept, by the parameters above.
NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$4Ya02GbXq1LVJUCCyMdmAQ$pB8jM1PoxmFFF1HK8vVbWBHKiyeIhkQEvV0VnDgbVWE"


class _Check:
    __slots__ = ("done", "encoded", "password")

    def __init__(self, encoded: str, password: str, done: "asyncio.Future[bool]") -> None:
        self.encoded = encoded
        self.password = password
        self.done = done


class Passwords:
    """Checks passwords, one at a time.

    Attributes:
        checked: how many were, since the start.
    """

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._queues: dict[str, deque[_Check]] = {}  # by address prefix; whose turn is next comes first
        self._waiting = 0
        self._busy = False
        self.checked = 0

    async def prepare(self, guesses: Guesses) -> None:
        """Have the thread read what new passwords are compared with, so that the event loop never does."""
        await asyncio.get_running_loop().run_in_executor(self._pool, guesses.prepare)

    async def check(self, encoded: str, password: str, prefix: str) -> bool:
        """Whether a password is the one that was hashed; never, where there is no hash.

        Args:
            encoded: as `hash` gives it; empty where there is none, which takes as long.
            prefix: of the address that asks.

        Raises:
            RequestError: `rate_limited`, too many wait.
        """
        if self._waiting >= self._waiting_max:
            self._make_room(prefix)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(prefix, deque()).append(_Check(encoded or NOBODYS, password, done))
        self._waiting += 1
        self._next()
        return await done

    async def hash(self, password: str) -> str:
        """What is kept of a password, with its salt and parameters (PHC string format)."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _HASHER.hash, password)

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _make_room(self, prefix: str) -> None:
        """The newest check of the prefix with the most gives its place to a prefix with fewer."""
        longest = max(self._queues.values(), key=len)
        if len(longest) <= len(self._queues.get(prefix, ())) + 1:
            raise _too_many()
        given_up = longest.pop()
        self._waiting -= 1
        if not given_up.done.done():
            given_up.done.set_exception(_too_many())

    def _next(self) -> None:
        while not self._busy and self._queues:
            prefix = next(iter(self._queues))
            queue = self._queues.pop(prefix)
            check = queue.popleft()
            self._waiting -= 1
            if queue:
                self._queues[prefix] = queue  # behind the others
            if check.done.done():  # who asked has gone
                continue
            self._busy = True
            self.checked += 1
            work = asyncio.get_running_loop().run_in_executor(self._pool, _verify, check.encoded, check.password)
            work.add_done_callback(lambda work, check=check: self._finish(check, work))  # type: ignore[misc]

    def _finish(self, check: _Check, work: "asyncio.Future[bool]") -> None:
        self._busy = False
        if not check.done.done():
            if work.cancelled():
                check.done.cancel()
            elif (error := work.exception()) is not None:
                check.done.set_exception(error)
            else:
                check.done.set_result(work.result())
        self._next()


def check_new(password: str, name: str, guesses: Guesses) -> None:
    """Whether a password may be set: long enough, and nothing that is guessed first. Nothing else is asked of it.

    Raises:
        RequestError: `password_weak`.
        StorageError: see `Guesses.check`.
    """
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        message = f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters."
        raise RequestError(codes.PASSWORD_WEAK, message)
    guesses.check(password, name)


def _verify(encoded: str, password: str) -> bool:
    try:
        return _HASHER.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


def _too_many() -> RequestError:
    return RequestError(codes.RATE_LIMITED, "Too many sign in at this moment; try again.", retry_after_s=RETRY_S)
