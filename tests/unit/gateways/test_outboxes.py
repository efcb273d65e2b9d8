"""What connections have yet to take, together."""

from fire22.gateways.outboxes import Outboxes


class Slow:
    """A connection that takes little."""

    def __init__(self, unsent_bytes: int) -> None:
        self.unsent_bytes = unsent_bytes


def test_who_has_the_most_ends_first() -> None:
    """Above the bound the user with the most unread loses connections, the longest waiting first, and nobody else."""
    outboxes: Outboxes[Slow] = Outboxes(1_000)
    good, first, second, third = Slow(300), Slow(250), Slow(250), Slow(250)
    outboxes.add(good, "good")
    for each in (first, second, third):
        outboxes.add(each, "greedy")
    assert outboxes.size_bytes == 1_050
    assert outboxes.excess() == [first]
    assert outboxes.size_bytes == 800
    assert outboxes.excess() == []


def test_as_many_end_as_must() -> None:
    """Users who have the same give in turn, until the rest is within the bound."""
    outboxes: Outboxes[Slow] = Outboxes(500)
    connections = {(user, number): Slow(200) for user in ("ann", "bob") for number in range(3)}
    for (user, _), each in connections.items():
        outboxes.add(each, user)
    ended = outboxes.excess()
    assert ended == [connections[key] for key in (("ann", 0), ("bob", 0), ("ann", 1), ("bob", 1))]
    assert outboxes.size_bytes == 400


def test_what_was_taken_since_does_not_count() -> None:
    """Nobody ends for bytes that were taken meanwhile, nor for those of who takes bytes again or has left."""
    outboxes: Outboxes[Slow] = Outboxes(500)
    slow, other, left = Slow(400), Slow(200), Slow(400)
    for each in (slow, other, left):
        outboxes.add(each, "ann")
    outboxes.remove(left)
    outboxes.remove(left)
    slow.unsent_bytes = 100
    assert outboxes.excess() == []
    assert outboxes.size_bytes == 300
