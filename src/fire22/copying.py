"""The command `backup` as a script gives it, without what makes a terminal pleasant.

Loading that takes longer than the copying. Help, mistakes and a person who watches are left to `cli/backups.py`.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fire22.core import codes
from fire22.core.errors import Fire22Error, SetupError
from fire22.log import maintenance

NICE: Final = 5  # the server goes first ...
NICE_AFTER_S: Final = 1.0  # ... after so long


def run(arguments: Sequence[str]) -> bool:
    """Copy, where the arguments say that and nothing else and nobody watches; whether that was so."""
    paths = _paths(arguments)
    if paths is None or sys.stderr.isatty():
        return False
    data, target = paths
    try:
        maintenance.backup(data / "flows.db", target, yielding())
    except Fire22Error as error:
        _tell(error)
        raise SystemExit(1) from None
    try:
        print(f"Wrote {target}.", flush=True)
    except OSError as error:
        sys.stdout = None  # nothing more can be written there
        if not isinstance(error, BrokenPipeError):
            _tell(SetupError(codes.OUTPUT_FAILED, f"The output cannot be written: {error.strerror}."))
        raise SystemExit(1) from None
    return True


def yielding(seconds: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """Lets the server go first, for a copy that takes long: one that is over in a moment holds nobody up, and would
    itself wait for all else on a busy machine.

    Returns:
        What is called again and again while a copy is made.
    """
    began_s = seconds()
    is_nice = False

    def told(_done: int, _all: int) -> None:
        nonlocal is_nice
        if not is_nice and seconds() > began_s + NICE_AFTER_S:
            is_nice = True
            os.nice(NICE)

    return told


def _tell(error: Fire22Error) -> None:
    print(f"fire22: {error.message}\nerror code: {error.code.name}", file=sys.stderr)


def _paths(arguments: Sequence[str]) -> tuple[Path, Path] | None:
    """The data folder and the target of `backup --data FOLDER TARGET`, in either order; None of anything else."""
    match arguments:
        case ("backup", "--data", data, target) | ("backup", target, "--data", data):
            found = data, target
        case _:
            return None
    return None if any(not each or each.startswith("-") for each in found) else (Path(data), Path(target))
