"""The commands `audit verify`, `audit export`, `audit head` and `audit proof`; also while a server runs."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import apsw
import msgspec
import typer

from fire22 import app as application
from fire22.cli.settings import override
from fire22.cli.terminal import ConfigOption, out, program, told
from fire22.core import codes
from fire22.core.audit import Audited, Head
from fire22.core.errors import SetupError
from fire22.core.times import to_text
from fire22.flows import audit_check
from fire22.flows.audit_check import Entry, Read
from fire22.log.cipher import read_cipher
from fire22.log.maintenance import one_moment
from fire22.security.heads import is_signed, public_key

DataOption = Annotated[Path | None, typer.Option("--data", help="Overrides `data`.")]

audit = typer.Typer(no_args_is_help=True, help="Verify and export the audit trail of a data folder.")
program.add_typer(audit, name="audit")
_encode = msgspec.json.Encoder().encode


@audit.command()
def verify(
    config: ConfigOption = None,
    data: DataOption = None,
    head: Annotated[Path | None, typer.Option(help="A head that `audit head` printed before, kept elsewhere.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The public key (hexadecimal) of the trail; by default that of the folder.")
    ] = None,
) -> None:
    """Recompute the audit trail from the log, and compare it with its documents and signed heads."""
    with told():
        if key is not None and not key.strip():
            raise SetupError(codes.CONFIG_INVALID, "--key is empty; leave it out to go by the folder's own key.")
    with told(), _trail(config, data) as (connection, found, folder):
        kept = None if head is None else _read_head(head)
        audit_check.check(connection, found, is_signed=is_signed, key=key or public_key(folder), kept=kept)
        signed = max((each.size for _, each in found.heads), default=0)
        line = f"audit: ok, {len(found.entries):,} entries, {signed:,} of them under {len(found.heads):,} signed heads"
        out.print(line, highlight=False)


@audit.command()
def head(config: ConfigOption = None, data: DataOption = None) -> None:
    """Print the newest signed head, to be kept elsewhere."""
    with told(), _trail(config, data) as (_, found, _):
        print(_encode(_newest(found)).decode())


@audit.command()
def proof(
    number: Annotated[int | None, typer.Argument(min=1, help="Of the entry.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    since: Annotated[
        int | None, typer.Option("--from", min=1, help="Instead: prove that the first SIZE entries are the same.")
    ] = None,
) -> None:
    """Print an entry with the proof that the newest head includes it, or that the trail has only grown (RFC 9162)."""
    with told(), _trail(config, data) as (_, found, _):
        if (number is None) is (since is None):
            raise SetupError(codes.CONFIG_INVALID, "Name the number of an entry, or a size with --from.")
        newest = _newest(found)
        if (number or since or 0) > newest.size:
            raise SetupError(codes.NOT_FOUND, f"The newest signed head is of {newest.size} entries.")
        if number is not None:
            print(_encode(_exported(found.entries[number - 1], found, newest) | {"head": newest}).decode())
        elif since is not None:
            print(_encode(_grown(found, since, newest)).decode())


@audit.command()
def export(
    config: ConfigOption = None,
    data: DataOption = None,
    format: Annotated[str, typer.Option(help="json (a line for each entry, with its proof) or csv.")] = "json",
) -> None:
    """Print every entry; with proofs for those that a signed head includes."""
    with told(), _trail(config, data) as (_, found, _):
        if format not in ("json", "csv"):
            raise SetupError(codes.CONFIG_INVALID, f"--format is json or csv, not {format}.")
        newest = _newest(found) if found.heads else None
        if format == "json":
            for entry in found.entries:
                sys.stdout.buffer.write(_encode(_exported(entry, found, newest)) + b"\n")
            return
        names = [field.encode_name for field in msgspec.structs.fields(Audited)]
        writer = csv.writer(sys.stdout, lineterminator="\r\n")
        writer.writerow(["number", "at", *names, "hash", "chain"])
        for entry in found.entries:
            row = msgspec.to_builtins(msgspec.json.decode(entry.event.data))
            values = [_cell(row.get(name, "")) for name in names]
            writer.writerow([entry.number, to_text(entry.event.at_ms), *values, entry.hash.hex(), entry.chain.hex()])


@contextmanager
def _trail(config: Path | None, data: Path | None) -> Iterator[tuple[apsw.Connection, Read, Path]]:
    settings = override(application.load(config), data, None, None, None, ())
    if not settings.storage.is_file():
        raise SetupError(codes.NOT_FOUND, f"There is no log at {settings.storage}.")
    with one_moment(settings.storage, read_cipher(settings.encryption.key_file)) as connection:
        yield connection, audit_check.read(connection), settings.folder


def _newest(found: Read) -> Head:
    if not found.heads:
        raise SetupError(codes.NOT_FOUND, "No head has been signed yet; the server signs one within a minute.")
    return max((head for _, head in found.heads), key=lambda each: each.size)


def _read_head(path: Path) -> Head:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Head)
    except (OSError, msgspec.MsgspecError):
        raise SetupError(codes.CONFIG_INVALID, f"{path} is not a head that `fire22 audit head` printed.") from None


def _exported(entry: Entry, found: Read, newest: Head | None) -> dict[str, object]:
    told: dict[str, object] = {
        "number": entry.number,
        "id": entry.event.id,
        "atMs": entry.event.at_ms,
        "entry": entry.event.data,
        "hash": entry.hash.hex(),
        "chain": entry.chain.hex(),
    }
    if newest is not None and entry.number <= newest.size:
        told["size"] = newest.size
        told["proof"] = [each.hex() for each in found.tree.inclusion(entry.number - 1, newest.size)]
    return told


def _grown(found: Read, earlier: int, newest: Head) -> dict[str, object]:
    """What shows to who kept an earlier head that the newest one begins with its entries."""
    proof = [each.hex() for each in found.tree.consistency(earlier, newest.size)]
    return {"from": earlier, "fromRoot": found.tree.root(earlier).hex(), "proof": proof, "head": newest}


def _cell(value: object) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = value if isinstance(value, str) else _encode(value).decode()
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") else text
