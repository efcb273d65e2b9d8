"""The commands `rekey`, for encryption at rest, and `erase`, which destroys a customer's key."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from fire22 import app as application
from fire22.cli.noting import note
from fire22.cli.settings import override
from fire22.cli.terminal import ConfigOption, err, out, program, told
from fire22.core import codes
from fire22.core.errors import SetupError
from fire22.log.cipher import read_cipher
from fire22.log.people import NAME as PEOPLE
from fire22.log.people import People
from fire22.log.rekey import rekey as encrypt_anew
from fire22.process import locked
from fire22.store.sqlite import NAME as STORE
from fire22.store.sqlite import rekey as encrypt_store


@program.command()
def rekey(
    config: ConfigOption = None, data: Annotated[Path | None, typer.Option("--data", help="Overrides `data`.")] = None
) -> None:
    """Encrypt by the newest key whatever in the log's file and the store is not; no server may run on it."""
    with told():
        settings = override(application.load(config), data, None, None, None, ())
        if not settings.storage.is_file():
            raise SetupError(codes.NOT_FOUND, f"There is no log at {settings.storage}.")
        with locked(settings.folder), Progress(console=err, transient=True) as progress:
            task = progress.add_task("Encrypting", total=None)
            cipher = read_cipher(settings.encryption.key_file)
            count = encrypt_anew(settings.storage, cipher, lambda done: progress.update(task, completed=done))
            if (store := settings.folder / STORE).is_file():
                count += encrypt_store(store, cipher)
            if (settings.folder / PEOPLE).is_file():
                people = People(settings.folder, cipher)
                count += people.encrypt_anew()
                people.close()
        note(settings.folder, "data.rekeyed", after={"rows": count}, key_file=settings.encryption.key_file)
        out.print(f"Encrypted {count:,} rows by the newest key; earlier backups hold them as they were.")


@program.command()
def erase(
    customer: Annotated[str, typer.Argument(help="The customer's id, as clients see it.")],
    config: ConfigOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Overrides `data`.")] = None,
) -> None:
    """Destroy the key of a customer's name: figures and orders stay, the name reads "erased"; no server may run."""
    with told():
        settings = override(application.load(config), data, None, None, None, ())
        if not (settings.folder / PEOPLE).is_file():
            message = f"The names in {settings.folder} are not sealed: see `personal.erasable`."
            raise SetupError(codes.NOT_FOUND, message)
        with locked(settings.folder):
            people = People(settings.folder, read_cipher(settings.encryption.key_file))
            try:
                people.erase(customer)
            finally:
                people.close()
        note(settings.folder, "customer.erased", target=customer, key_file=settings.encryption.key_file)
        out.print(f"Erased {customer}; backups hold the key until they are deleted.", markup=False, highlight=False)
