"""The application: the only place that builds and wires; one TaskGroup.

book ─► BookSource ─► SqliteLog ─► Runner(Engine(flows)) ─► SqliteFeed ─► HubLoop(Delivery) ─► WebSocket, HTTP
"""

import asyncio
import contextlib
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw

from fire22 import config as configuring
from fire22.admission import Admission
from fire22.config import Config, Sections
from fire22.core import codes, letter
from fire22.core.errors import BookError, SetupError, StorageError, first_of
from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.core.times import to_datetime
from fire22.failures import Failures
from fire22.flows.base import Flow
from fire22.flows.engine import CONFIGURED, Engine, Rejected, configuration
from fire22.flows.faults import FlowFailed, FoldStopped
from fire22.flows.questions import Questions
from fire22.flows.relay import Relay
from fire22.flows.runner import Runner
from fire22.flows.trail import Trail, audited
from fire22.gateways.deadlines import Deadlines
from fire22.gateways.http.operating import Health, Operating
from fire22.gateways.http.protocol import HttpProtocol, end_unfinished
from fire22.gateways.limits import Limits
from fire22.gateways.network import Networks
from fire22.gateways.register import Connections
from fire22.gateways.service import Service
from fire22.hub.delivery import Delivery
from fire22.hub.loop import HubLoop
from fire22.log.cipher import read_cipher
from fire22.observability.logging import get_logger
from fire22.observability.metrics import CONTENT_TYPE, Metrics
from fire22.process import Address, listen, locked
from fire22.security.audit import Audit
from fire22.security.certificate import certificate_of
from fire22.security.heads import Heads
from fire22.security.oidc import provided
from fire22.security.pending import Pending
from fire22.security.principal import Principal
from fire22.security.settings import note_settings
from fire22.serving import places, serve
from fire22.sources.base import Source
from fire22.sources.clock import ClockSource
from fire22.sources.idle import IdleSource
from fire22.sources.kinds import BookAt
from fire22.sources.opening import open_book
from fire22.sources.own_events import append
from fire22.sources.pipeline import BookSource, Told
from fire22.sources.reading import Pace
from fire22.sportsbook import domain
from fire22.storage import EmbeddedStorage

Settings = Config[domain.Settings]
SECTIONS: Final = Sections(domain.Settings, domain.problems)

TRIM_S: Final = 60.0
LOOK_S: Final = 5.0  # how often it is tried whether the desk could write
FOLDED_S: Final = 0.01  # how often a start looks whether the rest of the log is folded ...
PROGRESS_S: Final = 2.0  # ... and how often it says how much is left
FREEZE_CONNECTIONS: Final = 1_000  # after so many new ones the garbage collector is told to leave what is there alone
LATE_S: Final = 1.0  # how late, at most, who is late with a request or a token is noticed
BEHIND_MAX: Final = 50_000  # events not yet folded with which the server still counts as ready
AGAIN_S: Final = 0.1  # until what could not be appended at a start is tried again


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a configuration file and the environment.

    Raises:
        SetupError: `config_invalid`, naming every key that is wrong.
    """
    return configuring.load(path, SECTIONS, environment)


def convert(raw: dict[str, Any]) -> Settings:
    """Check the raw values of a configuration.

    Raises:
        SetupError: `config_invalid`, naming every key that is wrong.
    """
    return configuring.convert(raw, SECTIONS)


def build_engine(open_topics: tuple[str, ...]) -> Engine:
    """All flows, as the server runs them.

    Raises:
        SetupError: `config_invalid`, an open topic has the name of one of the book's own.
    """

    def flows() -> tuple[Flow, ...]:
        return (*domain.flows(), Trail(), Relay(open_topics))

    made = flows()
    for topic in (letter.TOPIC, *(topic.name for flow in made[:-1] for topic in flow.topics)):
        if topic in open_topics:
            raise SetupError(codes.CONFIG_INVALID, f"The topic {topic} is the book's own; open one of another name.")
    return Engine(made, domain.decode, remake=flows)


def flow_settings(config: Settings) -> dict[str, Json]:
    """The settings of each flow that has some, as they go into the log."""
    own: dict[str, Json] = {"relay": msgspec.to_builtins(config.relay), "letters": msgspec.to_builtins(config.letters)}
    return own | config.domain.of_flows()


class Application:
    """A running server; made by `running`."""

    def __init__(self, config: Settings, sock: socket.socket, tasks: asyncio.TaskGroup) -> None:
        host, port = sock.getsockname()[:2]
        self.config = config
        self.certificate = certificate_of(config.server)
        self.address = Address(config.server.host or host, port, self.certificate is not None)
        self.logger = get_logger()
        self._sock = sock
        self._tasks = tasks
        self._stages: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self.metrics = Metrics(codes.ALL)
        self._failures = Failures(self.metrics.count_error)
        cipher = read_cipher(config.encryption.key_file)
        self._storage = EmbeddedStorage(
            config.storage,
            self._loop,
            group_ms=config.log.group_ms,
            pending_max=config.log.pending_max,
            ring_bytes_max=config.feed.ring_bytes_max,
            cipher=cipher,
            erasable=config.personal.erasable,
        )
        self.log, self.feed = self._storage.log, self._storage.feed
        self.engine = build_engine(config.relay.open_topics)
        self.admission = admission = Admission(
            config.auth,
            config.folder,
            config.key_file,
            self._loop,
            cipher=cipher,
            roles=domain.roles(config.relay.open_topics),
            flags=domain.flags(),
            topics={name: topic.fields for name, topic in self.engine.topics.items() if not topic.internal},
            commands=domain.grantable(),
            now_ms=now_ms,
        )
        self.tokens, self.people, self.store = admission.keychain.tokens, admission.people, admission.store
        self.machines, self.revocation = admission.machines, admission.revocation
        if self.feed.begin(self.engine.shape):
            self.logger.info("begins the figures again", reason="this version makes them otherwise")
        self.runner = Runner(
            self.log,
            self.feed,
            self.engine,
            rejected=self._rejected,
            failed=self._failures.of("feed"),
            faulty=self._faulty,
        )
        block_bytes_max = config.hub.block_bytes_max
        self.delivery = Delivery(self.feed, self.engine.topics, now_ms=now_ms, block_bytes_max=block_bytes_max)
        self.hub = HubLoop(
            self.delivery,
            self.feed,
            flush_interval_ms=config.hub.flush_interval_ms,
            flush_bytes_max=config.hub.flush_bytes_max,
            heartbeat_s=config.hub.heartbeat_s,
            shed_ms=config.hub.shed_ms,
            failed=self._failures.of("hub"),
            opened=self._storage.opened,
        )
        try:
            self.engine.load(*self.feed.load())
        except FoldStopped as stopped:
            self.runner.stop(stopped)
        self.delivery.begin(self.engine.waiting)
        self.sources: list[Source] = [self._book()] if config.domain.book.path else []
        self.clock = ClockSource(
            self.log,
            self.sources,
            now_ms=now_ms,
            source_timeout_s=config.domain.book.source_timeout_s,
            # The watermark is appended every second, so a log that cannot be written shows here.
            failed=self._failures.of("log"),
        )
        self.idle = IdleSource(
            self.log,
            folded=lambda: self.engine.checkpoint.seq,
            waiting=self._waiting,
            watermark_ms=lambda: self.engine.checkpoint.watermark_ms,
            idle_ms=config.log.idle_ms,
            failed=self._failures.of("log"),
        )
        self.desk = domain.desk(
            config.domain,
            view=self._document,
            now_ms=self._book_ms,
            grants=admission.access.grants,
            people=admission.people,
            read_file=self._read_file,
        )
        self.questions = Questions(self.engine, domain.answer, lambda: self.runner.stopped is not None)
        self.audit = Audit(self.log.append, self._loop, now_ms=now_ms)
        self.pending = Pending(self.store, self.log.append)
        self.heads = Heads(config.folder, lambda: audited(self.engine.flows), self.log.append, now_ms=now_ms)
        self.oidc = provided(
            config.oidc,
            self.people,
            self.store,
            url=self.address.url,
            roles=lambda: admission.access.table,
            now_ms=now_ms,
        )
        self.service = self._service()
        self.connections = Connections(self.service, tasks)
        self.people.sessions.held = self.connections.sessions
        self.unfinished: Deadlines[HttpProtocol] = Deadlines(config.server.handshake_timeout_s)
        self.server, self.routes, self.front = serve(
            self.service,
            self.connections,
            self.unfinished,
            config,
            operating=Operating(self.metrics.text, CONTENT_TYPE, self.health),
            commands=domain.COMMANDS,
            context=None if self.certificate is None else self.certificate.context,
        )
        self.metrics.show(self.log, self.feed, self.runner, self.hub, self.connections, self.clock, self.audit)

    @property
    def shows_all(self) -> bool:
        """Whether what is shown is the whole of the log."""
        written = self.feed.checkpoint
        return written.seq >= self.log.last_seq and self.delivery.flushed >= written.offset

    async def start(self) -> None:
        """Start every stage, from the log to the gateways, and listen."""
        await self.admission.load()
        if self.oidc is not None:
            self.oidc.check()
        self._storage.start()
        self._stages = [self._tasks.create_task(stage) for stage in (self.runner.run(), self.hub.run())]
        await self._fold_rest()
        await self._configure()
        await note_settings(self.store, self.audit, self.config.raw())
        await self.clock.tell()
        stages = [source.run() for source in self.sources]
        stages += [self.clock.run(), self.idle.run(), self._trim(), self._end_late(), self._sweep()]
        stages += [self._look_after_desk(), self.connections.rights.watch(), *self.admission.stages(self.pending.load)]
        stages += [self.heads.run(), self.pending.run(self._failures.of("audit"))]
        stages += [] if self.certificate is None else [self.certificate.run()]
        self._stages += [self._tasks.create_task(stage) for stage in stages]
        self._tasks.create_task(self.server.serve(sockets=[self._sock]))
        await self.server.listening.wait()
        gc.collect()
        gc.freeze()  # what is built once need not be looked at again

    async def stop(self) -> None:
        """Ask the clients to come back later, and end every stage."""
        await self.connections.drain(self.config.server.drain_s)
        self.server.should_exit = True
        for stage in self._stages:
            stage.cancel()
        await self.audit.close()

    def close(self) -> None:
        """Close the files, after every task has ended."""
        if self.desk is not None:
            self.desk.close()
        self.admission.close()
        self._storage.close()

    def link(self) -> str:
        """A link that signs a browser in, once, as an administrator of the whole book."""
        principal = Principal("local", "admin", "/", now_ms() + 1)
        return f"{self.address.url}/#code={self.admission.links.issue(principal, now_ms=now_ms())}"

    async def _fold_rest(self) -> None:
        """Bring the feed up to the end of the log before anybody is shown a figure; an upgrade makes all of it anew."""
        told_s = self._loop.time()
        while not self.shows_all and self.runner.stopped is None:
            await asyncio.sleep(FOLDED_S)
            if self._loop.time() - told_s >= PROGRESS_S:
                told_s = self._loop.time()
                self.logger.info("rebuilding figures", events_left=self.runner.behind)

    async def _configure(self) -> None:
        """A change of the flows or their settings is an event, so that a replay makes it at the same place."""
        wanted = configuration(self.engine.flows, flow_settings(self.config))
        if wanted != self.engine.configuration and self.runner.stopped is None:
            at_ms = now_ms()
            event = Event(f"configured:{at_ms}", CONFIGURED, "server", to_datetime(at_ms), Raw(wanted))
            while not await append(self.log, encode_event(event), self._failures.of("log")):
                # Not now, or the log has another event under this id.
                await asyncio.sleep(AGAIN_S)
                event = msgspec.structs.replace(event, id=f"configured:{now_ms()}")

    async def _trim(self) -> None:
        """Retention of the feed."""
        feed = self.config.feed
        while True:
            await asyncio.sleep(TRIM_S)
            # By the feed's own clock: a recording keeps its messages however old they are.
            before_ms = self.feed.checkpoint.watermark_ms - int(feed.retention_hours * 3_600_000)
            try:
                while await self.feed.trim(before_ms=before_ms, bytes_max=feed.retention_bytes):
                    pass
            except StorageError as error:
                if not error.temporary:
                    raise
                self._failures.of("retention")(error)

    async def _end_late(self) -> None:
        """Close those who have just connected and do not say in time what they want, or who they are."""
        frozen_at = 0
        server = self.config.server
        interval_s = min(LATE_S, server.handshake_timeout_s, server.auth_timeout_s)
        while True:
            await asyncio.sleep(interval_s)
            end_unfinished(self.unfinished, self._loop.time())
            self.connections.end_unauthenticated()
            if self.connections.accepted >= frozen_at + FREEZE_CONNECTIONS:
                frozen_at = self.connections.accepted
                # A connection is freed by its reference count. The collector need not look at each of many again and
                # again, which takes tens of milliseconds at once.
                gc.collect(1)
                gc.freeze()

    async def _look_after_desk(self) -> None:
        """Notice that commands cannot be written before somebody gives one."""
        while self.desk is not None:
            await self.desk.look()
            await asyncio.sleep(LOOK_S)

    async def _sweep(self) -> None:
        """Look after the connections that are open."""
        interval_s = min(self.config.hub.heartbeat_s, self.config.server.stall_s)
        while True:
            await asyncio.sleep(interval_s)
            await self.connections.sweep()

    def _book(self) -> BookSource:
        book = self.config.domain.book
        told = Told(
            failed=self._failures.of("book", shown=False),  # its own status says more, and no longer than it holds
            rejected=self._failures.row_rejected,
            let_go=lambda: self.desk.let_go() if self.desk is not None else None,
        )
        source = open_book(
            BookAt(book.kind, book.path, domain.BOOK, (book.mapping, book.currency)),
            self.log,
            told,
            folder=self.config.folder,
            pace=Pace(poll_s=book.poll_ms / 1000),
            apart=book.reader == "process",
            now_ms=now_ms,
            seals=self._storage.seals,
        )
        try:
            source.check()
        except BookError as error:
            if not error.temporary:  # a lock goes away; the source waits for that
                raise
        return source

    def _document(self, topic: str, scope: str, key: str) -> Mapping[str, Json] | None:
        """A document as clients see it now."""
        found = self.delivery.document(topic, scope, key)
        return found.body if found is not None else None

    def _read_file(self) -> tuple[int, int] | None:
        """The book that is open for reading: device and inode."""
        return next((source.file for source in self.sources if isinstance(source, BookSource)), None)

    def _book_ms(self) -> int:
        """The book's time: what is done in a recorded book happens at its own clock's time."""
        if self.sources and all(source.status().recorded for source in self.sources):
            return self.delivery.watermark_ms or now_ms()
        return now_ms()

    def _waiting(self) -> Mapping[tuple[str, str], int]:
        """What the flows have still to say and could say now: before the first watermark no day has begun."""
        could = self.engine.is_whole and self.runner.stopped is None and self.engine.checkpoint.watermark_ms
        return self.engine.waiting if could else {}

    def _service(self) -> Service:
        server, admission = self.config.server, self.admission
        return Service(
            log=self.log,
            hub=self.hub,
            access=admission.access,
            tokens=self.tokens,
            sign_in=admission.links,
            revocation=self.revocation,
            people=self.people,
            audit=self.audit,
            permissions=admission.permissions,
            oidc=self.oidc,
            machines=self.machines,
            topics=self.engine.topics,
            limits=Limits(
                connections_max=places(server.connections_max),
                connections_user_max=server.connections_user_max,
                connections_address_max=server.connections_address_max,
                subscriptions_max=server.subscriptions_max,
                message_bytes_max=server.message_bytes_max,
                compression=server.compression,
                events_bytes_max=server.events_bytes_max,
                outbox_bytes_max=self.config.hub.outbox_bytes_max,
                outboxes_bytes_max=self.config.hub.outboxes_bytes_max,
                auth_timeout_s=server.auth_timeout_s,
                heartbeat_s=self.config.hub.heartbeat_s,
                stall_s=server.stall_s,
                rates=self.config.limits,
            ),
            network=Networks(self.config.network),
            now_ms=now_ms,
            check_event=domain.decode,
            count_error=self.metrics.count_error,
            desk=self.desk,
            about=domain.about(self.config.domain),
            questions=domain.QUESTIONS,
            ask=self.questions.ask,
        )

    def health(self) -> Health:
        """Every stage, `ok` or what is wrong."""
        behind = self.runner.behind
        parts = {"flows": "ok" if behind <= BEHIND_MAX else f"{behind} events behind"}
        if self.runner.stopped is not None:
            parts["flows"] = codes.FOLD_STOPPED.name
        parts |= self._failures.health()
        for source in self.sources:
            status = source.status()
            parts[status.name] = status.problem or "ok"
        if self.desk is not None:
            parts["desk"] = self.desk.problem or "ok"
        if self.feed.damage is not None:
            parts["storage"] = self.feed.damage.code.name
        if self.service.draining:
            parts["server"] = codes.RESTARTING.name
        return Health("ok" if all(part == "ok" for part in parts.values()) else "degraded", parts)

    def _faulty(self, fault: FlowFailed | FoldStopped) -> None:
        """A flow raised. What that was is for the log alone: an event's data may be in it."""
        if isinstance(fault, FlowFailed):
            self.logger.error("a flow failed on an event", seq=fault.seq, type=fault.type, exc_info=fault.__cause__)
            return
        self.metrics.count_error(codes.FOLD_STOPPED.name)
        self.logger.error("folding stopped", seq=fault.seq, at=fault.what, exc_info=fault.__cause__)
        self._storage.note_stopped(f"{fault.seq} {fault.what}")
        self.hub.fail(codes.FOLD_STOPPED, now_ms())

    def _rejected(self, rejected: Rejected) -> None:
        self.metrics.count_error(rejected.code.name)
        self.logger.warning("event rejected", seq=rejected.seq, type=rejected.type, reason=rejected.reason)


@contextlib.asynccontextmanager
async def running(config: Settings) -> AsyncIterator[Application]:
    """A server from its start to its orderly end.

    Raises:
        Fire22Error: it cannot start, or a stage failed in a way that trying again cannot mend.
    """
    with locked(config.folder), contextlib.closing(listen(config.server.host, config.server.port)) as sock:
        application: Application | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                application = Application(config, sock, tasks)
                await application.start()
                at = application.address
                everywhere = {"on": "every address of this machine"} if at.is_everywhere else {}
                application.logger.info("listening", url=at.url, **everywhere)
                try:
                    yield application
                finally:
                    await application.stop()
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        finally:
            if application is not None:
                application.close()
                application.logger.info("closed", url=application.address.url)
