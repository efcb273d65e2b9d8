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
