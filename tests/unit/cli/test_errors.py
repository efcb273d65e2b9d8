"""What a person types wrongly, and what the program says: one sentence, a code, and no traceback."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fire22.cli import program


def said(*arguments: object) -> str:
    """What a command that must fail says."""
    result = CliRunner().invoke(program, [str(each) for each in arguments])
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert "error code: config_invalid" in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("hours", ["nan", "inf", "0", "-1", "1e12"])
def test_hours_of_a_token(tmp_path: Path, hours: str) -> None:
    """A token ends, and not before it begins."""
    assert "--hours is more than 0" in said("token", "--data", tmp_path, f"--hours={hours}")


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_port_that_there_is_not(tmp_path: Path, command: str) -> None:
    """An option is held to the same limits as the key that it overrides, before anything is made."""
    assert "server.port: Expected `int` <= 65535" in said(command, "--data", tmp_path / "data", "--port", 70_000)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("topic", "answer"), [("Bad!", "relay.open_topics[0]"), ("kpi", "the book's own"), ("agents", "the book's own")]
)
def test_open_topics(tmp_path: Path, topic: str, answer: str) -> None:
    """A topic that is opened has a name of its own."""
    assert answer in said("serve", "--data", tmp_path, "--open-topic", topic)
    config = tmp_path / "fire22.toml"
    config.write_text(f'[relay]\nopen_topics = ["{topic}"]\n')
    assert answer in said("check", "-c", config, "--data", tmp_path)


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://"])
def test_address_of_no_server(url: str) -> None:
    """What cannot be a server's address is said before anything is tried."""
    assert "is not the address of a server" in said("tail", "kpi", "--url", url, "--token", "x")


def test_every_mistake_of_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    """Who has written five things wrongly corrects five things, and starts the program once."""
    config = tmp_path / "fire22.toml"
    config.write_text(
        "daat = 1\n[server]\nprot = 80\nhost = 5\n[hub]\nheartbeat_s = '25s'\n[book]\ntime_zone = 'Mars/Olympus'\n"
        "[relay]\nopen_topics = ['fine', 'Bad!', 7]\n[risk.velocity]\nenabld = false\n"
    )
    told = said("check", "-c", config)
    assert "not valid in 8 places" in told
    for each in (
        "daat: there is no such key; did you mean data?",
        "server.prot: there is no such key; did you mean server.port?",
        "server.host: Expected `str`, got `int`",
        "hub.heartbeat_s: Expected `float`, got `str`",
        "relay.open_topics[1]: Expected `str` matching",
        "relay.open_topics[2]: Expected `str`, got `int`",
        "risk.velocity.enabld: there is no such key",
        "book.time_zone: there is no Mars/Olympus",
    ):
        assert each in told


def test_what_was_typed_is_shown_as_it_was_typed(tmp_path: Path) -> None:
    """Brackets in an argument are no markup of the terminal."""
    assert "There is no role [/red];" in said("token", "--data", tmp_path, "--role", "[/red]")
