"""One row for all the life of a wager: whole while it is open, packed once it is over."""

import msgspec

from fire22.sportsbook.registry.open_wager import OpenWager, StruckLeg
from fire22.sportsbook.registry.wager_table import ClosedWager, WagerTable

Stored = dict[str, bytes]


def opened(id: str, risk: int = 1100) -> OpenWager:
    """An open wager."""
    return OpenWager(
        id, 1, "C1", "A1", "/M1", "straight", risk, risk, 1000, 0, 1, "web", "", (StruckLeg("m", "a", 1.9),)
    )


def over(returned: int = 0) -> ClosedWager:
    """What is kept of one that was settled."""
    return ClosedWager("settled", 1100, 1100, 1000, 1, returned)


def new() -> WagerTable[OpenWager]:
    """A table as the registry has it."""
    return WagerTable("wager", OpenWager)


def store(table: WagerTable[OpenWager], stored: Stored) -> list[str]:
    """Keep what has changed; returns the keys."""
    changed = table.take_changed()
    for key, value in changed:
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = value
    assert not table.is_changed
    return [key for key, _ in changed]


def restarted(stored: Stored) -> WagerTable[OpenWager]:
    """A table with the rows that are stored."""
    table = new()
    for key, value in stored.items():
        table.load(key, value)
    table.loaded()
    assert not table.is_changed
    return table


def known(table: WagerTable[OpenWager], *ids: str) -> list[object]:
    """What each wager is."""
    return [table.get(id) or table.over(id) for id in ids]


def test_a_wager_has_one_row_while_it_is_open_and_after() -> None:
    """What ends a wager takes the place of what opened it, in memory, in storage and after a restart."""
    table, stored = new(), Stored()
    for id in ("w1", "w2"):
        table.put(id, opened(id))
    assert store(table, stored) == ["w1", "w2"]
    table.end("w1", over(2100))
    for _ in range(2):
        assert known(table, "w1", "w2", "w3") == [over(2100), opened("w2"), None]
        assert (list(table), len(table), list(table.open)) == ([("w2", opened("w2"))], 1, ["w2"])
        if table.is_changed:
            assert store(table, stored) == ["w1"]
        table = restarted(stored)


def test_what_begins_and_ends_in_one_group_is_stored_once() -> None:
    """The row of a wager that was open for a moment is never written."""
    table, stored = new(), Stored()
    table.put("w1", opened("w1"))
    table.end("w1", over())
    table.end("w1", over(500))
    assert table.over("w1") == over(500)
    assert table.take_changed() == [("w1", msgspec.msgpack.encode(over(500)))]
    assert table.over("w1") == over(500)
    table.put("w2", opened("w2"))
    table.pop("w2")
    assert store(table, stored) == ["w2"] and stored == {}


def test_a_roll_back_opens_a_wager_whose_end_is_stored() -> None:
    """A wager that is open again is not over, whether it ended in this group, in one before, or before a restart."""
    for steps in ("", "store", "store restart"):
        table, stored = new(), Stored()
        table.put("w1", opened("w1"))
        table.end("w1", over())
        if "store" in steps:
            store(table, stored)
        if "restart" in steps:
            table = restarted(stored)
        table.reopen("w1", opened("w1", 900))
        assert (table.get("w1"), table.over("w1")) == (opened("w1", 900), None)
        store(table, stored)
        assert (table.get("w1"), table.over("w1")) == (opened("w1", 900), None)
        assert known(restarted(stored), "w1") == [opened("w1", 900)]


def test_what_was_deleted_is_unknown() -> None:
    """A wager whose row is gone from the book leaves nothing behind, open or over."""
    table, stored = new(), Stored()
    for id in ("w1", "w2"):
        table.put(id, opened(id))
    table.end("w2", over())
    store(table, stored)
    assert (table.pop("w1"), table.pop("w2"), table.pop("w3")) == (opened("w1"), None, None)
    assert known(table, "w1", "w2", "w3") == [None, None, None]
    store(table, stored)
    assert stored == {}
    assert known(table, "w1", "w2", "w3") == [None, None, None]


def test_another_format_of_either_row_is_told() -> None:
    """Rows of another version are not taken for these."""
    assert "ClosedWager" in str(new().schema) and "OpenWager" in str(new().schema)
    assert len(OpenWager.__struct_fields__) <= 15 and len(OpenWager.__struct_fields__) != len(
        ClosedWager.__struct_fields__
    )
