"""Which changes of a PostgreSQL book may be told, and in which order."""

import random

from fire22.core.outbox import BookChange
from fire22.sources.postgres.reader import _values
from fire22.sources.postgres.undecided import Holders, Limit, Row, Transactions


def change(number: int) -> BookChange:
    """A change with a number."""
    return BookChange(number, "", "orders", "insert", (), (number,))


def holders(*pids: int) -> Holders:
    """Who holds the lock."""
    return frozenset((pid, f"{pid}/1") for pid in pids)


def test_a_missing_number_is_waited_for() -> None:
    """A reader stops at a number whose transaction may still commit, and goes on once that one is over."""
    limit = Limit(0)
    limit.seen([1, 2, 4, 5])
    assert limit.upto == 2
    limit.wait(5, holders(7))
    limit.left(holders(7, 8))
    assert limit.upto == 2
    limit.left(holders(8))  # who came later has drawn later numbers
    assert (limit.upto, limit.is_waiting) == (5, False)


def test_the_same_server_process_in_another_transaction_is_somebody_else() -> None:
    """A pooled connection that writes on and on does not hold a reader up."""
    limit = Limit(0)
    limit.wait(3, frozenset({(7, "7/1")}))
    limit.left(frozenset({(7, "7/2")}))
    assert limit.upto == 3


def test_a_prepared_transaction_is_waited_for() -> None:
    """Its lock has another name once it is prepared, and its row comes with the second phase of its commit."""
    limit = Limit(4)
    limit.wait(5, holders(77))
    limit.left(frozenset({(0, "-1/901")}))
    assert (limit.upto, limit.is_waiting) == (4, True)
    limit.left(holders(78))
    assert (limit.upto, limit.is_waiting) == (5, False)


def test_a_number_of_any_length_is_a_value() -> None:
    """A `numeric` of thousands of digits comes as its digits, and the values beside it as they are."""
    digits = "9" * 5_000
    assert _values(f'[1, "a", {digits}, 2.5, {digits}.5, null]') == (1, "a", digits, 2.5, f"{digits}.5", None)


def test_transactions_are_told_whole_by_their_last_numbers() -> None:
    """A transaction that goes on beyond what is decided waits, and one that ended earlier goes first."""
    rows = Transactions()
    rows.add(Row(xid, change(number)) for number, xid in ((1, "a"), (2, "b"), (3, "b"), (4, "a"), (5, "c"), (7, "c")))
    whole = rows.whole(6)
    assert {xid: [each.number for each in changes] for xid, changes in whole.items()} == {"b": [2, 3], "a": [1, 4]}
    assert list(whole) == ["b", "a"]
    for changes in whole.values():
        rows.told(changes)
    assert (len(rows), rows.first) == (2, 5)


def test_any_interleaving_is_read_whole_and_in_causal_order() -> None:
    """With many writers, rollbacks and readings at any moment, each commit is told once and causes come first."""
    for seed in range(200):
        print(f"seed {seed}")
        rng = random.Random(seed)
        drawn, open_rows = 0, dict[int, list[int]]()  # by transaction
        visible: dict[int, str] = {}
        commits: list[str] = []
        causes: dict[str, int] = {}  # how many commits a transaction had seen at its first row
        told: list[str] = []
        limit, rows, read_to = Limit(0), Transactions(), 0
        for step in range(300):
            is_last = step >= 290
            match rng.choice(["end", "read"] if is_last else ["begin", "write", "write", "end", "read"]):
                case "begin" if len(open_rows) < 4:
                    drawn += 1
                    open_rows[step] = [drawn]
                    causes[str(step)] = len(commits)
                case "write" if open_rows:
                    drawn += 1
                    open_rows[rng.choice(sorted(open_rows))].append(drawn)
                case "end" if open_rows:
                    xid = rng.choice(sorted(open_rows))
                    numbers = open_rows.pop(xid)
                    if rng.random() < 0.8:
                        visible |= dict.fromkeys(numbers, str(xid))
                        commits.append(str(xid))
                case "read":
                    limit.left(holders(*open_rows))
                    seen = sorted(number for number in visible if number > read_to)
                    rows.add(Row(visible[number], change(number)) for number in seen)
                    limit.seen(number for number in seen if number > limit.upto)
                    read_to = limit.upto
                    for xid_, changes in rows.whole(read_to).items():
                        assert [each.number for each in changes] == [n for n in sorted(visible) if visible[n] == xid_]
                        told.append(xid_)
                        rows.told(changes)
                    if drawn > limit.upto and not limit.is_waiting:
                        limit.wait(drawn, holders(*open_rows))
        assert len(told) == len(set(told))
        places = {xid: at for at, xid in enumerate(told)}
        for each in told:
            assert all(places[cause] < places[each] for cause in commits[: causes[each]])
        assert set(told) <= set(commits)
        if not open_rows and not limit.is_waiting and read_to == drawn:
            assert set(told) == set(commits)
