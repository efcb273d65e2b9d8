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
import uvicorn
from msgspec import Raw

from fire22 import __version__
from fire22 import config as configuring
from fire22.config import Config, Sections
from fire22.core import codes, letter
from fire22.core.errors import BookError, Fire22Error, SetupError, StorageError, first_of
from fire22.core.event import Event, encode_event
from fire22.core.message import Json
from fire22.core.times import to_datetime
from fire22.flows.base import Flow
from fire22.flows.engine import CONFIGURED, Engine, Rejected, configuration
from fire22.flows.faults import FlowFailed, FoldStopped
from fire22.flows.questions import Questions
from fire22.flows.relay import Relay
from fire22.flows.runner import Runner
from fire22.flows.trail import Trail
from fire22.gateways.deadlines import Deadlines
from fire22.gateways.echo import EchoWebSocket
from fire22.gateways.http.application import application
from fire22.gateways.http.files import Files
from fire22.gateways.http.oidc import OidcRoutes
from fire22.gateways.http.operating import Health, Operating
from fire22.gateways.http.protocol import Front, HttpProtocol, end_unfinished
from fire22.gateways.http.route import Table
from fire22.gateways.http.routes import rows
from fire22.gateways.http.session import Session
from fire22.gateways.network import Networks
from fire22.gateways.register import Connections
from fire22.gateways.service import Limits, Service
from fire22.gateways.websocket import WebSocket
from fire22.hub.delivery import Delivery
from fire22.hub.loop import HubLoop
from fire22.log.cipher import read_cipher
from fire22.observability.logging import get_logger
from fire22.observability.metrics import CONTENT_TYPE, Metrics
from fire22.process import Address, Server, connections_allowed, listen, locked, page_folders, raise_descriptor_limit
from fire22.security.access import Access
from fire22.security.audit import Audit
from fire22.security.certificate import open_certificate
from fire22.security.heads import Heads
from fire22.security.keychain import Keychain
from fire22.security.machines import Machines
from fire22.security.oidc import provided
from fire22.security.pending import Pending
from fire22.security.people import People
from fire22.security.permissions import Permissions
from fire22.security.principal import Principal
from fire22.security.revocation import Revocation
from fire22.security.settings import note_settings
from fire22.security.tokens import SignInCodes
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
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import SqliteStore
from fire22.store.watch import watch

Settings = Config[domain.Settings]
SECTIONS: Final = Sections(domain.Settings, domain.problems)

DESCRIPTORS_SPARE: Final = 256  # for files, HTTP and what is being accepted
TRIM_S: Final = 60.0
LOOK_S: Final = 5.0  # how often it is tried whether the desk could write
FOLDED_S: Final = 0.01  # how often a start looks whether the rest of the log is folded ...
PROGRESS_S: Final = 2.0  # ... and how often it says how much is left
CONNECTIONS_FEW: Final = 1_000  # with fewer than so many by the system's limit the start says so
FREEZE_CONNECTIONS: Final = 1_000  # after so many new ones the garbage collector is told to leave what is there alone
LATE_S: Final = 1.0  # how late, at most, who is late with a request or a token is noticed
BEHIND_MAX: Final = 50_000  # events not yet folded with which the server still counts as ready
AGAIN_S: Final = 0.1  # until what could not be appended at a start is tried again
LOGGED_S: Final = 60.0  # between two lines of the server's log about the same failure
PROBLEM_S: Final = 10.0  # how long a failure that is tried again shows in the health of its stage


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
        self.certificate = open_certificate(config.server.tls_certificate, config.server.tls_key)
        self.address = Address(config.server.host or host, port, self.certificate is not None)
        self.logger = get_logger()
        self._sock = sock
        self._tasks = tasks
        self._stages: list[asyncio.Task[None]] = []
        self._problems: dict[str, tuple[str, float]] = {}
        self._loop = asyncio.get_running_loop()
        self.metrics = Metrics(codes.ALL)
        access = Access(domain.roles(config.relay.open_topics), domain.flags())
        self.keychain = Keychain(config.auth, config.key_file, kind_of=access.kind, now_ms=now_ms)
        self.tokens = self.keychain.tokens
        self.sign_in = SignInCodes()
        cipher = read_cipher(config.encryption.key_file)
        self._storage = EmbeddedStorage(
            config.storage,
            self._loop,
            group_ms=config.log.group_ms,
            pending_max=config.log.pending_max,
            ring_bytes_max=config.feed.ring_bytes_max,
            cipher=cipher,
        )
        self.store = SqliteStore(config.folder / STORE, self._loop, now_ms=now_ms, cipher=cipher)
        self.revocation = Revocation(self.store, now_ms=now_ms)
        self.machines = Machines(self.store, self.revocation, now_ms=now_ms)
        self.people = People(
            self.store,
            self.revocation,
            kind_of=access.kind,
            idle_s=config.auth.session_idle_hours * 3600,
            absolute_s=config.auth.session_hours * 3600,
            now_ms=now_ms,
            factor_roles=config.auth.second_factor_roles,
        )
        self.log, self.feed = self._storage.log, self._storage.feed
        self.engine = build_engine(config.relay.open_topics)
        topics = {name for name, topic in self.engine.topics.items() if not topic.internal}
        self.permissions = Permissions(self.store, access, topics=topics, commands=domain.grantable())
        self._loads = (self.revocation.load, self.machines.load, self.permissions.load, self.people.load)
        if self.feed.begin(self.engine.shape):
            self.logger.info("begins the figures again", reason="this version makes them otherwise")
        self.runner = Runner(
            self.log,
            self.feed,
            self.engine,
            rejected=self._rejected,
            failed=self._failed("feed"),
            faulty=self._faulty,
        )
        self.delivery = Delivery(
            self.feed, self.engine.topics, now_ms=now_ms, block_bytes_max=config.hub.block_bytes_max
        )
        self.hub = HubLoop(
            self.delivery,
            self.feed,
            flush_interval_ms=config.hub.flush_interval_ms,
            flush_bytes_max=config.hub.flush_bytes_max,
            heartbeat_s=config.hub.heartbeat_s,
            shed_ms=config.hub.shed_ms,
            failed=self._failed("hub"),
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
            failed=self._failed("log"),
        )
        self.idle = IdleSource(
            self.log,
            folded=lambda: self.engine.checkpoint.seq,
            waiting=self._waiting,
            watermark_ms=lambda: self.engine.checkpoint.watermark_ms,
            idle_ms=config.log.idle_ms,
            failed=self._failed("log"),
        )
        self.desk = domain.desk(
            config.domain,
            view=self._document,
            now_ms=self._book_ms,
            grants=access.grants,
            read_file=self._read_file,
        )
        self.questions = Questions(self.engine, domain.answer, lambda: self.runner.stopped is not None)
        self.audit = Audit(self.log.append, self._loop, now_ms=now_ms)
        self.pending = Pending(self.store, self.log.append)
        self.heads = Heads(config.folder, self._audited, self.log.append, now_ms=now_ms)
        self.oidc = provided(
            config.oidc, self.people, self.store, url=self.address.url, roles=lambda: access.table, now_ms=now_ms
        )
        self.service = self._service(access)
        self.connections = Connections(self.service, tasks)
        self.people.sessions.held = self.connections.sessions
        self.unfinished: Deadlines[HttpProtocol] = Deadlines(config.server.handshake_timeout_s)
        self.server = self._server()
        self.metrics.show(self.log, self.feed, self.runner, self.hub, self.connections, self.clock, self.audit)

    @property
    def shows_all(self) -> bool:
        """Whether what is shown is the whole of the log."""
        written = self.feed.checkpoint
        return written.seq >= self.log.last_seq and self.delivery.flushed >= written.offset

    async def start(self) -> None:
        """Start every stage, from the log to the gateways, and listen."""
        for load in self._loads:
            await load()
        for role in set(self.config.auth.second_factor_roles) - set(self.service.access.roles):
            self.logger.warning("there is no such role", setting="auth.second_factor_roles", role=role)
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
        stages += [self._look_after_desk(), self.connections.rights.watch(), self.keychain.run()]
        stages += [watch(self.store, (*self._loads, self.pending.load)), self.machines.run(), self.revocation.run()]
        stages += [self.people.sessions.run(), self.heads.run(), self.pending.run(self._failed("audit"))]
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
        self.people.close()
        self.store.close()
        self._storage.close()

    def link(self) -> str:
        """A link that signs a browser in, once, as an administrator of the whole book."""
        principal = Principal("local", "admin", "/", now_ms() + 1)
        return f"{self.address.url}/#code={self.sign_in.issue(principal, now_ms=now_ms())}"

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
            while not await append(self.log, encode_event(event), self._failed("log")):
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
                self._failed("retention")(error)

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
            failed=self._failed("book", shown=False),  # its own status says more, and no longer than it holds
            rejected=self._row_rejected,
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
        )
        try:
            source.check()
        except BookError as error:
            if not error.temporary:  # a lock goes away; the source waits for that
                raise
        return source

    def _audited(self) -> tuple[int, bytes, bytes]:
        """How many audit entries are folded, the root of their tree, and the end of their chain."""
        (trail,) = (flow for flow in self.engine.flows if isinstance(flow, Trail))
        frontier = trail.frontier
        return frontier.size, frontier.root, frontier.chain

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

    def _service(self, access: Access) -> Service:
        server = self.config.server
        return Service(
            log=self.log,
            hub=self.hub,
            access=access,
            tokens=self.tokens,
            sign_in=self.sign_in,
            revocation=self.revocation,
            people=self.people,
            audit=self.audit,
            permissions=self.permissions,
            oidc=self.oidc,
            machines=self.machines,
            topics=self.engine.topics,
            limits=Limits(
                connections_max=self._connections_max(),
                connections_user_max=server.connections_user_max,
                connections_address_max=server.connections_address_max,
                subscriptions_max=server.subscriptions_max,
                message_bytes_max=server.message_bytes_max,
                compression=server.compression,
                events_bytes_max=server.events_bytes_max,
                outbox_bytes_max=self.config.hub.outbox_bytes_max,
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

    def _connections_max(self) -> int:
        """How many connections are taken; says where the system allows the process too few open files for it.

        Raises:
            SetupError: `config_invalid`, it allows so few that nobody could be served.
        """
        descriptors = raise_descriptor_limit()
        wanted = self.config.server.connections_max
        allowed = connections_allowed(descriptors, DESCRIPTORS_SPARE, wanted)
        if allowed < (wanted or CONNECTIONS_FEW):
            self.logger.warning(
                "connection limit is low",
                connections_max=allowed,
                open_files=descriptors,
                help="raise it with `ulimit -n`",
            )
        return allowed

    def _server(self) -> Server:
        websocket = EchoWebSocket if self.config.server.echo else WebSocket
        session_s = int(self.config.auth.session_hours * 3600)
        routes = rows(
            self.service,
            session=Session(self.service, session_s),
            oidc=OidcRoutes(self.service, session_s),
            operating=Operating(self.metrics.text, CONTENT_TYPE, self.health),
            files=Files(*page_folders()),
            websockets=websocket.paths,
            commands=domain.COMMANDS,
            version=__version__,
        )
        self.routes = Table(self.service, routes)
        app = application(
            self.service,
            self.routes,
            lambda error: self.logger.error("request failed", exc_info=error),
        )
        self.front = Front(self.service, self.routes.row, self.unfinished)
        context = None if self.certificate is None else self.certificate.context
        return Server(
            uvicorn.Config(
                app,
                ws=self.connections.bind(websocket),
                http=type("BoundHttp", (HttpProtocol,), {"front": self.front}),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # whom to believe is `[network]`
                timeout_graceful_shutdown=3,
                backlog=4096,
                ssl_context_factory=None if context is None else lambda *_: context,
            )
        )

    def health(self) -> Health:
        """Every stage, `ok` or what is wrong."""
        behind = self.runner.behind
        parts = {"flows": "ok" if behind <= BEHIND_MAX else f"{behind} events behind"}
        if self.runner.stopped is not None:
            parts["flows"] = codes.FOLD_STOPPED.name
        since = self._loop.time() - PROBLEM_S
        parts |= {stage: code if at > since else "ok" for stage, (code, at) in self._problems.items()}
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

    def _failed(self, stage: str, *, shown: bool = True) -> Any:
        """What is done about a failure of a stage that is tried again; `shown` also in the stage's health."""
        if shown:
            self._problems.setdefault(stage, ("ok", -PROBLEM_S))
        logged: dict[str, float] = {}

        def tell(error: Fire22Error) -> None:
            if shown:
                # Damage does not pass by being met only once.
                met = float("inf") if error.code is codes.STORAGE_CORRUPT else self._loop.time()
                self._problems[stage] = (error.code.name, met)
            self.metrics.count_error(error.code.name)
            # What is tried again several times a second is said now and then.
            if self._loop.time() >= logged.get(error.message, 0.0):
                logged.clear()
                logged[error.message] = self._loop.time() + LOGGED_S
                self.logger.warning("retrying after an error", stage=stage, code=error.code.name, reason=error.message)

        return tell

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

    def _row_rejected(self, number: int, why: str) -> None:
        self.metrics.count_error(codes.EVENT_INVALID.name)
        self.logger.warning("outbox row skipped", number=number, reason=why)


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
