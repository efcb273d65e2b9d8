"""The configuration: defaults, TOML, the environment, and errors that name the key."""

from datetime import time
from pathlib import Path
from typing import Any

import pytest

from fire22.app import convert, load
from fire22.core.errors import SetupError


def refusal(raw: dict[str, Any]) -> str:
    """What is said about a configuration that is wrong."""
    with pytest.raises(SetupError) as caught:
        convert(raw)
    assert caught.value.code.name == "config_invalid"
    return caught.value.message


def test_defaults() -> None:
    """Without a file the program runs on this machine alone, with every limit set."""
    config = load(None, {})
    assert config == convert({})
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)
    assert (config.server.connections_user_max, config.server.connections_address_max) == (1_000, 0)
    assert (config.server.handshake_timeout_s, config.server.auth_timeout_s) == (10, 10)
    assert config.hub.heartbeat_s == 25
    assert config.storage == Path("fire22-data/flows.db")
    assert config.key_file == Path("fire22-data/token.key")


def test_file(tmp_path: Path) -> None:
    """A file sets what it names and leaves the rest."""
    path = tmp_path / "fire22.toml"
    path.write_text(
        'data = "/srv/fire22"\n[server]\nport = 0\nstall_s = 30\n[book]\npath = "book.db"\n'
        'time_zone = "America/New_York"\nday_starts_at = 06:30:00\n[relay]\nopen_topics = ["bench", "x-1"]\n'
        '[auth]\nkey_file = "/etc/key"\n'
    )
    config = load(path, {})
    assert (config.folder, config.key_file) == (Path("/srv/fire22"), Path("/etc/key"))
    assert (config.server.port, config.server.stall_s, config.server.host) == (0, 30.0, "127.0.0.1")
    assert (config.domain.book.time_zone, config.domain.book.day_starts_at) == ("America/New_York", time(6, 30))
    assert config.relay.open_topics == ("bench", "x-1")


def test_environment(tmp_path: Path) -> None:
    """The environment overrides the file, key by key, whatever its letters' case; other variables are left alone."""
    path = tmp_path / "fire22.toml"
    path.write_text('data = "one"\n[server]\nport = 1\nhost = "a"\n')
    config = load(
        path,
        {
            "FIRE22_DATA": "two words",
            "FIRE22_SERVER__PORT": "99",
            "FIRE22_HUB__HEARTBEAT_S": "2.5",
            "fire22_server__port": "7",
            "FIRE22_BOOK__TIME_ZONE": "Europe/Paris",
            "FIRE22_BOOK__DAY_STARTS_AT": "06:00:00",
            "FIRE22_RELAY__OPEN_TOPICS": '["bench"]',
            "FIRE22_TOKEN": "eyJ",
            "PATH": "/bin",
        },
    )
    assert (config.data, config.server.port, config.server.host) == ("two words", 99, "a")
    book = config.domain.book
    assert (config.hub.heartbeat_s, book.time_zone, book.day_starts_at) == (2.5, "Europe/Paris", time(6))
    assert config.relay.open_topics == ("bench",)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"serve": {}}, "serve: there is no such key; did you mean server?"),
        ({"server": {"prot": 1}}, "server.prot: there is no such key; did you mean server.port?"),
        ({"hub": {"heartbeat_ms": 25_000}}, "hub.heartbeat_ms: there is no such key; did you mean hub.heartbeat_s?"),
        ({"feed": {"retention_h": 7}}, "feed.retention_h: there is no such key; did you mean feed.retention_hours?"),
        ({"log": {"xyzzy": 1}}, "log.xyzzy: there is no such key; known are: group_ms, pending_max"),
    ],
)
def test_unknown_keys(raw: dict[str, Any], said: str) -> None:
    """A key that does not exist is named, with the nearest one that does."""
    assert said in refusal(raw)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"data": 5}, "data"),
        ({"server": 5}, "server"),
        ({"server": {"port": "80"}}, "server.port"),
        ({"server": {"port": 65_536}}, "server.port"),
        ({"server": {"port": -1}}, "server.port"),
        ({"server": {"port": 80.5}}, "server.port"),
        ({"server": {"subscriptions_max": 0}}, "server.subscriptions_max"),
        ({"server": {"connections_user_max": -1}}, "server.connections_user_max"),
        ({"server": {"connections_address_max": "many"}}, "server.connections_address_max"),
        ({"server": {"handshake_timeout_s": 0}}, "server.handshake_timeout_s"),
        ({"server": {"message_bytes_max": "1MB"}}, "server.message_bytes_max"),
        ({"server": {"drain_s": -1}}, "server.drain_s"),
        ({"hub": {"heartbeat_s": "25s"}}, "hub.heartbeat_s"),
        ({"hub": {"heartbeat_s": 0}}, "hub.heartbeat_s"),
        ({"hub": {"heartbeat_s": 25_000_000}}, "hub.heartbeat_s"),
        ({"hub": {"heartbeat_s": float("inf")}}, "hub.heartbeat_s"),
        ({"hub": {"heartbeat_s": float("nan")}}, "hub.heartbeat_s"),
        ({"hub": {"flush_interval_ms": True}}, "hub.flush_interval_ms"),
        ({"feed": {"retention_hours": float("inf")}}, "feed.retention_hours"),
        ({"book": {"path": ["a"]}}, "book.path"),
        ({"book": {"time_zone": "Mars/Olympus"}}, "book.time_zone"),
        ({"book": {"time_zone": "Europe"}}, "book.time_zone"),
        ({"book": {"time_zone": ""}}, "book.time_zone"),
        ({"book": {"time_zone": "/etc/passwd"}}, "book.time_zone"),
        ({"book": {"time_zone": "../UTC"}}, "book.time_zone"),
        ({"book": {"day_starts_at": "6am"}}, "book.day_starts_at"),
        ({"book": {"day_starts_at": "06:00:00Z"}}, "book.day_starts_at"),
        ({"relay": {"open_topics": "bench"}}, "relay.open_topics"),
        ({"relay": {"open_topics": ["Bad Name"]}}, "relay.open_topics[0]"),
        ({"relay": {"open_topics": ["bench\n"]}}, "relay.open_topics[0]"),
    ],
)
def test_wrong_values(raw: dict[str, Any], key: str) -> None:
    """A wrong type, unit or range is said with the key first."""
    assert refusal(raw).startswith(f"The configuration is not valid: {key}: ")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"book": {"week_starts_on": "Tuesdy"}}, "there is no Tuesdy; known are: monday, tuesday, wednesday,"),
        ({"desk": {"over_limit": "maybe"}}, "there is no maybe; known are: reject, review"),
        ({"desk": {"over_limit": 5}}, "there is no 5; known are: reject, review"),
    ],
)
def test_a_value_of_a_list_is_told_with_the_list(raw: dict[str, Any], said: str) -> None:
    """Who mistypes one of a few words reads which words there are."""
    assert said in refusal(raw)


def test_wrong_environment() -> None:
    """A wrong value in the environment is named by the key that it overrides."""
    for name, value, said in (
        ("FIRE22_SERVER__PORT", "eighty", "server.port: Expected `int`, got `str` (FIRE22_SERVER__PORT)"),
        (
            "FIRE22_SERVER__PROT",
            "80",
            "did you mean server.port? (FIRE22_SERVER__PROT)",
        ),
        ("FIRE22_SERVR__PORT", "80", "servr: there is no such key; did you mean server?"),
    ):
        with pytest.raises(SetupError) as caught:
            load(None, {name: value})
        assert said in caught.value.message


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, and what is not TOML are told apart."""
    (tmp_path / "bad.toml").write_text("data = ")
    (tmp_path / "latin.toml").write_bytes(b'data = "\xe9"')
    for path, said in (
        (tmp_path / "missing.toml", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "bad.toml", "is not TOML"),
        (tmp_path / "latin.toml", "is not TOML"),
    ):
        with pytest.raises(SetupError, match=said) as caught:
            load(path, {})
        assert str(path) in caught.value.message


def test_byte_order_mark(tmp_path: Path) -> None:
    """An editor that puts a byte order mark before a file, as those of Windows do, makes no difference."""
    path = tmp_path / "fire22.toml"
    path.write_bytes(b"\xef\xbb\xbfdata = 'B\xc3\xbcro'\n")
    assert load(path, {}).data == "Büro"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("auth", "session_hours", 1e9), ("hub", "outbox_bytes_max", 10**18), ("feed", "retention_bytes", 10**18),
     ("server", "connections_max", 10**18), ("server", "message_bytes_max", 10**18)],
)  # fmt: skip
def test_a_number_that_nobody_means(section: str, key: str, value: float) -> None:
    """A limit that limits nothing is a mistake of who wrote it, and is named."""
    with pytest.raises(SetupError, match=f"{section}.{key}"):
        convert({section: {key: value}})
