"""The live path: what connections are written, byte for byte, without sockets and in virtual time."""

from fire22.core.frames import ServerFrameParser, Text
from fire22.core.message import Json, decode_json
from fire22.core.topic import DIRECT
from fire22.hub.base import Recipient
from fire22.hub.codec import DEFLATED, JSON_BATCH
from fire22.hub.flush import OVERTAKE_BYTES
from tests.support.hub_world import NOW_MS, Reader, World, key, position_of, set_row


def test_same_bytes_for_a_cohort(world: World) -> None:
    """Everybody who follows the same lanes is written one and the same object, once, with a tick at its end."""
    readers = [world.join(key("wagers"), key("activity")) for _ in range(200)]
    world.wager()
    world.feed.say("activity", "/", {})
    world.feed.commit()
    world.flush()
    assert len({id(write) for reader in readers for write in reader.writes}) == 1
    assert [message.type for message in readers[0].take()] == ["wagers_said", "activity_said", "tick"]
    assert world.hub.statistics.messages == 400
    assert world.hub.lane_count == 2


def test_messages_name_topic_scope_and_offset(world: World) -> None:
    """A subscriber knows from the message alone to which subscription it belongs."""
    reader = world.join(key("wagers", "/M1"))
    world.feed.say("wagers", "/M1/A7/@C1", {"wagerId": "w1"}, priority=3)
    world.feed.commit()
    world.flush()
    [message, _] = reader.take()
    assert (message.target, message.scope, message.offset) == ("wagers", "/M1", 1)
    assert (message.data, message.priority, message.type) == ({"wagerId": "w1"}, "critical", "wagers_said")


def test_stream_scopes_are_prefixes(world: World) -> None:
    """A stream's subscriber sees its own sub-tree, all of it, and nothing beside it."""
    paths = ["/", "/M1", "/M10", "/M1/A7", "/M1/A7/@C1", "/M2"]
    readers = {scope: world.join(key("wagers", scope)) for scope in ("/", "/M1", "/M1/A7", "/M2", "/M3")}
    for path in paths:
        world.feed.say("wagers", path, {})
    world.feed.commit()
    world.flush()
    seen = {scope: reader.offsets() for scope, reader in readers.items()}
    assert seen == {"/": [1, 2, 3, 4, 5, 6], "/M1": [2, 4, 5], "/M1/A7": [4, 5], "/M2": [6], "/M3": []}


def test_view_scopes_are_exact(world: World) -> None:
    """A view's subscriber gets the documents of the scope itself, not those below."""
    readers = {scope: world.join(key("kpi", scope)) for scope in ("/", "/M1", "/M2")}
    world.feed.change("kpi", "/", {"a": 1})
    world.feed.change("kpi", "/M1", {"a": 2})
    world.feed.commit()
    world.flush()
    assert {scope: reader.offsets() for scope, reader in readers.items()} == {"/": [1], "/M1": [2], "/M2": []}


def test_filter(world: World) -> None:
    """A subscriber gets what passes its filter; where nothing does, nothing is written, not even a tick."""
    reader = world.join(key("wagers", filter={"status": ["open", "won"], "amount": {"gte": 10}}))
    for status, amount in (("open", 9), ("open", 10), ("lost", 99), ("won", 11)):
        world.feed.say("wagers", "/", {"status": status, "amount": amount})
    world.feed.commit()
    world.flush()
    assert reader.offsets() == [2, 4]
    world.wager(status="lost")
    world.flush()
    assert reader.writes == []


def test_codecs(world: World) -> None:
    """Each connection is written in the way it chose."""
    plain = world.join(key("wagers"))
    batch = world.join(key("wagers", codec=JSON_BATCH), codec=JSON_BATCH)
    world.wager()
    world.flush()
    assert len(list(ServerFrameParser(1 << 20).receive(b"".join(plain.writes)))) == 2
    [messages, tick] = ServerFrameParser(1 << 20).receive(b"".join(batch.writes))
    assert isinstance(messages, Text)
    assert isinstance(tick, Text)
    assert messages.payload.startswith('[{"type"')
    assert plain.take() == batch.take()


def test_addressed_messages_stay_away(world: World) -> None:
    """What is for one user alone does not reach those who follow the topic."""
    reader = world.join(key("wagers"))
    world.feed.say("wagers", "/", {}, target="user:7")
    world.feed.commit()
    world.flush()
    assert reader.writes == []


def test_critical_is_told(world: World) -> None:
    """The loop learns that it must flush at once."""
    world.feed.say("wagers", "/", {}, priority=2)
    assert not world.hub.deliver(world.feed.commit())
    world.feed.say("wagers", "/", {}, priority=3)
    assert world.hub.deliver(world.feed.commit())


def test_expired(world: World) -> None:
    """A message past its time, by the feed's own clock, is not delivered, live or later; the position passes it."""
    world.feed.pass_time(NOW_MS)
    reader = world.join(key("wagers"))
    world.feed.say("wagers", "/", {}, expires_ms=NOW_MS)
    world.feed.say("wagers", "/", {}, expires_ms=NOW_MS + 1)
    world.feed.commit()
    world.flush()
    assert reader.offsets() == [2]
    world.feed.pass_time(NOW_MS + 1)
    world.wager()
    world.flush()
    late = world.join(key("wagers"), at=0)
    world.catch_up(late)
    assert late.offsets() == [3]


class _DeflatedServerParser(ServerFrameParser):
    """Reads what a server sends with permessage-deflate."""

    _deflates = True


def frames(reader: Reader) -> list[list[str]]:
    """The types of the messages in each frame since the last call."""
    found = list(_DeflatedServerParser(1 << 20).receive(b"".join(reader.writes)))
    reader.writes.clear()
    return [[message.type for message in decode_json(each.payload)] for each in found if isinstance(each, Text)]


def test_compressed_together_where_nobody_else_shares(world: World) -> None:
    """A compressed batch holds all of a flush, tick included; a lane that several cohorts share is compressed once,
    by itself."""
    codec = DEFLATED["json"]
    wagers, activity = key("wagers", codec=codec), key("activity", codec=codec)
    both = world.join(wagers, activity, codec=codec)
    world.wager()
    world.feed.say("activity", "/", {})
    world.feed.commit()
    world.flush()
    assert frames(both) == [["wagers_said", "activity_said", "tick"]]
    one = world.join(wagers, codec=codec)
    world.wager()
    world.flush()
    assert frames(both) == frames(one) == [["wagers_said"], ["tick"]]
    world.hub.leave(one)
    world.wager()
    world.flush()
    assert frames(both) == [["wagers_said", "tick"]]


def urgent(world: World) -> bool:
    """Whether the loop should let something overtake."""
    return world.hub.urgent


def overtake(world: World) -> None:
    """What the loop does when something is urgent."""
    for _ in world.hub.overtake():
        pass


def critical(world: World, path: str = "/", **data: Json) -> None:
    """One critical wager in a commit group of its own."""
    world.feed.say("wagers", path, data, priority=3)
    world.feed.commit()


def test_a_critical_message_overtakes_a_flush(world: World) -> None:
    """It comes before the flush under way has ended, once, and no tick passes what it has overtaken."""
    readers = [world.join(key("wagers")) for _ in range(200)]
    world.wager()
    flush = world.hub.flush(world.now_s)
    next(flush)
    critical(world)
    assert urgent(world)
    overtake(world)
    for _ in flush:
        pass
    world.flush()
    for reader in readers:
        assert [each.offset or -position_of(each) for each in reader.take()] == [2, 1, -1, -2]
    assert world.hub.statistics.overtakes == 1


def test_a_critical_message_overtakes_what_waits(world: World) -> None:
    """With much before it a critical message is written alone and first; with little it is not worth a write."""
    reader = world.join(key("wagers"))
    world.wager()
    critical(world)
    assert not urgent(world)
    world.flush()
    assert reader.offsets() == [1, 2]
    world.wager(text="x" * OVERTAKE_BYTES)
    critical(world)
    assert urgent(world)
    overtake(world)
    assert reader.offsets() == [4]
    late = world.join(key("wagers"))  # joins at 2, and is told as well
    assert late.offsets() == [4]
    world.flush()
    assert (reader.offsets(), late.offsets()) == ([3], [3])


def test_a_critical_message_overtakes_what_is_held(world: World) -> None:
    """It does not wait for the rate; the position does. Who joins in between gets it too."""
    lane = key("wagers", max_rate_hz=1)
    reader = world.join(lane)
    world.wager()
    world.flush()
    reader.take()
    world.wager()
    critical(world)
    world.flush()
    assert [each.offset or -position_of(each) for each in reader.take()] == [3, -1]
    late = world.join(lane, at=1)
    assert late.offsets() == [3]
    world.wager()
    world.flush(after_s=1)
    assert reader.offsets() == late.offsets() == [2, 4]


def test_a_critical_message_overtakes_a_backlog(world: World) -> None:
    """Who is behind gets it first, and once more in its place, which a client drops."""
    reader = world.join(key("wagers", "/M1", filter={"status": "open"}))
    world.fall_behind(reader)
    other = world.join(key("wagers", "/M1", filter={"status": "open"}))
    for _ in range(5):
        world.wager("/M1", status="open")
    critical(world, "/M1", status="open")
    critical(world, "/M2", status="open")
    world.flush()
    assert other.offsets() == [1, 2, 3, 4, 5, 6]
    world.catch_up(reader)
    assert reader.offsets() == [6, 1, 2, 3, 4, 5, 6]


def address(world: World, *targets: str, priority: int = 1) -> None:
    """One message for each target, in one commit group."""
    for target in targets:
        world.feed.say(DIRECT, "/", {"for": target}, target=target, priority=priority)
    world.feed.commit()


def test_addressed_messages(world: World) -> None:
    """A user's connections, one client, or all who are known get a message, with a tick, and nobody else does."""
    phone = world.join(key("wagers"), who=Recipient("ann", "phone"))
    laptop = world.join(who=Recipient("ann", "laptop"))
    other = world.join(key("wagers"), who=Recipient("bob"))
    unknown = world.join(key("wagers"))
    address(world, "user:ann", "client:phone", "everyone", "user:nobody")
    world.flush()
    assert [each.target or each.type for each in phone.take()] == ["user:ann", "client:phone", "direct_said", "tick"]
    assert [each.target or each.type for each in laptop.take()] == ["user:ann", "direct_said", "tick"]
    assert [each.offset for each in other.take()] == [3, None]
    assert unknown.take() == []
    world.hub.leave(laptop)
    address(world, "user:ann")
    world.flush()
    assert (phone.offsets(), laptop.offsets(), other.offsets()) == ([5], [], [])


def test_who_takes_no_more_after_an_addressed_message_is_behind(world: World) -> None:
    """A connection that is full with what was addressed to it is written nothing more, and catches up later."""
    reader = world.join(key("wagers"), who=Recipient("ann"))
    reader.full_after = 1
    address(world, "user:ann")
    world.flush()
    assert (reader.paused, reader.cohort) == (True, None)
    assert [each.target or each.type for each in reader.take()] == ["user:ann", "tick"]
    world.wager()
    world.flush()
    assert reader.take() == []
    reader.paused, reader.full_after = False, None
    world.catch_up(reader)
    assert reader.offsets() == [2]
    assert reader.cohort is not None


def test_addressed_beside_what_is_followed(world: World) -> None:
    """In a flush that brings both, one tick ends both, so that a position never passes a message that is to come."""
    reader = world.join(key("wagers"), who=Recipient("ann"))
    world.wager()
    address(world, "user:ann")
    world.flush()
    assert [each.offset or -position_of(each) for each in reader.take()] == [2, 1, -2]


def test_addressed_messages_wait_for_who_is_behind(world: World) -> None:
    """A slow reader gets them in their place, and who resumes gets those since its position."""
    slow = world.join(key("wagers"), who=Recipient("ann"))
    slow.paused = True
    world.wager()
    world.flush()
    address(world, "user:ann", "user:bob")
    world.wager()
    world.flush()
    slow.paused = False
    world.catch_up(slow)
    assert sorted(slow.offsets(), key=str) == [1, 2, 4]
    resumed = world.join(who=Recipient("ann"))
    world.hub.follow(resumed, key("activity"), 1, resumed=True)
    world.hub.follow(resumed, key("wagers"), 1, resumed=True)  # the same position brings them once
    world.catch_up(resumed)
    assert sorted(resumed.offsets(), key=str) == [2, 4]
    assert resumed.cohort is not None
    anew = world.join(key("wagers"), who=Recipient("ann"))
    assert anew.take() == []


def test_an_old_position_of_a_view_does_not_ask_for_what_is_gone(world: World) -> None:
    """A view can be resumed from before the feed's oldest message; what was addressed before that is gone."""
    set_row(world, "one", {"total": 1})
    address(world, "user:ann")
    world.wager()
    address(world, "user:ann")
    world.flush()
    world.feed.drop(3)
    reader = world.join(who=Recipient("ann"))
    world.hub.follow(reader, key("desk"), 0, resumed=True)
    world.catch_up(reader)
    assert not reader.lost_position
    assert reader.offsets() == [1, 4]
