"""What the hub has done since the start."""

from collections.abc import Iterator

from msgspec import Struct

from fire22.observability.sample import Sample, shed


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

    def samples(self) -> Iterator[Sample]:
        """The counters, for the metrics."""
        yield Sample("fire22_messages_delivered_total", "Messages written to connections.", self.messages)
        yield Sample("fire22_written_bytes_total", "Bytes of live flushes.", self.written_bytes)
        yield Sample("fire22_flushes_total", "Flushes of the hub.", self.flushes)
        yield Sample("fire22_slow_readers_total", "Times a connection fell behind the live edge.", self.demoted)
        yield Sample("fire22_critical_overtakes_total", "Critical messages that overtook others.", self.overtakes)
        yield shed(self.held, "views")
        yield shed(self.skipped, "lossy")
