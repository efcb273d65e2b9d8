"""The configuration: every limit, unit and default, once.

Read from TOML; `FIRE22_<SECTION>__<KEY>` in the environment overrides a key, and `FIRE22_DATA` the folder. Units are in
the names. Unknown keys and wrong values are one error that names every one of them.
"""

import os
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.core.strict import Problem, parse_toml, problems, sentence
from fire22.sportsbook.risk.alerts import RiskSettings

Positive = Annotated[int, Meta(gt=0)]
PositiveFloat = Annotated[float, Meta(gt=0, le=1e9)]  # no setting takes infinity
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
TopicName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}\Z")]
ENVIRONMENT: Final = "FIRE22_"


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients connect, and what one of them may cost.

    Args:
        host: address to listen on; empty is every address of this machine.
        port: of HTTP and WebSocket alike; 0 takes a free one.
        connections_max: open WebSockets; 0 derives it from the descriptor limit.
        connections_user_max: open WebSockets with tokens of one user; 0 is no limit of its own.
        connections_address_max: open WebSockets from one network address; 0 is no limit of its own. That is the default
            because everybody has the same address behind a proxy, or in an office behind one router.
        subscriptions_max: of one connection.
        message_bytes_max: of one incoming WebSocket message, also after inflation.
        compression: whether permessage-deflate is agreed on with WebSocket clients that offer it.
        events_bytes_max: of one HTTP body.
        handshake_timeout_s: until a connection must have sent a whole HTTP request; trickling does not extend it.
        auth_timeout_s: until a connection must have authenticated.
        stall_s: a connection that takes no byte for this long is closed.
        drain_s: over which connections are asked to come back at shutdown.
        echo: whether `/echo` sends every WebSocket message back; for the conformance suite only.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    connections_max: Annotated[int, Meta(ge=0)] = 0
    connections_user_max: Annotated[int, Meta(ge=0)] = 1_000
    connections_address_max: Annotated[int, Meta(ge=0)] = 0
    subscriptions_max: Positive = 64
    message_bytes_max: Positive = 1 << 20
    compression: bool = True
    events_bytes_max: Positive = 8 << 20
    handshake_timeout_s: Seconds = 10.0
    auth_timeout_s: Seconds = 10.0
    stall_s: Seconds = 120.0
    drain_s: Annotated[float, Meta(ge=0, le=3_600)] = 2.0
    echo: bool = False


class HubConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How messages are delivered.

    Args:
        flush_interval_ms: how long messages gather while they keep coming.
        flush_bytes_max: payload that ends the gathering.
        heartbeat_s: a live connection gets a tick at least this often.
        outbox_bytes_max: unsent bytes of a connection above which it reads on at its own pace.
        block_bytes_max: memory for encoded blocks of the past.
        shed_ms: what a flush takes, from which on load is shed: views come less often, then lossy streams are cut, then
            new connections are refused.
    """

    flush_interval_ms: Annotated[float, Meta(gt=0, le=60_000)] = 20.0
    flush_bytes_max: Positive = 256 << 10
    heartbeat_s: Seconds = 25.0
    outbox_bytes_max: Positive = 64 << 10
    block_bytes_max: Positive = 32 << 20
    shed_ms: Annotated[float, Meta(gt=0, le=60_000)] = 250.0


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How events become durable.

    Args:
        group_ms: the longest that an append gathers company.
        pending_max: events that may wait for the disk.
        idle_ms: after so long without an event, what waits to be said is said, part by part.
    """

    group_ms: Annotated[float, Meta(ge=0, le=10_000)] = 5.0
    pending_max: Positive = 100_000
    idle_ms: Annotated[float, Meta(gt=0, le=60_000)] = 200.0


class FeedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long messages are kept.

    Args:
        ring_bytes_max: memory for the recent part.
        retention_hours: older messages are deleted.
        retention_bytes: the oldest beyond this are deleted.
    """

    ring_bytes_max: Positive = 64 << 20
    retention_hours: PositiveFloat = 24.0 * 7
    retention_bytes: Positive = 8 << 30


class BookConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The book's database.

    Args:
        path: of the SQLite file; empty where events come by the API alone.
        mapping: TOML file that names the tables and columns of a book which is not of the demo schema; empty for one
            that is.
        poll_ms: how often to look for changes.
        source_timeout_s: after which a silent book no longer holds the watermark back.
        time_zone: IANA name, of the business day.
        day_starts_at: local time, HH:MM:SS.
        currency: of all amounts, ISO 4217; an amount that says it is in another one is set aside.
        week_starts_on: the weekday on which the week of figures and commissions starts.
        online_minutes: how long a customer who has logged in, or placed a wager, and does nothing else is online.
    """

    path: str = ""
    mapping: str = ""
    poll_ms: Annotated[float, Meta(gt=0, le=60_000)] = 5.0
    source_timeout_s: Seconds = 30.0
    time_zone: str = "UTC"
    day_starts_at: Annotated[time, Meta(tz=False)] = time(0)
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "USD"
    week_starts_on: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "tuesday"
    online_minutes: Annotated[float, Meta(gt=0, le=10_080)] = 15.0


class RateConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What a currency is worth from a time on.

    Args:
        rate: the book's major units for one of the currency's, as text: it is used exactly.
        since: from when on; a fact of before the first rate is set aside.
    """

    rate: Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,12}(\.[0-9]{1,12})?\Z")]
    since: Annotated[datetime, Meta(tz=True)]


CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


ODDS: Final = r"^([+-][0-9]{3,9}|[0-9]{1,7}\.[0-9]{1,12}|[0-9]{1,9}/[0-9]{1,9})\Z"


class TeaserConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A teaser that the desk takes.

    Args:
        points: by how many the lines are moved.
        pays: the odds by the number of teams: American with a sign, decimal with a point, or fractional.
        ties: what a tie does: `push` takes the team out, `loss` and `win` count as such.
    """

    points: Annotated[float, Meta(gt=0, le=1_000)]
    pays: dict[Annotated[str, Meta(pattern=r"^[1-9][0-9]?\Z")], Annotated[str, Meta(pattern=ODDS)]]
    ties: Literal["push", "loss", "win"] = "push"


TEASERS: Final = (
    TeaserConfig(6.0, {"2": "-110", "3": "+160", "4": "+265", "5": "+450", "6": "+700"}),
    TeaserConfig(6.5, {"2": "-120", "3": "+145", "4": "+240", "5": "+400", "6": "+600"}),
    TeaserConfig(7.0, {"2": "-130", "3": "+130", "4": "+215", "5": "+350", "6": "+500"}),
)


class DeskConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Commands that act on the book.

    Args:
        over_limit: what becomes of a wager above a limit: `reject`, or `review`: it is held until somebody decides.
        max_wager_minor: what any wager may risk, minor units; 0 is no limit.
        max_to_win_minor: what any wager may win, minor units; 0 is no limit.
        busy_timeout_s: how long a command waits for another writer of the book; then `book_locked`.
        pending_max: commands that may wait; above it `overloaded`.
        keys_days: for how long, at least, a command's key is known; the same key later is a new command.
        teasers: that are taken; one that was accepted keeps its terms.
    """

    over_limit: Literal["reject", "review"] = "reject"
    max_wager_minor: Annotated[int, Meta(ge=0)] = 0
    max_to_win_minor: Annotated[int, Meta(ge=0)] = 0
    busy_timeout_s: Seconds = 2.0
    pending_max: Positive = 1_000
    keys_days: Annotated[int, Meta(gt=0, le=3650)] = 30
    teasers: tuple[TeaserConfig, ...] = TEASERS


class RelayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Topics that are open to any application."""

    open_topics: tuple[TopicName, ...] = ()


class KpiConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Key figures.

    Args:
        documents_max: that one commit group says, besides the whole book's; in a flood the others wait for the next
            one, the longest waiting first. At 60 groups a second each of 200 scopes is said five times a second.
    """

    documents_max: Positive = 16


class FiguresConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Weekly figures and reports.

    Args:
        interval_ms: the least time between two times that documents are said, by the book's own clock.
        documents_max: of weekly figures that are said at a time; up to half are sums of sub-trees, those nearest
            the root first, the others those that have waited longest.
        restate_weeks: ended weeks into which a late fact still counts; one that is later counts on the running day.
    """

    interval_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 2_000
    documents_max: Positive = 400
    restate_weeks: Annotated[int, Meta(ge=1, le=52)] = 5


class CommissionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Commissions.

    Args:
        interval_ms: the least time between two estimates of the running week, by the book's own clock.
    """

    interval_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 60_000


class ExposureConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the figures of exposure may cost.

    Args:
        states_max: of the search for the worst joint outcome of markets that parlays link; beyond it the total is a
            bound, and says so.
        states_step_max: of all first, short searches together in each interval, on average, and half as many of long
            ones; what is not reached is a bound until its turn.
        interval_ms: how often, by the watermark, searches go on and documents are said.
        markets_max: how many markets each scope shows, those that can cost most.
    """

    states_max: Positive = 100_000
    states_step_max: Positive = 4_000
    interval_ms: Positive = 1_000
    markets_max: Annotated[int, Meta(gt=0, le=1_000)] = 50


class LettersConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Dead letters: events that could not be used.

    Args:
        letters_max: open ones; beyond it the oldest leaves the view and is counted, and the log still has its event.
    """

    letters_max: Positive = 1_000


class AuthConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is asking.

    Args:
        key_file: holds the HS256 key; empty is `token.key` in the data folder.
        session_hours: how long a browser stays signed in.
    """

    key_file: str = ""
    session_hours: PositiveFloat = 24.0 * 7


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. `data` is the folder of the log, the feed and the key."""

    data: str = "fire22-data"
    server: ServerConfig = ServerConfig()
    hub: HubConfig = HubConfig()
    log: LogConfig = LogConfig()
    feed: FeedConfig = FeedConfig()
    book: BookConfig = BookConfig()
    currencies: dict[CurrencyCode, tuple[RateConfig, ...]] = {}
    desk: DeskConfig = DeskConfig()
    relay: RelayConfig = RelayConfig()
    kpi: KpiConfig = KpiConfig()
    figures: FiguresConfig = FiguresConfig()
    commission: CommissionConfig = CommissionConfig()
    exposure: ExposureConfig = ExposureConfig()
    letters: LettersConfig = LettersConfig()
    risk: RiskSettings = RiskSettings()  # with a section for each rule
    auth: AuthConfig = AuthConfig()

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def storage(self) -> Path:
        """The file of the log and the feed."""
        return self.folder / "flows.db"

    @property
    def key_file(self) -> Path:
        """The file of the token key."""
        return Path(self.auth.key_file) if self.auth.key_file else self.folder / "token.key"


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration file and the environment.

    Raises:
        SetupError: `config_invalid`, naming every key that is wrong.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = parse_toml(path.read_bytes())
        except OSError as error:
            raise SetupError(codes.CONFIG_INVALID, f"{path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise SetupError(codes.CONFIG_INVALID, f"{path} is not TOML: {error}.") from None
    raw, names = _overlay(raw, environment)
    return convert(raw, names)


def convert(raw: dict[str, Any], names: Mapping[str, str] | None = None) -> Config:
    """Check raw values.

    Args:
        names: of the variables in the environment that keys come from.

    Raises:
        SetupError: `config_invalid`, naming every key that is wrong.
    """
    found = [*problems(raw, Config), *_of_zone(raw)]
    if found:
        told = [f"{each} ({names[each.place]})" if names and each.place in names else each for each in found]
        raise SetupError(codes.CONFIG_INVALID, sentence("The configuration", told))
    return msgspec.convert(raw, Config, strict=True)


def _of_zone(raw: dict[str, Any]) -> list[Problem]:
    book = raw.get("book")
    zone = book.get("time_zone") if isinstance(book, dict) else None
    if isinstance(zone, str):
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return [Problem("book.time_zone", f"there is no {zone}")]
    return []


def _overlay(raw: dict[str, Any], environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values with those of the environment over them, and the names of the variables by key."""
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    names: dict[str, str] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT):
            continue
        section, _, key = name.removeprefix(ENVIRONMENT).lower().partition("__")
        if not key:
            if section == "data":
                result[section] = value
            continue
        inner = result.setdefault(section, {})
        if isinstance(inner, dict):
            inner[key] = _value(value)
            names[f"{section}.{key}"] = name
    return result, names


def _value(text: str) -> object:
    """A value from the environment: TOML where it is some, else a string."""
    try:
        return parse_toml(f"value = {text}".encode())["value"]
    except ValueError:
        return text
