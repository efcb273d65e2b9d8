"""Twenty clients that ask for as much as they can, and one that asks little. What is counted is work, not time."""

import asyncio

import msgspec
import pytest

from fire22.core.message import Json, Message, decode_json
from fire22.gateways.rates import LimitsConfig, Rates
from tests.support import virtual_time
from tests.support.bare import BareConnection
from tests.unit.gateways.test_connection import Server, perform

GREEDY = 20
EACH = 8  # commands that each has sent before it takes an answer


class Counted(Server):
    """A server whose clock of work advances by each look at it: a slice is two looks, whatever the machine does."""

    @property
    def work_s(self) -> float:
        """Another millisecond of work is done."""
        self._worked_s = getattr(self, "_worked_s", 0.0) + 0.001
        return self._worked_s

    @work_s.setter
    def work_s(self, _: float) -> None:
        """It begins at 0."""


def answers(connection: BareConnection) -> int:
    """How many answers the peer takes."""
    found = 0
    while messages := connection.take():
        found += sum(message.id is not None for message in decode_json(b"[%b]" % b",".join(messages)))
    return found


def unlimited(server: Server) -> None:
    """Whoever asks much may, and takes all answers."""
    service = server.connections.service
    service.limits = msgspec.structs.replace(service.limits, outbox_bytes_max=1 << 26, connections_max=100)
    service.rates = Rates(LimitsConfig(connection_units_per_s=0, user_units_per_s=0, scope_units_per_s=0))


@pytest.mark.parametrize(
    "command",
    [
        {"command": "history", "target": "wagers", "limit": 500},
        {"command": "history", "target": "wagers", "limit": 500, "filter": {"status": "none"}},
        {"command": "subscribe", "target": "wagers", "last": 500},
    ],
    ids=["history", "history that finds nothing", "subscribe"],
)
def test_who_asks_little_waits_for_one_slice(command: dict[str, Json]) -> None:
    """However much twenty users ask for, a ping of another is answered when two or three more slices are done."""

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            server = Counted(tasks, 1 << 24)
            hub = tasks.create_task(server.hub.run())
            await server.say(600)
            unlimited(server)
            good = server.connect("good")
            greedy = [server.connect(f"greedy {number}") for number in range(GREEDY)]
            count = "last" if "last" in command else "limit"
            for number, connection in enumerate(greedy):
                for id in range(EACH):  # each another page: the same one is made once for all
                    perform(connection, id, **command | {count: 500 - number * EACH - id})  # type: ignore[arg-type]
            assert sum(map(answers, greedy)) <= 1, "nobody's page is made at once while others wait"
            for _ in range(100):
                await asyncio.sleep(0)
            waited = []
            for id in range(10):
                perform(good, id, "ping")
                turns = 0
                while not answers(good):
                    turns += 1
                    await asyncio.sleep(0)
                waited.append(turns)
                for _ in range(30):
                    await asyncio.sleep(0)
            assert max(waited) <= 3, waited
            assert sum(map(answers, greedy)) < GREEDY * EACH, "they were still at it"
            await asyncio.sleep(0)
            hub.cancel()

    virtual_time.run(main())


def test_a_user_makes_the_server_hold_the_parts_of_few_answers() -> None:
    """Of a user's commands on many connections one is done before the next is begun, and each connection has its turn:
    none is answered twice before all are answered once."""

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            server = Counted(tasks, 1 << 24)
            hub = tasks.create_task(server.hub.run())
            await server.say(600)
            unlimited(server)
            connections = [server.connect("greedy") for _ in range(GREEDY)]
            for number, connection in enumerate(connections):
                for id in range(2):
                    perform(connection, id, "history", target="wagers", limit=500 - 2 * number - id)
            counts = [0] * GREEDY
            midway = 0
            while sum(counts) < 2 * GREEDY:
                await asyncio.sleep(0)
                midway = max(midway, sum(each.is_midway for each in connections))
                for number, connection in enumerate(connections):
                    counts[number] += answers(connection)
                assert max(counts) <= min(counts) + 1, counts
            assert midway <= 2, midway
            hub.cancel()

    virtual_time.run(main())


def test_who_asks_too_much_is_told_when_to_come_back() -> None:
    """A customer that reads the history in a loop is refused with `retryAfter`, pays nothing for that, and is served
    again then; what its pages cost is charged, and another user is not."""

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            server = Server(tasks, 1 << 24)
            hub = tasks.create_task(server.hub.run())
            await server.say(600)
            unlimited(server)
            service = server.connections.service
            service.rates = Rates(LimitsConfig(user_units_per_s=10, scope_units_per_s=0, burst_s=3))
            greedy, other = server.connect("greedy"), server.connect("other")
            for id in range(30):
                perform(greedy, id, "history", target="wagers", limit=500)
            for _ in range(1_000):
                await asyncio.sleep(0)
            said: list[Message] = []
            while part := greedy.take():
                said += decode_json(b"[%b]" % b",".join(part))
            refused = [each for each in said if each.type == "error"]
            assert len(said) == 30
            assert len(refused) >= 27
            assert {each.code for each in refused} == {"rate_limited"}
            wait_s = refused[-1].retryAfter
            assert wait_s is not None
            perform(other, 1, "ping")
            assert answers(other) == 1
            server.clock_s += wait_s
            perform(greedy, 31, "ping")
            [message] = decode_json(b"[%b]" % b",".join(greedy.take()))
            assert (message.type, message.id) == ("reply", 31)
            hub.cancel()

    virtual_time.run(main())
