"""How much a sender may cost in a time: token buckets for its connection, user, address and scope.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm, GCRA). A request is
charged to all four or to none: by an estimate before it is performed, and by what it read and wrote when that is known.
What is charged afterwards may overdraw a bucket; the next request then waits longer.
"""

import math
from typing import Annotated, Final

from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.errors import RequestError
from fire22.security.principal import Principal

ROWS_A_UNIT: Final = 100  # of messages that are looked at
BYTES_A_UNIT: Final = 8_192  # of an answer
FULL_KEPT_MAX: Final = 10_000  # buckets that may be full and are not forgotten yet
Rate = Annotated[float, Meta(ge=0, le=1e9)]


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What commands and requests may cost, in units. One is a request that is answered from memory; 100 messages that
    are looked at, and 8 kB of an answer, are one more each.

    Args:
        connection_units_per_s: of one connection; 0 is no limit of its own, here and in what follows.
        user_units_per_s: of one user, over all connections and requests.
        address_units_per_s: of one network address. The default is no limit because everybody has the same address
            behind a proxy, or in an office behind one router.
        scope_units_per_s: of all users whose scope is the same.
        burst_s: who has been quiet may use what this many seconds allow at once.
        slice_ms: how long one user's commands hold up those of others at most.
    """

    connection_units_per_s: Rate = 500.0
    user_units_per_s: Rate = 1_000.0
    address_units_per_s: Rate = 0.0
    scope_units_per_s: Rate = 5_000.0
    burst_s: Annotated[float, Meta(gt=0, le=3_600)] = 300.0
    slice_ms: Annotated[float, Meta(gt=0, le=1_000)] = 2.0


class Payer(Struct, frozen=True):
    """Who is charged; an empty name is charged nothing."""

    connection: str = ""
    user: str = ""
    address: str = ""
    scope: str = ""


class Left(Struct, frozen=True):
    """The tightest of a payer's limits.

    Args:
        name: `connection`, `user`, `address` or `scope`.
        units: what may be used at once.
        units_max: what may be used at once by who has been quiet.
        reset_s: until so much may be used again.
    """

    name: str
    units: int
    units_max: int
    reset_s: int


def payer_of(principal: Principal, *, connection: str = "", address: str = "") -> Payer:
    """Who pays for what a principal asks."""
    return Payer(connection, principal.user, address, principal.scope)


def units_of(rows: int, size_bytes: int) -> float:
    """What an answer costs beside its request."""
    return rows / ROWS_A_UNIT + size_bytes / BYTES_A_UNIT


class Rates:
    """All buckets of a server; time is an argument, seconds of a steady clock."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._burst_s = limits.burst_s
        rates = {
            "connection": limits.connection_units_per_s,
            "user": limits.user_units_per_s,
            "address": limits.address_units_per_s,
            "scope": limits.scope_units_per_s,
        }
        self._rates = [(name, rate) for name, rate in rates.items() if rate]
        self._full_at: dict[tuple[str, str], float] = {}  # by limit and name; one that is not there is full
        self._forget_above = FULL_KEPT_MAX

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, payer: Payer, units: float, now_s: float) -> None:
        """Charge a request to all buckets, or to none.

        Raises:
            RequestError: `rate_limited`, with the time until there is enough in the emptiest.
        """
        wait_s, emptiest = 0.0, ""
        charged: list[tuple[tuple[str, str], float]] = []
        for name, rate in self._rates:
            of = getattr(payer, name)
            if of:
                key = (name, of)
                full_at = max(self._full_at.get(key, now_s), now_s)
                after = full_at + units / rate
                # What costs more than a bucket holds is let through when it is full.
                missing_s = min(after - now_s - self._burst_s, full_at - now_s)
                if missing_s > wait_s:
                    wait_s, emptiest = missing_s, name
                charged.append((key, after))
        if emptiest:
            raise RequestError(
                codes.RATE_LIMITED,
                f"What this {emptiest} may cost is used up; come back after `retryAfter`.",
                retry_after_s=math.ceil(wait_s * 1000) / 1000,
                details={"limit": emptiest},
            )
        self._full_at.update(charged)
        if len(self._full_at) > self._forget_above:
            self._forget_full(now_s)

    def settle(self, payer: Payer, units: float, now_s: float) -> None:
        """Charge what a request has cost beyond its estimate."""
        for name, rate in self._rates:
            of = getattr(payer, name)
            if of:
                key = (name, of)
                self._full_at[key] = max(self._full_at.get(key, now_s), now_s) + units / rate

    def left(self, payer: Payer, now_s: float) -> Left | None:
        """What may still be used; None where nothing is limited."""
        found: Left | None = None
        for name, rate in self._rates:
            of = getattr(payer, name)
            if of:
                until_full_s = max(0.0, self._full_at.get((name, of), now_s) - now_s)
                units = max(0, int((self._burst_s - until_full_s) * rate))
                if found is None or units < found.units:
                    found = Left(name, units, int(self._burst_s * rate), math.ceil(until_full_s))
        return found

    def forget(self, payer: Payer) -> None:
        """A connection is gone: its own bucket goes with it."""
        self._full_at.pop(("connection", payer.connection), None)

    def _forget_full(self, now_s: float) -> None:
        """Buckets that are full again need not be remembered."""
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now_s}
        self._forget_above = max(FULL_KEPT_MAX, 2 * len(self._full_at))
