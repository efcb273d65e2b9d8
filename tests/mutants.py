"""Breaks central conditions one by one, and says which of them no test notices: `make mutants`.

`mutants.toml` lists them: a file, a text that stands in it once, what stands there instead, and the tests that should
fail then. It works in a copy of the tree, after the same tests have passed there unbroken. It ends with 1 where a
mutant lives, or where the list is no longer true of the code.

    .venv/bin/python -m tests.mutants             all of them
    .venv/bin/python -m tests.mutants hub desk    those whose file or reason has one of the words
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

ROOT: Final = Path(__file__).parents[1]
LEFT_OUT: Final = shutil.ignore_patterns(".*", "node_modules", "__pycache__", "*-data", "demo-data", "full.log")
SECONDS_MAX: Final = 240  # a mutant that makes a test wait for ever is noticed as well
FAILED: Final = 1  # pytest's exit status where tests failed


class Mutant(Struct, frozen=True, forbid_unknown_fields=True):
    """One change that some test must notice.

    Args:
        breaks: what the program no longer does then, for whoever finds that nothing noticed.
        tests: arguments for pytest.
    """

    breaks: str
    file: str
    was: str
    now: str
    tests: list[str]


class _List(Struct, forbid_unknown_fields=True):
    mutant: list[Mutant]


def listed() -> list[Mutant]:
    """All of them."""
    return msgspec.toml.decode((ROOT / "tests" / "mutants.toml").read_bytes(), type=_List).mutant


def main(words: list[str]) -> int:
    """Run them; returns the exit status."""
    wanted = [each for each in listed() if not words or any(word in f"{each.file} {each.breaks}" for word in words)]
    alive = []
    with tempfile.TemporaryDirectory(prefix="fire22-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        if _test(tree, list(dict.fromkeys(test for each in wanted for test in each.tests)), SECONDS_MAX * 5):
            print("The tests fail before anything is broken.")
            return 1
        for number, mutant in enumerate(wanted, 1):
            began_s = time.monotonic()
            verdict = _try(tree, mutant)
            if verdict != "noticed":
                alive.append(mutant)
            print(
                f"{number:3} {verdict:8} {time.monotonic() - began_s:5.1f} s  {mutant.file}: {mutant.breaks}",
                flush=True,
            )
    print(f"{len(wanted) - len(alive)} of {len(wanted)} noticed")
    return 1 if alive else 0


def _try(tree: Path, mutant: Mutant) -> str:
    """`noticed`, `lives`, or `stale`: the text does not stand there once, or its tests cannot be run."""
    file = tree / mutant.file
    text = file.read_text()
    if text.count(mutant.was) != 1:
        return "stale"
    file.write_text(text.replace(mutant.was, mutant.now))
    try:
        status = _test(tree, mutant.tests)
    finally:
        file.write_text(text)
    return {FAILED: "noticed", 0: "lives"}.get(status, "stale")


def _test(tree: Path, tests: list[str], seconds_max: float = SECONDS_MAX) -> int:
    """The tests' exit status in the changed tree; theirs is the code that is imported, not that of the installation."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=1", *tests]
    paths = os.pathsep.join((str(tree / "src"), str(tree)))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False, timeout=seconds_max)
    except subprocess.TimeoutExpired:
        return FAILED
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
