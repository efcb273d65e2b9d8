"""Notes in the audit trail what a command of the program has done."""

from collections.abc import Mapping
from pathlib import Path

from fire22 import app as application
from fire22.cli.terminal import err
from fire22.core.errors import Fire22Error
from fire22.core.message import Json
from fire22.log.cipher import read_cipher
from fire22.security.leaving import left
from fire22.store.sqlite import NAME, write_now


def note(
    data: Path, action: str, *, target: str = "", after: Mapping[str, Json] | None = None, key_file: str | None = None
) -> None:
    """Leave a note for the server on a data folder. Where none can be left, say so: what was done stays done.

    Args:
        key_file: of the encryption at rest; None is as the environment says.
    """
    try:
        cipher = read_cipher(application.load(None).encryption.key_file if key_file is None else key_file)
        now_ms = application.now_ms()
        row = left(action, target=target, after=after, now_ms=now_ms)
        write_now(data / NAME, row, now_ms=now_ms, cipher=cipher)
    except (Fire22Error, OSError, ValueError) as error:  # a path may be no text
        err.print(
            f"It is done, but the audit trail does not say so ({action} {target}): {error}",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
