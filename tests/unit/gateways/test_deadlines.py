"""Deadlines: who is late, the longest first."""

from fire22.gateways.deadlines import Deadlines


def test_late() -> None:
    """Each has the same time; who is late is said once, the first first, and who was removed is not."""
    deadlines: Deadlines[str] = Deadlines(10.0)
    for who, now_s in (("a", 0.0), ("b", 1.0), ("c", 2.0), ("d", 3.0)):
        deadlines.add(who, now_s)
    deadlines.remove("b")
    assert list(deadlines.late(9.9)) == []
    assert list(deadlines.late(12.0)) == ["a", "c"]
    assert list(deadlines.late(12.0)) == []
    assert len(deadlines) == 1


def test_no_more_time() -> None:
    """Who asks again gets no more time by that; who comes back after it was removed gets the whole time."""
    deadlines: Deadlines[str] = Deadlines(10.0)
    deadlines.add("a", 0.0)
    deadlines.add("a", 9.0)
    deadlines.add("b", 9.0)
    deadlines.remove("b")
    deadlines.remove("b")
    deadlines.add("b", 11.0)
    assert list(deadlines.late(20.0)) == ["a"]
    assert list(deadlines.late(21.0)) == ["b"]
