"""The ring: the newest records in memory, limited by bytes, and honest about what it no longer holds."""

from random import Random

import pytest

from fire22.feed.base import Entry, Record
from fire22.feed.ring import Ring


def record(offset: int, topic: str = "a", *, entries: int = 1, size: int = 10) -> Record:
    """A record with some entries."""
    entry = Entry("/", "", "update", 0, 1, b"x" * size)
    return Record(offset, topic, offset, 0, 1, 0, (entry,) * entries)


def cost(of: Record) -> int:
    """What the ring counts for a record."""
    ring = Ring(1 << 30, 0)
    ring.append(of)
    return ring.size_bytes


def fill(ring: Ring, records: list[Record]) -> None:
    """Append them all."""
    for each in records:
        ring.append(each)


def test_a_range_is_read_by_topic() -> None:
    """A reader gets the topic's records after its position, up to where it may see, at most as many as it asked for."""
    records = [record(1), record(2, "b"), record(3), record(4), record(5, "b"), record(6)]
    ring = Ring(1 << 20, 0)
    fill(ring, records)
    of_a = [records[0], records[2], records[3], records[5]]
    assert ring.after("a", 0, 100, 10) == of_a
    assert ring.after("a", 1, 100, 10) == of_a[1:]
    assert ring.after("a", 2, 100, 10) == of_a[1:]
    assert ring.after("a", 0, 4, 10) == of_a[:3]
    assert ring.after("a", 0, 5, 10) == of_a[:3]
    assert ring.after("a", 0, 100, 2) == of_a[:2]
    assert ring.after("a", 6, 100, 10) == []
    assert ring.after("none", 0, 100, 10) == []


def test_a_record_that_straddles_the_position_is_read() -> None:
    """A position in the middle of a record is answered with that record."""
    records = [record(1, entries=5), record(6, entries=5)]
    ring = Ring(1 << 20, 0)
    fill(ring, records)
    assert ring.after("a", 3, 100, 10) == records
    assert ring.after("a", 4, 5, 10) == records[:1]
    assert ring.after("a", 5, 100, 10) == records[1:]
    assert ring.after("a", 0, 7, 10) == records
    assert ring.after("a", 9, 100, 10) == records[1:]
    assert ring.after("a", 10, 100, 10) == []


def test_the_oldest_go_first() -> None:
    """Over the limit the oldest record of all topics goes, and whoever is behind it is sent to storage."""
    records = [record(1, "b"), record(2), record(3), record(4)]
    ring = Ring(cost(records[0]) * 3, 0)
    fill(ring, records)
    assert ring.lost == 1
    assert ring.after("b", 0, 100, 10) is None
    assert ring.after("b", 1, 100, 10) == []
    assert ring.after("a", 0, 100, 10) is None
    assert ring.after("a", 1, 100, 10) == records[1:]
    assert ring.size_bytes == cost(records[0]) * 3


def test_a_position_in_a_record_that_is_gone_is_not_answered() -> None:
    """Half of what was missed is worse than nothing."""
    records = [record(1, entries=5), record(6, entries=5), record(11, entries=5)]
    ring = Ring(cost(records[0]) * 2, 0)
    fill(ring, records)
    assert ring.lost == 5
    assert ring.after("a", 3, 100, 10) is None
    assert ring.after("a", 5, 100, 10) == records[1:]


def test_one_record_larger_than_the_ring_stays() -> None:
    """The newest record is always in memory, so that live clients never wait for the disk."""
    ring = Ring(100, 0)
    ring.append(record(1))
    huge = record(2, size=5000)
    ring.append(huge)
    assert ring.after("a", 1, 100, 10) == [huge]
    assert ring.lost == 1


def test_a_ring_begins_where_the_feed_was() -> None:
    """After a restart nothing of before is in memory, and it does not claim so."""
    ring = Ring(1 << 20, 41)
    assert ring.after("a", 40, 100, 10) is None
    assert ring.after("a", 41, 100, 10) == []
    ring.append(record(42))
    assert ring.after("a", 41, 100, 10) == [record(42)]


def test_records_are_walked_backwards() -> None:
    """A snapshot takes the newest of a stream first."""
    records = [record(1, entries=3), record(4, "b"), record(5), record(6)]
    ring = Ring(1 << 20, 0)
    fill(ring, records)
    assert list(ring.back("a", 100)) == [records[3], records[2], records[0]]
    assert list(ring.back("a", 6)) == [records[2], records[0]]
    assert list(ring.back("a", 2)) == [records[0]]
    assert list(ring.back("a", 1)) == []
    assert list(ring.back("none", 100)) == []


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_a_list(seed: int) -> None:
    """However many records come and go, each answer is the one that a plain list gives, or none."""
    random = Random(seed)
    everything: list[Record] = []
    ring = Ring(40_000, 0)
    offset = 1
    for _ in range(6000):
        each = record(offset, random.choice("aaab"), entries=random.randint(1, 3), size=random.randrange(100))
        offset = each.last + 1
        everything.append(each)
        ring.append(each)
        assert ring.size_bytes <= 40_000
        if random.random() < 0.05:
            after = random.randrange(max(0, ring.lost - 5), offset)
            upto, limit = random.randrange(after, offset + 5), random.randint(1, 50)
            found = ring.after("a", after, upto, limit)
            right = [r for r in everything[-400:] if r.topic == "a" and r.last > after and r.offset <= upto][:limit]
            assert found == (None if after < ring.lost else right)
            back = [r for r in everything[-400:] if r.topic == "a" and ring.lost < r.offset < after]
            assert list(ring.back("a", after)) == back[::-1]
