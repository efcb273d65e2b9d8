"""What security costs the server, beside the same without it: rights, masked fields, TLS.

Each figure is CPU of the server's process, not wall time, and the sides take turns. What tokens cost is in `tokens`,
encryption at rest in `log`.

    python -m bench.costs serve ...     `fire22 serve` that checks no rights: the other side of a subscription
"""

import asyncio
import contextlib
import datetime
import json
import ssl
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final
from unittest.mock import patch

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Raw, Struct
from msgspec.json import encode
from websockets.asyncio.client import ClientConnection, connect

from bench.load import Load, load
from bench.processes import START_S, Child, child, free_port, token
from bench.report import Report, Row, alternate
from bench.stage import EVENT, GENERATOR_CORE, SERVER_CORE
from fire22.cli import main
from fire22.core.event import Event
from fire22.core.topic import Topic
from fire22.gateways.service import Service
from fire22.hub.mask import UNMASKED, Mask, masked_bytes
from fire22.security.access import Access
from fire22.security.principal import Principal
from fire22.sportsbook.betting import facts

MASKED_FACTOR: Final = 1.1  # of what a message costs without a mask
WIDE: Final = 1_000  # subscribers of one lane: a mask is applied once for all of them
FOLLOWERS: Final = 100  # over TLS, by a client in Python
ALONE_HZ: Final = 4_000.0
PAUSE_S: Final = 0.05  # between looks at a server that starts
WINDOW: Final = 100  # commands under way
ROLE: Final = "reader"
SCOPE: Final = "/M1"  # of the principal that subscribes
MASKED: Final = "masks"  # topics of equally long names, in one of which the role does not see one field
PLAIN: Final = "plain"
SETTINGS: Final = f"""
[limits]
connection_units_per_s = 0
user_units_per_s = 0
scope_units_per_s = 0
[relay]
open_topics = ["{MASKED}", "{PLAIN}"]
"""
HIDDEN: Final = "said"
RIGHTS: Final = {"topics": [MASKED, PLAIN], "masks": {MASKED: [HIDDEN]}}
REQUEST: Final = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Plan(Struct, frozen=True):
    """How much in one round, and how many rounds."""

    rounds: int
    subscriptions: int
    messages: int
    alone_s: float
    connections: int


FULL: Final = Plan(rounds=25, subscriptions=1_000, messages=20, alone_s=0.5, connections=50)
QUICK: Final = Plan(rounds=7, subscriptions=500, messages=15, alone_s=0.5, connections=30)


class Running(Struct, frozen=True):
    """A server.

    Args:
        context: what its clients trust; None where it speaks no TLS.
    """

    process: Child
    port: int
    data: Path
    context: ssl.SSLContext | None


def measure(*, quick: bool) -> Report:
    """Subscriptions, masks, and TLS."""
    plan = QUICK if quick else FULL
    with _serving() as server:
        checked, unchecked = _subscriptions(plan, server)
        wide_masked, wide, alone_masked, alone = _masks(plan, server)
        secret, opened, tls, plain = _tls(plan, server)
    figure = "server CPU for a subscription by a role with a scope and a mask, µs"
    rows = [Row(figure, checked, "less", None, unchecked, "no rights checked")]
    figure = f"server CPU for a delivered message with a mask, µs, {WIDE:,} subscribers, one at a time"
    rows.append(Row(figure, wide_masked, "less", MASKED_FACTOR * wide, wide, "without a mask"))
    figure = f"the same, 1 subscriber, {ALONE_HZ:,.0f} messages a second"
    rows.append(Row(figure, alone_masked, "less", MASKED_FACTOR * alone, alone, "without a mask"))
    rows.append(
        Row("server CPU for a connection over TLS, µs, first request included", secret, "less", None, opened, "plain")
    )
    figure = f"server CPU for a delivered message over TLS, µs, {FOLLOWERS} subscribers, one at a time"
    rows.append(Row(figure, tls, "less", None, plain, "plain"))
    return Report(
        tuple(rows),
        (
            f"medians of {plan.rounds} rounds in turns, in each {plan.subscriptions:,} subscriptions, {plan.messages} "
            f"messages one at a time, {plan.connections} connections; CPU of the server's process, publishing, log "
            "and feed included",
            "the mask hides one of three fields, so that a masked message is 15 bytes shorter; hiding it takes "
            f"{_hiding_us():.1f} µs of a message, once for each lane",
            f"TLS 1.3 with a key on P-256, no session resumed: {1e6 / max(1.0, secret - opened):,.0f} handshakes for "
            "each CPU-second beyond what plain connections take",
        ),
    )


# Subscriptions.


def _subscriptions(plan: Plan, checked: Running) -> list[float]:
    with _serving("bench.costs") as unchecked, _runner() as runner:
        sockets = [
            runner.run(_connected(each, token(each.data, role=ROLE, scope=SCOPE))) for each in (checked, unchecked)
        ]
        return alternate(
            plan.rounds,
            lambda: runner.run(_subscription_us(checked, sockets[0], plan.subscriptions)),
            lambda: runner.run(_subscription_us(unchecked, sockets[1], plan.subscriptions)),
        )


async def _subscription_us(running: Running, socket: ClientConnection, count: int) -> float:
    """The same subscription again and again: each replaces the one before."""
    cpu = _cpu_s(running)
    for first in range(0, count, WINDOW):
        for id in range(first, first + WINDOW):
            await socket.send(json.dumps({"id": id, "command": "subscribe", "target": MASKED, "scope": SCOPE}))
        replies = 0
        while replies < WINDOW:
            frame = json.loads(await socket.recv())
            if frame["type"] == "error":
                raise AssertionError(frame)
            replies += frame["type"] == "reply"
    return (_cpu_s(running) - cpu) / count * 1e6


def _any_scope(_access: Access, principal: Principal, _topic: Topic, wanted: str | None) -> str:
    return principal.scope if wanted is None else wanted


def _no_mask(_access: Access, _principal: Principal, _topic: str) -> Mask:
    return UNMASKED


def _is_current(_service: Service, _principal: Principal) -> None:
    pass


def serve_unchecked() -> None:
    """`fire22` without a look at rights."""
    with (
        patch.object(Access, "scope", _any_scope),
        patch.object(Access, "mask", _no_mask),
        patch.object(Service, "check_current", _is_current),
    ):
        main()


# Masks.


def _masks(plan: Plan, running: Running) -> list[float]:
    with load(core=GENERATOR_CORE) as generator:
        for topic in (MASKED, PLAIN):
            _follow(generator, running, topic, 1, "alone")
            template = EVENT.replace("bench", topic)
            generator.publisher(
                topic, running.port, kind="post", path="/v1/events", token=token(running.data), template=template,
                array=True, batch=100,
            )  # fmt: skip
        alone = alternate(
            plan.rounds,
            *(partial(_alone_us, running, generator, topic, plan.alone_s) for topic in (MASKED, PLAIN)),
        )
        for topic in (MASKED, PLAIN):
            _follow(generator, running, topic, WIDE, "wide")
        wide = alternate(
            plan.rounds, *(partial(_wide_us, running, generator, topic, plan.messages) for topic in (MASKED, PLAIN))
        )
    return [*wide, *alone]


def _hiding_us(count: int = 20_000) -> float:
    data, mask = b'{"n":123456,"t":123456789012345,"said":"masks"}', frozenset({HIDDEN})
    began = time.process_time()
    for _ in range(count):
        masked_bytes(data, mask)
    return (time.process_time() - began) / count * 1e6


def _follow(generator: Load, running: Running, topic: str, count: int, group: str) -> None:
    frame = json.dumps({"id": 1, "command": "subscribe", "target": topic})
    tokens = [token(running.data, f"{group}-{number}", role=ROLE) for number in range(count)]
    generator.open(
        f"{group}-{topic}", count, running.port, path="/v1/ws", tokens=tokens, subscribe=[[frame]], replies=True
    )


def _alone_us(running: Running, generator: Load, topic: str, seconds: float) -> float:
    cpu = _cpu_s(running)
    generator.rate(topic, hz=ALONE_HZ, seconds=seconds)
    finished = generator.finish(topic, f"alone-{topic}", timeout_s=20)
    if finished.refused or not finished.complete:
        raise AssertionError(finished)
    return (_cpu_s(running) - cpu) / finished.sent * 1e6


def _wide_us(running: Running, generator: Load, topic: str, count: int) -> float:
    cpu = _cpu_s(running)
    generator.one(topic, f"wide-{topic}", count=count)
    return (_cpu_s(running) - cpu) / (count * WIDE) * 1e6


# TLS.


def _tls(plan: Plan, plain: Running) -> list[float]:
    with _serving(tls=True) as secure, _runner() as runner:
        opened = alternate(
            plan.rounds,
            lambda: runner.run(_opened_us(secure, plan.connections)),
            lambda: runner.run(_opened_us(plain, plan.connections)),
        )
        groups = [runner.run(_followers(each)) for each in (secure, plain)]
        delivered = alternate(
            plan.rounds,
            lambda: runner.run(_delivered_us(secure, groups[0], plan.messages)),
            lambda: runner.run(_delivered_us(plain, groups[1], plan.messages)),
        )
    return [*opened, *delivered]


async def _opened_us(running: Running, count: int) -> float:
    """Until the first answer, so that the handshake is done on both sides; closing comes after."""
    cpu = _cpu_s(running)
    writers: list[asyncio.StreamWriter] = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=running.context)
        writer.write(REQUEST)
        if b" 200 " not in await reader.readline():
            raise AssertionError("the request was refused")
        writers.append(writer)
    cpu = _cpu_s(running) - cpu
    for writer in writers:
        writer.transport.abort()
    return cpu / count * 1e6


async def _followers(running: Running) -> list[ClientConnection]:
    secret = token(running.data)
    sockets = [await _connected(running, secret) for _ in range(FOLLOWERS)]
    for socket in sockets:
        await socket.send(json.dumps({"id": 1, "command": "subscribe", "target": PLAIN}))
        while json.loads(await socket.recv())["type"] != "reply":
            pass
    return sockets


async def _delivered_us(running: Running, sockets: list[ClientConnection], count: int) -> float:
    """The first subscriber publishes too."""
    cpu = _cpu_s(running)
    for _ in range(count):
        number = str(time.monotonic_ns())
        event = EVENT.replace("bench", PLAIN).replace("@N@", number).replace("@T@", "0")
        await sockets[0].send(f'{{"id":2,"command":"publish","event":{event}}}')
        await asyncio.gather(*(_until(socket, f'"n":{number},') for socket in sockets))
    return (_cpu_s(running) - cpu) / (count * len(sockets)) * 1e6


async def _until(socket: ClientConnection, mark: str) -> None:
    while mark not in str(await socket.recv()):
        pass


# Servers and clients.


@contextlib.contextmanager
def _serving(module: str = "fire22", *, tls: bool = False) -> Iterator[Running]:
    """A server with the role, the agent and the topics."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        config, data = folder / "fire22.toml", folder / "data"
        certificate = _certificate(folder) if tls else None
        tls_file = f'tls_certificate = "{certificate}"\n' if tls else ""
        config.write_text(f"{SETTINGS}[server]\nconnections_user_max = 0\n{tls_file}")
        context = ssl.create_default_context(cafile=certificate) if tls else None
        arguments = ("serve", "--data", data, "--port", port, "--config", config)
        with child(module, *arguments, core=SERVER_CORE) as process:
            running = Running(process, port, data, context)
            _prepare(running)
            yield running


def _prepare(running: Running) -> None:
    """Add the role and the agent, and wait until the scope is known."""
    deadline = time.monotonic() + START_S
    while not (running.data / "token.key").exists() and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    agent = facts.Agent("M1", "M1", SCOPE, SCOPE.count("/"), "active")
    created = Event("costs:1", "agent.created", "bench", datetime.datetime.now(datetime.UTC), Raw(encode(agent)))
    for method, path, body in (
        ("PUT", f"/v1/roles/{ROLE}", encode(RIGHTS)),
        ("POST", "/v1/events", encode([created])),
        ("GET", f"/v1/views/kpi?scope={SCOPE}", None),
    ):
        while not _asked(running, method, path, body):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: {running.process.logged}")
            time.sleep(PAUSE_S)


def _asked(running: Running, method: str, path: str, body: bytes | None) -> bool:
    """Whether a request was answered, and not refused."""
    url = f"{'http' if running.context is None else 'https'}://127.0.0.1:{running.port}{path}"
    headers = {"authorization": f"Bearer {token(running.data)}", "content-type": "application/json"}
    request = urllib.request.Request(url, body, headers, method=method)
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=START_S, context=running.context):
        return True
    return False


def _certificate(folder: Path) -> Path:
    """The file of a certificate for 127.0.0.1 that has signed itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    file = folder / "certificate.pem"
    file.touch(mode=0o600)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
    return file


async def _connected(running: Running, secret: str) -> ClientConnection:
    return await connect(
        f"{'ws' if running.context is None else 'wss'}://127.0.0.1:{running.port}/v1/ws",
        ssl=running.context,
        additional_headers={"authorization": f"Bearer {secret}"},
        compression=None,
        ping_interval=None,
        proxy=None,
    )


def _cpu_s(running: Running) -> float:
    """What the server's threads have taken, to the nanosecond: a round is too short for clock ticks."""
    tasks = Path(f"/proc/{running.process.statistics.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _runner() -> "asyncio.Runner":
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


if __name__ == "__main__":
    serve_unchecked()
