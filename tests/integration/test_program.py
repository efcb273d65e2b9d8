"""The program as a stranger meets it: the wheel in an environment of its own, real processes and pipes, a full disk."""

import asyncio
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from fire22 import __version__ as fire22_version
from fire22.log.file import open_file
from tests.integration.processes import Server, free_port, serving, started

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")


def fire22(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    command = [sys.executable, "-m", "fire22", *map(str, arguments)]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(command, text=True, timeout=150, check=False, **settings)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as it would be published."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with an empty log."""
    folder = tmp_path / "data"
    folder.mkdir()
    open_file(folder / "flows.db").close()
    return folder


def test_without_the_extra_the_program_names_it(wheel: Path, tmp_path: Path) -> None:
    """Who has installed the package alone has the Python client; `fire22` prints its version, and for all else what
    to install, without a traceback."""
    home, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True)
    [packages] = (home / "lib").glob("python*/site-packages")
    for name in ("msgspec", "websockets"):  # what a plain install brings with it
        found = find_spec(name)
        assert found is not None and found.origin is not None
        (packages / name).symlink_to(Path(found.origin).parent)
    for command in ([str(home / "bin" / "fire22")], [str(python), "-m", "fire22", "demo"]):
        done = subprocess.run(command, cwd=empty, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "pip install 'fire22-flows[server]'" in done.stderr
        assert "Traceback" not in done.stderr
    for command in ([str(home / "bin" / "fire22")], [str(python), "-m", "fire22"]):
        done = subprocess.run([*command, "--version"], cwd=empty, capture_output=True, text=True, check=True)
        assert done.stdout == f"fire22 {fire22_version}\n"
    client = "from fire22.client import connect; connect('http://127.0.0.1:1')"
    subprocess.run([str(python), "-c", client], cwd=empty, check=True)
    assert "pip install 'fire22-flows[server]'" in (ROOT / "README.md").read_text()


def test_the_wheel_holds_what_the_server_serves(wheel: Path) -> None:
    """The page, the JavaScript client that it uses, the types, the licences and the book's schema are in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for each in ("dashboard/index.html", "dashboard/address.js", "dashboard/client/index.js", "py.typed"):
        assert f"fire22/{each}" in names
    assert {"fire22/dashboard/vendor/preact.LICENSE", "fire22/sportsbook/book/schema/triggers.sql"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [("token", ""), ("token", "1"), ("report", ""), ("check", ""), ("--version", "1"), ("--help", "")],
)
def test_a_full_disk_is_said(data: Path, command: str, unbuffered: str) -> None:
    """Output that could not be written is one sentence and a code, and the exit status is not that of success."""
    arguments = [command] if command.startswith("-") else [command, "--data", data]
    if command == "report":
        arguments.append("--help")
    with FULL.open("w") as full:
        done = fire22(*arguments, stdout=full, env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 1
    assert done.stderr == (
        "fire22: The output cannot be written: No space left on device.\nerror code: output_failed\n"
    )


@pytest.mark.parametrize("command", ["token", "check", "--help"])
def test_a_reader_that_went_away_is_no_error(data: Path, command: str) -> None:
    """Behind `| true` or `| head` the program ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [command] if command.startswith("-") else [command, "--data", data]
    with os.fdopen(writer, "w") as gone:
        done = fire22(*arguments, stdout=gone)
    assert (done.returncode, done.stderr) == (1, "")


async def test_tail_ends_behind_head(tmp_path: Path) -> None:
    """`fire22 tail … | head -1` ends, without a word, once `head` has its line."""
    async with serving(Server("demo", tmp_path / "demo", "--rate", "40")) as demo:
        tail = f"{sys.executable} -m fire22 tail wagers --data {demo.data} --url {demo.url}"
        shell = ["bash", "-c", f"{tail} | head -1; echo ${{PIPESTATUS[0]}}"]
        done = await asyncio.to_thread(subprocess.run, shell, capture_output=True, text=True)
    line, status = done.stdout.splitlines()
    assert line.startswith("{")
    assert status == "1"
    assert "Traceback" not in done.stderr


def test_tail_ends_where_no_server_answers() -> None:
    """After its attempts `fire22 tail` ends with a code, so that a script can go on."""
    url = f"http://127.0.0.1:{free_port()}"
    done = fire22("tail", "wagers", "--token", "x", "--url", url, "--attempts", "2")
    assert done.returncode == 1
    assert done.stderr.count("No server answers at") == 1
    assert "error code: unreachable" in done.stderr
    assert done.stderr.count("next attempt in") == 1


def test_a_server_that_listens_everywhere_says_so(tmp_path: Path) -> None:
    """`host = ""` is every address of the machine; nobody is open to the network without having been told."""
    config = tmp_path / "fire22.toml"
    config.write_text(f'data = "{tmp_path}/data"\n[server]\nhost = ""\nport = 0\n')
    log = tmp_path / "log"
    with started("serve", "-c", config, until="Sign in with", stderr=log) as said:
        assert "Listens on every address of this machine, port" in said
    assert '"on": "every address of this machine"' in log.read_text()
    config.write_text(f'data = "{tmp_path}/data"\n[server]\nport = 0\n')
    with started("serve", "-c", config, until="Sign in with", stderr=log) as said:
        assert "every address" not in said


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_server_whose_log_lines_cannot_be_written_goes_on(tmp_path: Path) -> None:
    """A full disk under the server's log lines costs the lines alone."""
    with started("serve", "--data", tmp_path / "data", "--port", 0, until="Sign in with", stderr=FULL) as said:
        assert "Sign in with http://127.0.0.1:" in said
