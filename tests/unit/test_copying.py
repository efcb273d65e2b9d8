"""The command `backup` as a script gives it."""

import os
from pathlib import Path

import pytest

from fire22 import copying
from fire22.log.file import open_file
from fire22.log.maintenance import check


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with an empty log."""
    monkeypatch.setattr(os, "nice", lambda _: 0)
    folder = tmp_path / "data"
    folder.mkdir()
    open_file(folder / "flows.db").close()
    return folder


def test_a_script_is_told_what_was_written(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Either order of the arguments makes a backup, and says where it is."""
    for number, order in enumerate(("folder first", "target first")):
        target, option = str(tmp_path / f"copy{number}"), ["--data", str(data)]
        arguments = [*option, target] if order == "folder first" else [target, *option]
        assert copying.run(["backup", *arguments])
        assert capsys.readouterr().out == f"Wrote {target}.\n"
        assert check(Path(target)).events == 0


def test_a_script_is_told_why_not(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A backup is never written over something; the sentence, the code and the status say so."""
    (tmp_path / "copy").write_bytes(b"there")
    with pytest.raises(SystemExit) as ended:
        copying.run(["backup", "--data", str(data), str(tmp_path / "copy")])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("fire22: There is a file at ") and told.endswith("error code: config_invalid\n")


def test_a_copy_that_takes_long_lets_the_server_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short one does not wait for what else the machine does; a long one makes way, once."""
    asked: list[int] = []
    monkeypatch.setattr(os, "nice", asked.append)
    now_s = [100.0]
    told = copying.yielding(lambda: now_s[0])
    for now_s[0], nice in ((100.5, []), (101.0, []), (101.1, [copying.NICE]), (200.0, [copying.NICE])):
        told(1, 2)
        assert asked == nice


@pytest.mark.parametrize(
    "arguments",
    [
        ["backup"],
        ["backup", "--help"],
        ["backup", "--data", "folder"],
        ["backup", "--data", "folder", "--help"],
        ["backup", "--data", "", "target"],
        ["backup", "--data", "folder", "target", "more"],
        ["serve", "--data", "folder", "target"],
    ],
)
def test_the_rest_is_left_to_the_program(arguments: list[str]) -> None:
    """Help and mistakes are told as by every other command."""
    assert not copying.run(arguments)
