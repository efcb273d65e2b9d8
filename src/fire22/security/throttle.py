"""Slows the guessing of passwords down, without locking anybody out (OWASP, device cookies).

Who has signed in leaves a signed device cookie in the browser. Failures with it count for that user and device alone;
failures without one count for the user from unknown devices, and for the address prefix. So an attacker exhausts only
those two, and the user goes on signing in from a device where that has worked before. A name that there is not is
counted as one that there is.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from fire22.core import codes
from fire22.core.errors import RequestError

BUCKETS_MAX: Final = 100_000


class Rate(Struct, frozen=True):
    """How many failures a bucket takes at once, and how long until it takes another."""

    burst: int
    interval_ms: int


USER: Final = Rate(10, 60_000)
ADDRESS: Final = Rate(50, 12_000)


class Throttle:
    """Counts failures. Of each bucket it keeps the time at which it will be empty (GCRA)."""

    def __init__(self) -> None:
        self._full_ms: dict[str, int] = {}

    def take(self, buckets: Sequence[tuple[str, Rate]], *, now_ms: int) -> None:
        """Count a failure in all buckets before it is known to be one, or in none.

        Raises:
            RequestError: `rate_limited`, one of them takes no more now.
        """
        wait_ms = max(
            self._full_ms.get(name, 0) + rate.interval_ms - now_ms - rate.burst * rate.interval_ms
            for name, rate in buckets
        )
        if wait_ms > 0:
            message = "There were too many attempts to sign in; try again later, or from a device that you have used."
            raise RequestError(codes.RATE_LIMITED, message, retry_after_s=wait_ms / 1000)
        if len(self._full_ms) >= BUCKETS_MAX:
            self._full_ms = {name: full_ms for name, full_ms in self._full_ms.items() if full_ms > now_ms}
        for name, rate in buckets:
            while name not in self._full_ms and len(self._full_ms) >= BUCKETS_MAX:
                del self._full_ms[next(iter(self._full_ms))]
            self._full_ms[name] = max(now_ms, self._full_ms.get(name, 0)) + rate.interval_ms

    def give_back(self, buckets: Sequence[tuple[str, Rate]]) -> None:
        """It was no failure."""
        for name, rate in buckets:
            if name in self._full_ms:
                self._full_ms[name] -= rate.interval_ms


class Devices:
    """Signs and reads device cookies.

    Args:
        key: at least 32 bytes, of this purpose alone.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, user: str) -> str:
        """A cookie for a new device of a user."""
        nonce = secrets.token_urlsafe(16)
        return f"{nonce}.{self._signature(user, nonce)}"

    def device(self, cookie: str, user: str) -> str:
        """The device that a cookie names; empty where the cookie is not of this user."""
        nonce, _, signature = cookie.partition(".")
        good = hmac.compare_digest(self._signature(user, nonce).encode(), signature.encode())
        return nonce if good else ""

    def _signature(self, user: str, nonce: str) -> str:
        return hmac.new(self._key, f"{user}\0{nonce}".encode(), hashlib.sha256).hexdigest()


def prefix_of(address: str) -> str:
    """What is counted of an address: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
