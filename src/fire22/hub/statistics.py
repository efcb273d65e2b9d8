"""What the hub has done since the start."""

from msgspec import Struct


class Statistics(Struct):
    """Counters.

    Args:
        messages: written to connections.
        written_bytes: of live flushes.
        flushes: of the hub.
        demoted: times that a live connection fell behind.
        overtakes: critical messages that went out before others.
        held: times that a view was held back because of load.
        skipped: messages that lossy subscriptions were not sent.
    """

    messages: int = 0
    written_bytes: int = 0
    flushes: int = 0
    demoted: int = 0
    overtakes: int = 0
    held: int = 0
    skipped: int = 0
