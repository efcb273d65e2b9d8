"""The client's half of the protocol: the shared vectors, what they leave open, and a simulation of bad connections."""

import json
import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fire22.core.codes import PROTOCOL_ERROR
from fire22.core.errors import RequestError
from fire22.core.interest import (
    SEEN_MAX,
    Answered,
    ConnectionFailed,
    Delivered,
    DocumentChanged,
    Effect,
    Failed,
    Interest,
    OffsetRange,
    Recovered,
    Refused,
    Request,
    Resubscribed,
    Skipped,
    Snapshot,
    State,
    Ticked,
)
from fire22.core.message import Json, Message
from fire22.core.patch import apply, diff
from fire22.core.session import ClientSession, Command, SessionError
from fire22.core.times import to_ms

VECTORS = Path(__file__).parents[2] / "vectors"
CASES = json.loads((VECTORS / "client_session.json").read_text())
PATCHES = json.loads((VECTORS / "merge_patch.json").read_text())

EPOCH = "1f0c9a2b"
AT = "2026-01-01T00:00:00.000Z"


# The shared vectors: `tests/vectors/README.md` describes their steps and short forms.

Form = dict[str, Any]  # a short form, as JSON


def place(interest: Interest, message: Message | None = None) -> Form:
    """The scope of the interest and the key of the message, where there is one."""
    form: Form = {}
    if interest.request.scope is not None:
        form["scope"] = interest.request.scope
    if message is not None and message.key is not None:
        form["key"] = message.key
    return form


def of_document(effect: DocumentChanged) -> Form:
    interest, message = effect.interest, effect.message
    gone = message.data is None
    state: Form = {"removed": True} if gone else {"offset": message.offset}
    return {"document": interest.request.target, **place(interest, message), **state}


def of_recovered(effect: Recovered) -> Form:
    form: Form = {"recovered": effect.interest.request.target, "recovered_is": effect.recovered}
    form |= place(effect.interest)
    if effect.reason is not None:
        form["reason"] = effect.reason
    if effect.lost is not None:
        form["lost"] = msgspec.to_builtins(effect.lost)
    return form


def of_delivered(effect: Delivered) -> Form:
    message, interest = effect.message, effect.interest
    form: Form = {"message": message.target if interest is None else interest.request.target}
    if interest is not None:
        form |= place(interest, message)
    return form if message.offset is None else {**form, "offset": message.offset}


def of_snapshot(effect: Snapshot) -> Form:
    offsets = [message.offset for message in effect.messages]
    return {"snapshot": effect.interest.request.target, **place(effect.interest), "offsets": offsets}


def of_skipped(effect: Skipped) -> Form:
    left_out = {**msgspec.to_builtins(effect.range), "count": effect.count}
    return {"skipped": effect.interest.request.target, **place(effect.interest), **left_out}


FORMS: dict[type[Effect], Callable[[Any], Form]] = {
    Snapshot: of_snapshot,
    Delivered: of_delivered,
    DocumentChanged: of_document,
    Recovered: of_recovered,
    Skipped: of_skipped,
    Refused: lambda effect: {
        "refused": effect.interest.request.target,
        **place(effect.interest),
        "code": effect.error.code,
    },
    Answered: lambda effect: {"reply": effect.id},
    Failed: lambda effect: {"error": effect.id, "code": effect.error.code},
    ConnectionFailed: lambda effect: {"connection_error": effect.error.code},
}


def to_message(raw: Form) -> Message:
    """A message of the vectors; they leave out timestamps that do not matter."""
    data = raw.get("data")
    if isinstance(data, dict) and "snapshot" in data:
        raw = {**raw, "data": {**data, "snapshot": [{"timestamp": AT, **one} for one in data["snapshot"]]}}
    return msgspec.convert({"timestamp": AT, **raw}, Message)


class Case:
    """One case being played."""

    def __init__(self) -> None:
        self.session = ClientSession()
        self.effects: list[Effect] = []
        self.sent: list[Command] = []

    def find(self, target: str, scope: str | None = None) -> Interest:
        wanted = (target, scope)
        return next(one for one in self.session.interests if (one.request.target, one.request.scope) == wanted)

    def play(self, step: Form) -> None:
        """Do what one step says."""
        if "connect" in step:
            self.session.connected()
        elif "disconnect" in step:
            self.effects += self.session.disconnected()
        elif "subscribe" in step:
            fields = dict(step["subscribe"])
            after = fields.pop("after", None)
            self.session.subscribe(msgspec.convert(fields, Request), after)
        elif "unsubscribe" in step:
            self.session.unsubscribe(self.find(**step["unsubscribe"]))
        elif "command" in step:
            self.session.command(step["command"], **step["fields"])
        elif "receive" in step:
            self.receive(step["receive"], step.get("now"))
        elif "expect" in step:
            self.expect(step["expect"])
        else:
            pytest.fail(f"a step that is not known: {step}")
        self.sent += self.session.commands()

    def receive(self, messages: list[Form], now: str | None) -> None:
        now_ms = 0 if now is None else to_ms(datetime.fromisoformat(now))
        for raw in messages:
            self.effects += self.session.receive(to_message(raw), now_ms=now_ms)

    def expect(self, expected: Form) -> None:
        """Compare the fields that are there."""
        position = self.session.position
        found: Form = {
            "sent": msgspec.to_builtins(self.sent),
            "delivered": [FORMS[type(effect)](effect) for effect in self.effects if type(effect) in FORMS],
            "position": None if position is None else str(position),
            "documents": self.documents(),
            "level": self.session.level,
            "clock_difference_ms": self.session.clock_difference_ms,
        }
        if "documents" in expected:
            expected = {**expected, "documents": in_order(expected["documents"])}
        assert {name: found[name] for name in expected} == expected
        self.effects.clear()
        self.sent.clear()

    def documents(self) -> list[Form]:
        return in_order(
            [
                {
                    "target": interest.request.target,
                    **place(interest, message),
                    "offset": message.offset,
                    "data": message.data,
                }
                for interest in self.session.interests
                for message in interest.documents.values()
            ]
        )


def in_order(documents: list[Form]) -> list[Form]:
    return sorted(documents, key=lambda one: (one["target"], one.get("scope", ""), one.get("key", "")))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_vectors(case: Form) -> None:
    """The Python client does what the shared vectors say, as the JavaScript client does."""
    player = Case()
    for step in case["steps"]:
        player.play(step)


@pytest.mark.parametrize("case", PATCHES, ids=[case["name"] for case in PATCHES])
def test_merge_patches(case: Form) -> None:
    """The Python client applies merge patches as the shared vectors say, and changes neither argument."""
    before = json.dumps(case)
    assert apply(case["target"], case["patch"]) == case["result"]
    assert json.dumps(case) == before


# What the vectors leave open.


def at(offset: int, epoch: str = EPOCH) -> str:
    return f"{epoch}-{offset}"


def tick(offset: int) -> Message:
    return Message("tick", AT, {"position": at(offset), "time": AT, "watermark": AT})


def reply(id: int, offset: int, *, recovered: bool = False, snapshot: list[Json] | None = None) -> Message:
    data: dict[str, Json] = {"position": at(offset), "recovered": recovered}
    if not recovered:
        data["snapshot"] = [] if snapshot is None else snapshot
    return Message("reply", AT, data, id=id)


def wager(offset: int, target: str = "wagers") -> Message:
    return Message("wager_update", AT, {"wagerId": f"w{offset}"}, target=target, offset=offset)


def take(session: ClientSession, *messages: Message) -> list[Effect]:
    """What follows from these messages, without the ticks."""
    effects = [effect for message in messages for effect in session.receive(message, now_ms=0)]
    return [effect for effect in effects if not isinstance(effect, Ticked)]


def following(*targets: str, delta: bool = False) -> tuple[ClientSession, list[Interest]]:
    """A connected session that follows these topics from snapshots at offset 10."""
    session = ClientSession()
    interests = [session.subscribe(Request(target, delta=delta)) for target in targets]
    session.connected()
    for command in session.commands():
        take(session, reply(command.id, 10))
    take(session, tick(10))
    return session, interests


def test_stored_position_waits_for_every_interest() -> None:
    """An application that stores the position while not all was answered, and begins anew with it, misses nothing."""
    session, _ = following("wagers", "activity")
    session.disconnected()
    session.connected()
    first, second = session.commands()
    take(session, reply(first.id, 14, recovered=True), wager(12), tick(14))
    assert str(session.position) == at(10)  # activity 11 to 14 have not come
    take(session, reply(second.id, 14, recovered=True), tick(14))
    assert str(session.position) == at(14)


def test_stored_position_of_another_feed_is_kept_until_answered() -> None:
    """A position of an older feed stays the one to store until the server has said that the feed changed."""
    session, _ = following("wagers")
    session.subscribe(Request("activity"), at(7, "0ld0ld0ld"))
    take(session, tick(12))
    assert str(session.position) == at(7, "0ld0ld0ld")


def test_reply_is_for_the_interest_that_asked() -> None:
    """A reply that belongs to a subscription which was replaced meanwhile changes nothing."""
    session = ClientSession()
    session.connected()
    old = session.subscribe(Request("wagers"))
    new = session.subscribe(Request("wagers", last=5))
    assert take(session, reply(1, 10), wager(11)) == []
    assert take(session, reply(2, 11)) == [Snapshot(new, ())]
    assert old.state is State.PENDING
    session.unsubscribe(old)
    assert [command.command for command in session.commands()] == ["subscribe", "subscribe"]


def test_gap_heals_once() -> None:
    """A view that misses a patch is asked for once, however many patches come before the answer."""
    session, [interest] = following("kpi", delta=True)
    patch = Message("kpi_update", AT, {"a": 1}, target="kpi", offset=20, patch=True, base=19)
    assert take(session, patch, patch) == [Resubscribed(interest)]
    assert [(command.command, command.after) for command in session.commands()] == [("subscribe", None)]


def test_patches_leave_earlier_messages_as_they_were() -> None:
    """A message that an application keeps does not change when the next patch comes."""
    session, _ = following("kpi", delta=True)
    whole = Message("kpi_update", AT, {"change": {"a": 1}}, target="kpi", offset=11)
    patch = Message("kpi_update", AT, {"change": {"a": 2}}, target="kpi", offset=12, patch=True, base=11)
    [first, second] = take(session, whole, patch)
    assert isinstance(first, DocumentChanged)
    assert isinstance(second, DocumentChanged)
    assert first.message.data == {"change": {"a": 1}}
    assert second.message.data == {"change": {"a": 2}}
    assert not second.message.patch
    assert second.message.base is None


def test_refused_interest_can_be_tried_again() -> None:
    """A subscription that an overloaded server refused is asked for again when the application says so."""
    session = ClientSession()
    session.connected()
    interest = session.subscribe(Request("wagers"))
    session.retry(interest)
    error = Message("error", AT, id=1, code="overloaded", message="Later.", retryAfter=2)
    [effect] = take(session, error)
    assert isinstance(effect, Refused)
    assert effect.error.retryAfter == 2
    session.retry(interest)
    assert [command.id for command in session.commands()] == [1, 2]


def test_right_withdrawn_while_live() -> None:
    """An error that names a target and no command ends that subscription."""
    session, [wagers, _] = following("wagers", "activity")
    error = Message("error", AT, target="wagers", code="topic_forbidden", message="No longer.")
    [effect] = take(session, error)
    assert isinstance(effect, Refused)
    assert effect.interest is wagers
    assert take(session, wager(11)) == []
    session.unsubscribe(wagers)
    assert [command.command for command in session.commands()] == []


def test_error_only_in_data() -> None:
    """An error whose flat fields are missing is read from its data, and one that says nothing is still an error."""
    session = ClientSession()
    [effect] = take(
        session, Message("connection_error", AT, {"code": "overloaded", "message": "Later.", "retryAfter": 3})
    )
    assert isinstance(effect, ConnectionFailed)
    assert (effect.error.code, effect.error.retryAfter) == ("overloaded", 3)
    [effect] = take(session, Message("error", AT, 7))
    assert isinstance(effect, Failed)
    assert effect.error.code == "unknown"


@pytest.mark.parametrize(
    "message",
    [
        Message("tick", AT, None),
        Message("tick", AT, {"position": "nonsense", "time": AT}),
        Message("tick", AT, {"position": "1f0c9a2b-", "time": AT}),
        Message("tick", AT, {"position": at(1), "time": "yesterday"}),
        Message("tick", AT, {"position": at(1), "time": AT, "skipped": [{"target": "wagers", "from": 1}]}),
        Message("reply", AT, {"position": at(1), "snapshot": [7]}, id=1),
        Message("reply", AT, {"position": at(1), "recovered": "yes"}, id=1),
    ],
)
def test_nonsense(message: Message) -> None:
    """A server that does not speak the protocol is found out, and the error has a code."""
    session = ClientSession()
    session.connected()
    session.subscribe(Request("wagers"))
    with pytest.raises(RequestError) as caught:
        session.receive(message, now_ms=0)
    assert isinstance(caught.value, SessionError)
    assert caught.value.code.name in (PROTOCOL_ERROR.name, "position_invalid")


def test_bad_stored_position() -> None:
    """A stored position that is none is refused at once, by name."""
    with pytest.raises(RequestError, match="position_invalid"):
        ClientSession().subscribe(Request("wagers"), "yesterday")


def test_memory_of_what_was_seen_is_bounded() -> None:
    """A server that never ticks cannot make the client remember without end."""
    session, [interest] = following("wagers")
    for offset in range(11, SEEN_MAX + 111):
        assert len(take(session, wager(offset))) == 1
    assert len(interest.seen) == SEEN_MAX
    take(session, tick(SEEN_MAX + 110))
    assert interest.seen == {}


def test_memory_of_documents_is_bounded() -> None:
    """A server that never ticks cannot make the client remember the offsets of removed documents without end."""
    session, [interest] = following("open", delta=True)
    for offset in range(11, SEEN_MAX + 111):
        assert take(session, Message("update", AT, None, target="open", key=f"k{offset}", offset=offset)) == []
    assert len(interest.newest) == SEEN_MAX
    take(session, tick(SEEN_MAX + 110))
    assert interest.newest == {}


def test_what_was_skipped_is_said_before_its_tick() -> None:
    """An application that stores at each tick knows by then what was left out before it."""
    session, [interest] = following("wagers")
    skip: dict[str, Json] = {"target": "wagers", "scope": "/", "from": 11, "to": 15, "count": 3, "later": "ignored"}
    message = Message("tick", AT, {"position": at(16), "time": AT, "skipped": [skip]})
    first, second = session.receive(message, now_ms=0)
    assert first == Skipped(interest, OffsetRange(11, 15), 3)
    assert isinstance(second, Ticked)
    assert second.position.offset == 16


def test_removal_as_the_application_gets_it() -> None:
    """A removed document is told with its key and offset, without data, and as no patch."""
    session, [interest] = following("open", delta=True)
    whole = Message("update", AT, {"n": 1}, target="open", key="a", offset=11)
    removal = Message("update", AT, None, target="open", key="a", offset=12, patch=True, base=11)
    assert take(session, whole, removal) == [
        DocumentChanged(interest, whole),
        DocumentChanged(interest, Message("update", AT, None, target="open", key="a", offset=12)),
    ]


def test_snapshot_without_a_document() -> None:
    """A document that a snapshot names without data is gone: told once if it was held, otherwise not at all."""
    session, [interest] = following("open", delta=True)
    take(session, Message("update", AT, {"n": 1}, target="open", key="a", offset=11))
    session.disconnected()
    session.connected()
    [command] = session.commands()
    empty: list[Json] = [
        {"type": "update", "timestamp": AT, "target": "open", "key": key, "offset": 12, "data": None} for key in "ab"
    ]
    changed = [one for one in take(session, reply(command.id, 12, snapshot=empty)) if isinstance(one, DocumentChanged)]
    assert [(one.message.key, one.message.data) for one in changed] == [("a", None)]
    assert interest.documents == {}


def test_command_bytes() -> None:
    """On the wire a command has only the fields that say something."""
    session = ClientSession()
    session.connected()
    session.subscribe(Request("wagers", filter={"status": ["open"]}, max_rate_hz=2.0, lossy=True), at(5))
    session.command("ping")
    assert [json.loads(msgspec.json.encode(command)) for command in session.commands()] == [
        {
            "id": 1,
            "command": "subscribe",
            "target": "wagers",
            "filter": {"status": ["open"]},
            "after": at(5),
            "max_rate_hz": 2.0,
            "lossy": True,
        },
        {"id": 2, "command": "ping"},
    ]


def test_watermark() -> None:
    """The client knows up to when the figures hold."""
    session = ClientSession()
    assert session.watermark_ms is None
    [effect] = session.receive(tick(1), now_ms=0)
    assert isinstance(effect, Ticked)
    assert session.watermark_ms == effect.watermark_ms == 1_767_225_600_000


# A simulation: a feed grows, critical messages overtake, connections break anywhere, the application is killed.

STREAMS = ("wagers", "activity")
DIRECT = "user:u1"
KEYS = "xy"

Version = tuple[int, dict[str, Json] | None]  # of a document: since which offset, and None while there is none


class ModelServer:
    """The server's half, as PROTOCOL.md describes it: cursors into one feed, and one connection at a time."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.feed: list[Message] = []  # the message with offset n stands at n - 1
        self.versions: dict[str, list[Version]] = {key: [(0, None)] for key in KEYS}
        self.losses = 0.05  # of patches
        self.cursors: dict[str, int] = {}
        self.line: deque[Message] = deque()  # on its way to the client

    def append(self) -> None:
        """Something happens: a message of a stream or to the user, perhaps a critical one, or a change of the view."""
        target = self.chance.choice([*STREAMS, DIRECT, "kpi"])
        if target == "kpi":
            self.change(self.chance.choice(KEYS), self.chance.random() < 0.2)
            return
        message = wager(len(self.feed) + 1, target)
        self.feed.append(message)
        if self.chance.random() < 0.2 and target in self.cursors:
            self.line.append(message)  # overtakes what waits for the next flush

    def change(self, key: str, is_removal: bool) -> None:
        """One of the view's documents comes, changes or goes; one that is not there may go again."""
        offset, old = len(self.feed) + 1, self.versions[key][-1]
        patch: dict[str, Json] = {self.chance.choice("abc"): self.chance.choice([offset, None])}
        data = None if is_removal else msgspec.convert(apply(old[1], patch), dict[str, Json])
        self.versions[key].append((offset, data))
        self.feed.append(document(key, (offset, data), old, patch))

    def composed(self, after: int, upto: int) -> list[Message]:
        """What one who has the documents of an offset needs to have those of a later one."""
        messages = []
        for key in KEYS:
            old, new = self.version(key, after), self.version(key, upto)
            if new[0] > after:
                is_whole = old[1] is None or new[1] is None or self.chance.random() < 0.3
                messages.append(document(key, new, old, None if is_whole else diff(old[1] or {}, new[1] or {})))
        return messages

    def version(self, key: str, offset: int) -> Version:
        """A document as of an offset."""
        return next(version for version in reversed(self.versions[key]) if version[0] <= offset)

    def documents(self) -> dict[str, Version]:
        """Those that are there."""
        return {key: versions[-1] for key, versions in self.versions.items() if versions[-1][1] is not None}

    def connect(self) -> None:
        """A connection without subscriptions gets what is addressed to its user, and ticks, from the live edge on."""
        self.line.clear()
        self.cursors = {DIRECT: len(self.feed)}
        if self.chance.random() < 0.5:
            self.line.append(tick(len(self.feed)))

    def take(self, command: Command) -> None:
        """Answer a subscription."""
        target, head = command.target or "", len(self.feed)
        if command.after is not None:
            self.cursors[target] = after = int(command.after.rpartition("-")[2])
            self.cursors[DIRECT] = min(self.cursors[DIRECT], after)
            self.line.append(reply(command.id, head, recovered=True))
            return
        self.cursors[target] = head
        snapshot: list[Json] = []
        if target == "kpi":
            snapshot = [msgspec.to_builtins(document(key, one)) for key, one in self.documents().items()]
        self.line.append(reply(command.id, head, snapshot=snapshot))

    def flush(self, batch: int) -> None:
        """Send what each subscription has not had, at most so many offsets, and a tick."""
        for target, cursor in self.cursors.items():
            end = min(cursor + batch, len(self.feed))
            messages = [message for message in self.feed[cursor:end] if message.target == target]
            if target == "kpi" and self.chance.random() < 0.5:
                messages = self.composed(cursor, end)
            for message in messages:
                is_lost = message.patch and self.chance.random() < self.losses  # must not happen, and must heal
                if not is_lost:
                    self.line.append(message)
            self.cursors[target] = end
        if self.cursors:
            self.line.append(tick(min(self.cursors.values())))


def document(key: str, new: Version, old: Version = (0, None), patch: dict[str, Json] | None = None) -> Message:
    """A message of the view: a patch where there is one and a document that it changes, otherwise whole, or gone."""
    offset, data = new
    if data is None or patch is None or old[1] is None:
        return Message("kpi_update", AT, None if data is None else dict(data), target="kpi", key=key, offset=offset)
    return Message("kpi_update", AT, dict(patch), target="kpi", key=key, offset=offset, patch=True, base=old[0])


class Application:
    """Holds a session, keeps what it was told, and stores it now and then together with the position."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.stored_position: str | None = None
        self.stored: dict[str, list[int]] = {target: [] for target in (*STREAMS, DIRECT)}
        self.start()

    def start(self) -> None:
        """Begin, or begin again after having been killed, with what was stored."""
        self.session = ClientSession()
        self.had = {target: list(offsets) for target, offsets in self.stored.items()}
        self.rows: dict[str, Version] = {}
        for target in STREAMS:
            self.session.subscribe(Request(target), self.stored_position)
        self.view = self.session.subscribe(Request("kpi", delta=True))
        self.connect()

    def connect(self) -> None:
        self.server.connect()
        self.session.disconnected()
        self.session.connected()
        self.send()

    def send(self) -> None:
        for command in self.session.commands():
            self.server.take(command)

    def receive(self, count: int) -> None:
        """Take so many messages off the line."""
        for _ in range(min(count, len(self.server.line))):
            for effect in take(self.session, self.server.line.popleft()):
                if isinstance(effect, Delivered):
                    assert effect.message.offset is not None
                    self.had[effect.message.target or ""].append(effect.message.offset)
                elif isinstance(effect, DocumentChanged):
                    self.show(effect.message)
            self.send()

    def show(self, message: Message) -> None:
        """Only what is shown can be taken away."""
        key = message.key or ""
        if message.data is None:
            del self.rows[key]
        else:
            self.rows[key] = (message.offset or 0, msgspec.convert(message.data, dict[str, Json]))

    def store(self) -> None:
        """What stands above the position will come again, so it is not kept."""
        position = self.session.position
        if position is not None:
            self.stored_position = str(position)
            self.stored = {
                target: [offset for offset in offsets if offset <= position.offset]
                for target, offsets in self.had.items()
            }


@pytest.mark.parametrize("seed", range(60))
def test_simulation(seed: int) -> None:
    """Whatever breaks, each message reaches the application once, and a view ends as the server has it."""
    chance = random.Random(seed)
    server = ModelServer(chance)
    application = Application(server)
    server.flush(1)
    application.receive(9)
    application.store()  # the position before the first message: from here on nothing may be missing
    for _ in range(400):
        match chance.choices(["append", "flush", "receive", "store", "break", "kill"], [40, 20, 30, 5, 3, 2])[0]:
            case "append":
                server.append()
            case "flush":
                server.flush(chance.randint(1, 5))
            case "receive":
                application.receive(chance.randint(1, 8))
            case "store":
                application.store()
            case "break":
                application.connect()
            case "kill":
                application.start()
    server.losses = 0
    for key in server.documents():
        server.change(key, is_removal=False)  # a lost patch shows with the next one
    for _ in range(len(server.feed)):
        server.flush(10)
        application.receive(len(server.line))
    for target in (*STREAMS, DIRECT):
        sent = [message.offset for message in server.feed if message.target == target]
        assert sorted(application.had[target]) == sent
    held = application.view.documents
    assert {key: (message.offset, message.data) for key, message in held.items()} == server.documents()
    assert application.rows == server.documents()
    assert application.session.level
    assert str(application.session.position) == at(len(server.feed))


def test_how_complete_each_subscription_is() -> None:
    """A client knows up to when each topic and scope has all facts; a tick of a connection that catches up says
    nothing of that, and what it was told before still holds."""
    session = ClientSession()
    base: dict[str, Json] = {"position": f"{EPOCH}-1", "time": "2026-01-01T00:00:10.000Z"}
    late: list[Json] = [{"target": "kpi", "scope": "/M1", "watermark": "2026-01-01T00:00:03.000Z"}]
    told: Json = {**base, "watermark": "2026-01-01T00:00:03.000Z", "readTo": "2026-01-01T00:00:09.000Z", "late": late}
    for data in (told, base):
        session.receive(Message("tick", "2026-01-01T00:00:10.000Z", data), now_ms=0)
        found = [session.complete_ms("kpi", "/M1"), session.complete_ms("kpi", None), session.complete_ms("kpi", "/M2")]
        second = to_ms(datetime(2026, 1, 1, tzinfo=UTC))
        assert found == [second + 3000, second + 3000, second + 9000]
        assert session.watermark_ms == second + 3000
    newer: Json = {**base, "watermark": "2026-01-01T00:00:10.000Z"}
    session.receive(Message("tick", "2026-01-01T00:00:11.000Z", newer), now_ms=0)
    assert session.complete_ms("kpi", "/M1") == session.watermark_ms == second + 10_000
