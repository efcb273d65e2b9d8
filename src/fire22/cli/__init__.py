"""The program: arguments, and what a person sees in the terminal. The only place that configures logging.

`terminal.py` has what all commands share; the others have the commands, in the order in which the help lists them.
"""

from fire22.cli import running, access, books, storage  # isort: skip
from fire22.cli.terminal import printed, program

__all__ = ["access", "books", "main", "program", "running", "storage"]


def main() -> None:
    """The entry point."""
    with printed():
        program()
