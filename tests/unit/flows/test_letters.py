"""Dead letters: what could not be used stays in sight, moves no figure, and can be folded again."""

from random import Random
from typing import ClassVar

import msgspec
import pytest
from msgspec import Raw, Struct

from fire22.core import codes
from fire22.core.event import Event, Metadata, encode_event
from fire22.core.letter import DATA_BYTES_MAX, DISMISSED, REPLAYED, ROW_REJECTED, RowRejected
from fire22.core.message import Json
from fire22.core.times import to_datetime, to_text
from fire22.core.topic import Kind, Topic
from fire22.feed.base import Batch, Checkpoint, Document
from fire22.flows.base import Fact, Flow, Handler, Refused, Repeated, Table, expect
from fire22.flows.engine import Engine, configuration
from fire22.flows.letters import SHOWN_BYTES_MAX
from fire22.flows.relay import Relay
from fire22.flows.replica import Replica
from fire22.log.base import Group
from fire22.sportsbook.betting import codes as betting_codes
from tests.support.storage import START_MS, event


class Opened(Struct, frozen=True):
    """`data` of `account.opened`."""

    name: str


class Paid(Struct, frozen=True):
    """`data` of `account.paid`."""

    name: str
    amount: int


class Accounts(Flow):
    """The gate: a payment into an account that is not open is refused, one of 0 says nothing new."""

    name: ClassVar[str] = "accounts"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self._open: Table[int] = Table("open", int)

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The accounts."""
        return (self._open,)  # type: ignore[return-value]

    def handlers(self) -> dict[str, Handler]:
        """Both facts."""
        return {"account.opened": self._opened, "account.paid": self._paid}

    def _opened(self, fact: Fact) -> None:
        self._open.put(expect(fact, Opened).name, 1)

    def _paid(self, fact: Fact) -> None:
        paid = expect(fact, Paid)
        if self._open.get(paid.name) is None:
            reason = f"There is no account {paid.name}."
            raise Refused(betting_codes.CUSTOMER_UNKNOWN, reason, name=paid.name, nothing=None)
        if paid.amount == 0:
            raise Repeated


class Sums(Flow):
    """The figures: what was paid, by name and in all, and when."""

    name: ClassVar[str] = "sums"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.topics = (Topic("sums", Kind.VIEW), Topic("paid", Kind.STREAM))
        self._sums: Table[int] = Table("sum", int)
        self._touched: dict[str, int] = {}

    @property
    def tables(self) -> tuple[Table[object], ...]:
        """The sums."""
        return (self._sums,)  # type: ignore[return-value]

    def handlers(self) -> dict[str, Handler]:
        """Payments."""
        return {"account.paid": self._paid}

    def flush(self) -> None:
        """The sums that changed."""
        for name, at_ms in self._touched.items():
            self.out.view("sums", "/", name, "update", at_ms, {"sum": self._sums.get(name) or 0})
        self._touched = {}

    def _paid(self, fact: Fact) -> None:
        paid = expect(fact, Paid)
        self._sums.put(paid.name, (self._sums.get(paid.name) or 0) + paid.amount)
        self._touched[paid.name] = fact.at_ms
        self.out.stream("paid", "/", "update", fact.at_ms, msgspec.json.encode([fact.seq, fact.event.id]))


DOMAIN: dict[str, type[Struct]] = {"account.opened": Opened, "account.paid": Paid}


def decode(type: str, data: Raw) -> object:
    """The domain of accounts."""
    return msgspec.json.decode(data, type=DOMAIN[type]) if type in DOMAIN else None


def build() -> Engine:
    """A new engine with the gate, the figures, and an open topic."""
    return Engine((Accounts(), Sums(), Relay(("news",))), decode)


class World:
    """An engine and what it has said so far."""

    def __init__(self, letters_max: int = 100) -> None:
        self.engine = build()
        self.documents: dict[tuple[str, str], dict[str, Json]] = {}
        self.rows: dict[tuple[str, str], bytes] = {}
        self.placed: dict[tuple[str, str, str], Document] = {}
        self.checkpoint = Checkpoint(0, 0, 0)
        self.said: list[Json] = []
        self.batches: list[Batch] = []
        self.count = 0
        settings = configuration(
            self.engine.flows, {"letters": {"letters_max": letters_max}, "relay": {"open_topics": ["news"]}}
        )
        self.fold(Event("configured", "system.configured", "server", to_datetime(START_MS), Raw(settings)))

    def fold(self, *events: Event) -> int:
        """A group; the seq of its first event."""
        first = self.engine.checkpoint.seq + 1
        folded = self.engine.fold_group(Group(first, tuple(encode_event(each).body for each in events)))
        batch = folded.batch
        self.batches.append(batch)
        self.checkpoint = batch.checkpoint
        for document in batch.documents:
            self.placed[document.topic, document.scope, document.key] = document
            if document.body is None:
                del self.documents[document.topic, document.key]
            else:
                self.documents[document.topic, document.key] = document.body
        for table, key, value in folded.each_row():
            if value is None:
                self.rows.pop((table, key), None)
            else:
                self.rows[table, key] = value
        for record in batch.records:
            if record.topic in ("paid", "news"):
                self.said += [msgspec.json.decode(entry.data) for entry in record.entries]
        return first

    def restart(self, random: Random) -> None:
        """A fresh engine goes on from what was kept, in any order."""
        rows = [(table, key, value) for (table, key), value in self.rows.items()]
        random.shuffle(rows)
        self.engine = build()
        self.engine.load(self.checkpoint, rows, self.placed.values())

    @property
    def letters(self) -> dict[int, dict[str, Json]]:
        """The open letters as a client sees them."""
        return {int(key): body for (topic, key), body in self.documents.items() if topic == "dead_letters"}

    @property
    def sums(self) -> dict[str, Json]:
        """The figures as a client sees them."""
        return {key: body["sum"] for (topic, key), body in self.documents.items() if topic == "sums"}

    def event(self, type: str, data: Json, *, at_ms: int = START_MS) -> Event:
        """Some event."""
        self.count += 1
        return event(f"e{self.count}", type=type, data=data, at_ms=at_ms)

    def opened(self, name: str) -> Event:
        """An account is opened."""
        return self.event("account.opened", {"name": name})

    def paid(self, name: str, amount: Json, *, at_ms: int = START_MS) -> Event:
        """Something is paid."""
        return self.event("account.paid", {"name": name, "amount": amount}, at_ms=at_ms)

    def replayed(self, seq: int, *, at_ms: int = START_MS + 9_000, **more: Json) -> Event:
        """Somebody wants a letter to be folded again."""
        return self.event(REPLAYED, {"seq": seq, "actor": "ann", **more}, at_ms=at_ms)

    def dismissed(self, seq: int) -> Event:
        """Somebody puts a letter away."""
        return self.event(DISMISSED, {"seq": seq, "reason": "a test", "actor": "ann"}, at_ms=START_MS + 9_000)


def clock(at_ms: int) -> Event:
    """The watermark."""
    return event(f"c{at_ms}", type="system.clock", at_ms=at_ms, data={})


def test_what_does_not_fit_becomes_a_letter_and_moves_nothing() -> None:
    """Whoever looks after the book sees each broken event with the reason, and the figures are as without it."""
    world = World()
    world.fold(clock(START_MS + 500))
    world.fold(world.opened("a"), world.paid("a", 5))
    seq = world.fold(world.paid("a", "many", at_ms=START_MS + 7))
    assert world.letters == {
        seq: {
            "seq": seq,
            "eventId": "e3",
            "type": "account.paid",
            "source": "test",
            "timestamp": to_text(START_MS + 7),
            "code": "event_invalid",
            "reason": "Expected `int`, got `str` - at `$.amount`",
            "evidence": {},
            "data": '{"name":"a","amount":"many"}',
            "attempts": 1,
            "receivedAt": to_text(START_MS + 500),
        }
    }
    assert world.sums == {"a": 5}
    assert [(each.seq, each.id, each.code) for each in world.engine.rejected] == [(seq, "e3", codes.EVENT_INVALID)]


def test_what_a_flow_refuses_becomes_a_letter_and_reaches_no_other_flow() -> None:
    """A fact that cannot be true carries its evidence, without what is not known."""
    world = World()
    seq = world.fold(world.paid("nobody", 5))
    letter = world.letters[seq]
    assert (letter["code"], letter["reason"]) == ("customer_unknown", "There is no account nobody.")
    assert letter["evidence"] == {"name": "nobody"}
    assert (world.sums, world.said) == ({}, [])


def test_what_is_repeated_is_neither_counted_nor_a_letter() -> None:
    """A fact that says again what is known is passed over silently."""
    world = World()
    world.fold(world.opened("a"), world.paid("a", 5), world.paid("a", 0))
    assert (world.letters, world.sums, len(world.said)) == ({}, {"a": 5}, 1)


def test_a_letter_is_folded_again_when_what_it_lacked_has_come() -> None:
    """After the account is there the payment counts: at its own time, at the place where it was folded again."""
    world = World()
    seq = world.fold(world.paid("a", 5, at_ms=START_MS + 3))
    world.fold(world.opened("a"))
    again = world.fold(world.replayed(seq))
    assert (world.letters, world.sums) == ({}, {"a": 5})
    assert world.said == [[again, "e1"]]
    [paid] = [record.entries[0] for record in world.batches[-1].records if record.topic == "paid"]
    assert paid.at_ms == START_MS + 3
    assert world.fold(world.replayed(seq), world.replayed(seq)) > again
    assert world.sums == {"a": 5}, "it counts once, however often it is asked for"


def test_a_vain_attempt_says_so_and_why_now() -> None:
    """The letter stays, with how often it was tried and the reason of the last time."""
    world = World()
    seq = world.fold(world.paid("a", "5"))
    world.fold(world.replayed(seq))
    assert (world.letters[seq]["attempts"], world.letters[seq]["code"]) == (2, "event_invalid")
    world.fold(world.replayed(seq, data={"name": "a", "amount": 5}))
    letter = world.letters[seq]
    assert (letter["attempts"], letter["code"]) == (3, "customer_unknown")
    assert letter["evidence"] == {"name": "a"}
    assert letter["data"] == '{"name":"a","amount":"5"}', "what came is still to be seen"
    assert letter["tried"] == '{"name":"a","amount":5}'
    world.fold(world.opened("a"), world.replayed(seq))
    assert world.letters[seq]["reason"] == "Expected `int`, got `str` - at `$.amount`"
    assert "tried" not in world.letters[seq]
    assert [each.seq for each in world.engine.rejected] == [seq] * 4


def test_a_letter_is_folded_again_with_corrected_data_and_time() -> None:
    """A broken amount or time is put right by hand, without touching the book."""
    world = World()
    world.fold(world.opened("a"))
    seq = world.fold(world.paid("a", None))
    world.fold(world.replayed(seq, data={"name": "a", "amount": 7}, timestamp="2026-02-01T00:00:00Z"))
    assert (world.letters, world.sums) == ({}, {"a": 7})
    [paid] = [record.entries[0] for record in world.batches[-1].records if record.topic == "paid"]
    assert to_text(paid.at_ms) == "2026-02-01T00:00:00.000Z"


def test_a_letter_that_is_put_away_is_gone() -> None:
    """What is not worth a correction is dismissed, once; one that is gone already is no mistake."""
    world = World()
    seq = world.fold(world.paid("a", "x"), world.paid("a", "y"))
    world.fold(world.dismissed(seq), world.dismissed(seq))
    assert list(world.letters) == [seq + 1]
    world.fold(world.replayed(seq, data={"name": "a", "amount": 1}), world.dismissed(999))
    assert list(world.letters) == [seq + 1]
    assert world.engine.letters.counts() == {"code:event_invalid": 2, "dismissed": 1}


def test_a_letter_keeps_what_addresses_the_event() -> None:
    """An event that goes to an open topic goes there when it is folded again, and not before."""
    world = World()
    addressed = msgspec.structs.replace(
        event("n", type="account.opened", data={"name": 7}), metadata=Metadata(category="news")
    )
    seq = world.fold(addressed)
    assert world.said == []
    world.fold(world.replayed(seq, data={"name": "a"}))
    assert world.said == [{"name": "a"}]


def test_a_null_in_the_data_is_shown_as_it_came() -> None:
    """A document holds no null, and a broken event may: its data is shown as text."""
    world = World()
    seq = world.fold(world.event("account.paid", {"name": None, "amount": [None]}))
    assert world.letters[seq]["data"] == '{"name":null,"amount":[null]}'


def test_a_long_letter_is_shown_in_part_and_folded_whole() -> None:
    """A large event does not weigh on everybody who looks at the letters, and is not cut when it is folded again."""
    world = World()
    name = "ö" * SHOWN_BYTES_MAX
    seq = world.fold(world.paid(name, 5))
    letter = world.letters[seq]
    size = len(msgspec.json.encode({"name": name, "amount": 5}))
    assert letter["dataBytes"] == size
    assert len(str(letter["data"]).encode()) <= SHOWN_BYTES_MAX + 3
    assert str(letter["data"]).startswith('{"name":"öö')
    world.fold(world.opened(name), world.replayed(seq))
    assert (world.letters, world.sums) == ({}, {name: 5})


def test_a_huge_letter_is_folded_again_only_with_its_data() -> None:
    """What is too large to be kept beside the log says so instead of being folded in part."""
    world = World()
    data: dict[str, Json] = {"name": "x" * DATA_BYTES_MAX, "amount": "x"}
    seq = world.fold(world.opened("x"), world.event("account.paid", data)) + 1
    assert sum(map(len, world.rows.values())) < 2 * DATA_BYTES_MAX
    world.fold(world.replayed(seq))
    assert "give the data" in str(world.letters[seq]["reason"])
    world.fold(world.replayed(seq, data={"name": "x", "amount": 1}))
    assert (world.letters, world.sums) == ({}, {"x": 1})


def test_the_oldest_letter_leaves_at_the_limit_and_is_counted() -> None:
    """A flood of broken events costs bounded memory; how many are not shown any more is known."""
    world = World(letters_max=3)
    first = world.fold(*(world.paid("a", "x") for _ in range(10)))
    assert list(world.letters) == [first + 7, first + 8, first + 9]
    world.fold(world.replayed(first + 7), world.replayed(first + 8, data={"name": "b", "amount": 1}))
    world.restart(Random(1))
    last = world.fold(world.paid("a", "x"))
    assert list(world.letters) == [first + 8, first + 9, last], "the oldest event is the oldest letter"
    assert world.engine.letters.counts() == {"code:event_invalid": 11, "dropped": 8}
    assert world.engine.letters.open == 3


def row(**changes: Json) -> Event:
    """A source tells of a row that is no event."""
    told = RowRejected(7, "`data` is malformed", "book:7", "account.paid", to_text(START_MS), "", 1, "{oops", 5)
    data = msgspec.to_builtins(told, builtin_types=()) | changes
    return event("book:7", type=ROW_REJECTED, source="sqlite:book", at_ms=START_MS + 50, data=data)


def test_a_row_that_is_no_event_becomes_a_letter() -> None:
    """What a trigger wrote badly is seen with its text and the row's number, and counts once it is put right."""
    world = World()
    world.fold(world.opened("a"))
    seq = world.fold(row())
    letter = world.letters[seq]
    assert (letter["eventId"], letter["type"], letter["source"]) == ("book:7", "account.paid", "sqlite:book")
    assert (letter["code"], letter["reason"]) == ("event_invalid", "`data` is malformed")
    assert (letter["evidence"], letter["data"]) == ({"row": 7}, "{oops")
    assert (letter["timestamp"], letter["receivedAt"]) == (to_text(START_MS), to_text(START_MS + 50))
    world.fold(world.replayed(seq))
    assert world.letters[seq]["attempts"] == 2
    again = world.fold(world.replayed(seq, data={"name": "a", "amount": 3}))
    assert (world.letters, world.sums, world.said) == ({}, {"a": 3}, [[again, "book:7"]])


@pytest.mark.parametrize(
    ("changes", "correction", "works"),
    [
        ({"timestamp": "yesterday", "data": '{"name":"a","amount":3}'}, {}, False),
        ({"timestamp": "yesterday", "data": '{"name":"a","amount":3}'}, {"timestamp": to_text(START_MS)}, True),
        ({"type": "No Type"}, {"data": {"name": "a", "amount": 3}}, False),
        ({"category": "c" * 65}, {"data": {"name": "a", "amount": 3}}, False),
        ({"data": '{"name":"a","amount":3},"id":"other"'}, {}, False),
        ({"data": "[" * 65 + "]" * 65}, {}, False),
        ({"data": "[" * 9_000 + "]" * 9_000}, {}, False),
        ({"data": ""}, {}, False),
        ({"data": '{"name":"a","amount":3}', "type": "system.letter_replayed"}, {}, False),
        ({"data": '{"flows":{}}', "type": "system.configured"}, {}, False),
    ],
)
def test_only_what_is_an_event_is_folded_again(
    changes: dict[str, Json], correction: dict[str, Json], works: bool
) -> None:
    """Whatever a broken row holds, it is folded as the event it should have been, or stays a letter."""
    world = World()
    world.fold(world.opened("a"))
    seq = world.fold(row(**changes))
    world.fold(world.event(REPLAYED, {"seq": seq, "actor": "ann", **correction}))
    assert world.sums == ({"a": 3} if works else {})
    assert list(world.letters) == ([] if works else [seq])


class Late(Flow):
    """Refuses what the gate has let pass, which is a mistake."""

    name: ClassVar[str] = "late"
    version: ClassVar[int] = 1

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def handlers(self) -> dict[str, Handler]:
        """Payments."""
        return {"account.paid": self._paid}

    def _paid(self, fact: Fact) -> None:
        raise self._error


@pytest.mark.parametrize("error", [Refused(betting_codes.FACT_CONFLICT, "No."), Repeated()])
def test_a_flow_that_refuses_too_late_has_failed(error: Exception) -> None:
    """A fact that some figures have counted cannot be refused any more: it is set aside as one that a flow failed on,
    and no figure has counted it."""

    def flows() -> tuple[Flow, ...]:
        return Accounts(), Sums(), Late(error)

    engine = Engine(flows(), decode, remake=flows)
    replica = Replica(engine)
    opened = encode_event(event("o", type="account.opened", data={"name": "a"})).body
    paid = encode_event(event("p", type="account.paid", data={"name": "a", "amount": 1})).body
    batch = replica.fold(Group(1, (opened, paid)))
    assert [(each.seq, each.code) for each in engine.rejected] == [(2, codes.FLOW_FAILED)]
    assert [record.topic for record in batch.records] == ["dead_letters"]
    assert ("accounts/open", "a") in replica.rows
    assert ("sums/sum", "a") not in replica.rows


class Oracle:
    """What the open letters and the sums should be, by the plain rules."""

    def __init__(self, letters_max: int) -> None:
        self.letters_max = letters_max
        self.open: dict[int, Json] = {}
        self.accounts: set[str] = set()
        self.sums: dict[str, int] = {}

    def apply(self, seq: int, event: Event) -> None:
        """One event."""
        data: dict[str, Json] = msgspec.json.decode(event.data)
        if event.type == DISMISSED:
            self.open.pop(int(str(data["seq"])), None)
        elif event.type == REPLAYED:
            letter = int(str(data["seq"]))
            if letter in self.open and self.fits(event.type, data.get("data", self.open[letter])):
                del self.open[letter]
        elif not self.fits(event.type, data):
            self.open[seq] = data
            if len(self.open) > self.letters_max:
                del self.open[min(self.open)]

    def fits(self, type: str, data: Json) -> bool:
        """Whether it can be used; then it counts."""
        assert isinstance(data, dict)
        name, amount = data["name"], data.get("amount")
        if type == "account.opened":
            self.accounts.add(str(name))
            return True
        if not isinstance(name, str) or not isinstance(amount, int) or name not in self.accounts:
            return False
        if amount:
            self.sums[name] = self.sums.get(name, 0) + amount
        return True


def random_event(world: World, random: Random) -> Event:
    """Something that may or may not fit."""
    name = random.choice("abcdef")
    amount: Json = random.choice([0, 1, 5, 70, "x", None, 1.5])
    kind = random.random()
    if kind < 0.1:
        return world.opened(name)
    if kind < 0.6 or not world.letters:
        return world.paid(name, amount)
    seq = random.choice([*world.letters, random.randint(1, 99)])
    if kind < 0.75:
        return world.replayed(seq)
    return world.dismissed(seq) if kind < 0.85 else world.replayed(seq, data={"name": name, "amount": amount})


@pytest.mark.parametrize("seed", range(6))
def test_letters_and_figures_follow_the_plain_rules_over_restarts(seed: int) -> None:
    """Whatever comes, the sums are those of what fitted, the rest are letters, and a restart at any group changes no
    byte."""
    random = Random(seed)
    letters_max = random.choice((1, 3, 8, 50))
    world, oracle = World(letters_max), Oracle(letters_max)
    groups: list[list[Event]] = []
    for _ in range(60):
        group = [random_event(world, random) for _ in range(random.randint(1, 4))]
        groups.append(group)
        for seq, each in enumerate(group, start=world.fold(*group)):
            oracle.apply(seq, each)
        assert world.sums == oracle.sums, f"seed {seed}"
        assert list(world.letters) == sorted(oracle.open), f"seed {seed}"
    disturbed = World(letters_max)
    for group in groups:
        disturbed.restart(random)
        disturbed.fold(*group)
    assert disturbed.batches == world.batches, f"seed {seed}"
