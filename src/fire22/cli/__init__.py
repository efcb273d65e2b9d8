"""The program: arguments, and what a person sees in the terminal. The only place that configures logging.

In reading order: `terminal.py` (what all commands share) and `settings.py` (the configuration as arguments change it),
`noting.py` (what was done, for the audit trail);
the commands in the order in which the help lists them: `running.py`, `access.py`, `roles.py`, `users.py`, `books.py`
with `reconcile.py`, `storage.py`, `encryption.py`, `audit.py`, `backups.py`. A backup loads its own command alone: it
should take little longer than the copying.
"""

import sys

from fire22.cli.terminal import printed, program

if sys.argv[1:2] != ["backup"]:
    from fire22.cli import running, access, roles, users, books, storage, encryption, audit  # noqa: F401  # isort: skip

from fire22.cli import backups  # noqa: F401  # isort: skip

__all__ = ["main", "program"]


def main() -> None:
    """The entry point."""
    with printed():
        program()
