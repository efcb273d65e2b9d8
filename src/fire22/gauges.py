"""What `/metrics` says of a running server, beside the errors that it counts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fire22.flows.letters import Letters
from fire22.hub import codec
from fire22.observability.metrics import Sample

if TYPE_CHECKING:
    from fire22.app import Application


def samples(server: "Application", now_ms: int) -> Iterator[Sample]:
    """Everything that is measured, now.

    Args:
        now_ms: of the wall clock.
    """
    hub, feed = server.delivery, server.feed.checkpoint
    counted = hub.statistics
    for transport, count in server.connections.count.items():
        yield Sample("fire22_connections", "Open connections.", count, {"transport": transport})
    yield Sample("fire22_connections_catching_up", "Connections not at the live edge.", hub.behind)
    yield Sample("fire22_lanes", "Lanes that somebody follows.", hub.lane_count)
    yield Sample("fire22_messages_delivered_total", "Messages written to connections.", counted.messages)
    yield Sample("fire22_written_bytes_total", "Bytes of live flushes.", counted.written_bytes)
    yield Sample("fire22_flushes_total", "Flushes of the hub.", counted.flushes)
    yield Sample("fire22_slow_readers_total", "Times a connection fell behind the live edge.", counted.demoted)
    yield Sample("fire22_critical_overtakes_total", "Critical messages that overtook others.", counted.overtakes)
    help = "How far load is shed: 1 views, 2 and lossy streams, 3 and new connections."
    yield Sample("fire22_load_level", help, hub.load)
    help = "What was shed: times a view was held back, messages lossy streams left out, connections refused."
    yield Sample("fire22_shed_total", help, counted.held, {"what": "views"})
    yield Sample("fire22_shed_total", help, counted.skipped, {"what": "lossy"})
    yield Sample("fire22_shed_total", help, server.connections.shed, {"what": "connections"})
    help = "Messages that a connection's codec could not say, so that they were left out."
    yield Sample("fire22_messages_left_out_total", help, sum(each.left_out for each in codec.ALL))
    yield Sample("fire22_events_total", "Events in the log.", server.log.last_seq)
    yield Sample("fire22_messages_total", "Messages in the feed.", feed.offset)
    yield Sample("fire22_feed_ring_bytes", "Memory of the feed's recent part.", server.feed.ring_bytes)
    yield Sample("fire22_flush_seconds", "What the last flush took.", server.hub.flush_s)
    help = "How far each stage is behind the one before it, in the stage's own units."
    yield Sample("fire22_lag", help, server.log.pending, {"stage": "log"})
    yield Sample("fire22_lag", help, server.runner.behind, {"stage": "flows"})
    yield Sample("fire22_lag", help, server.engine.checkpoint.offset - feed.offset, {"stage": "feed"})
    yield Sample("fire22_lag", help, feed.offset - hub.flushed, {"stage": "hub"})
    yield from _letters(server.engine.letters)
    for source in server.sources:
        status = source.status()
        age = max(0, now_ms - status.read_up_to_ms) / 1000
        yield Sample("fire22_source_age_seconds", "Since a source was read whole.", age, {"source": status.name})
    age = max(0, now_ms - hub.watermark_ms) / 1000
    yield Sample("fire22_watermark_age_seconds", "Age of the figures: now less the watermark.", age)


def _letters(letters: Letters) -> Iterator[Sample]:
    yield Sample("fire22_dead_letters", "Events that could not be used and wait for somebody.", letters.open)
    for what, count in sorted(letters.counts().items()):
        kind, _, code = what.partition(":")
        if kind == "code":
            help = "Events that could not be used, by the code of the reason."
            yield Sample("fire22_dead_letters_opened_total", help, count, {"code": code})
        else:
            help = "Dead letters that are gone: replayed with success, dismissed, or dropped at the limit."
            yield Sample("fire22_dead_letters_closed_total", help, count, {"how": kind})
