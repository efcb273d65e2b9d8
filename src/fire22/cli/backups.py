"""The command `backup`, for a person who watches; as a script gives it: `copying.py`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from fire22.cli.terminal import DataOption, err, out, program, told
from fire22.copying import NICE
from fire22.log import maintenance


@program.command()
def backup(data: DataOption, target: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Copy the log and the feed, also while a server runs on them."""
    with told():
        os.nice(NICE)
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("Copying", total=None)
            maintenance.backup(
                data / "flows.db", target, lambda done, pages: progress.update(task, completed=done, total=pages)
            )
        out.print(f"Wrote {target}.", highlight=False)
