"""The parts of the pages that the code knows best: settings, error codes, the schema of mappings, the metrics.

Descriptions come from the docstrings of the structs. One that is missing is an error, so nothing stays undocumented.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, get_args, get_origin

import msgspec
from msgspec import NODEFAULT
from msgspec import inspect as types

from fire22.config import Config
from fire22.core import codes
from fire22.core.codes import Code
from fire22.core.errors import RequestError
from fire22.gateways.errors import http_status
from fire22.sportsbook.book.schema.columns import KEYS, NEEDED, TABLES, Column, Kind
from fire22.sportsbook.book.schema.mapping import BookMapping, ColumnMapping, TableMapping
from fire22.sportsbook.book.schema.operations import FUNCTIONS
from fire22.sportsbook.settings import Settings


class DocumentError(Exception):
    """Something that a reader needs is not described in the code."""


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def descriptions(kind: type) -> dict[str, str]:
    """What the docstrings of a struct and its bases say of each field."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("\nArgs:\n")[2]
        block = re.split(r"\n\S", f"\n{text}")[0]
        for entry in re.split(r"\n    (?=\S)", block):
            names, _, said = " ".join(entry.split()).partition(": ")
            found.update({name.strip(): said for name in names.split(",") if said})
    return found


def fields(kind: type) -> Iterator[tuple[types.Field, str]]:
    """The fields of a struct, each with its description.

    Raises:
        DocumentError: a field has none.
    """
    said = descriptions(kind)
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    for field in info.fields:
        if isinstance(field.type, types.StructType):
            yield field, first_sentence(field.type.cls)
        elif field.name not in said:
            raise DocumentError(f"{kind.__module__}.{kind.__name__} does not describe `{field.name}`.")
        else:
            yield field, sentence(said[field.name])


def first_sentence(kind: type) -> str:
    """The first line of a docstring."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def sentence(text: str) -> str:
    """A description as a table shows it."""
    return text[:1].upper() + text[1:].rstrip(".")


def values(type: types.Type) -> str:
    """What a field can be, in words."""
    match type:
        case types.BoolType():
            return "`true`, `false`"
        case types.IntType() | types.FloatType():
            words = "whole number" if isinstance(type, types.IntType) else "number"
            low = next((f"{sign} {each:,}" for sign, each in (("≥", type.ge), (">", type.gt)) if each is not None), "")
            high = next((f"{sign} {each:,}" for sign, each in (("≤", type.le), ("<", type.lt)) if each is not None), "")
            return ", ".join(each for each in (words, low, high) if each)
        case types.LiteralType():
            return ", ".join(f"`{each}`" for each in type.values)
        case types.StrType():
            return "text"
        case types.TimeType():
            return "time of day"
        case types.DateTimeType():
            return "time with an offset"
        case types.VarTupleType() | types.ListType() | types.CollectionType():
            return f"list of {values(type.item_type)}"
        case types.DictType():
            return f"table of {values(type.value_type)}"
        case types.StructType():
            return "table"
        case types.UnionType():
            return " or ".join(values(each) for each in type.types if not isinstance(each, types.NoneType))
    raise DocumentError(f"{type} has no words")


def default(field: types.Field) -> str:
    """The default of a field as TOML has it; nothing where it must be given."""
    found = field.default if field.default is not NODEFAULT else None
    if found is None and field.default_factory is not NODEFAULT:
        found = field.default_factory()
    if isinstance(found, bool):
        return f"`{str(found).lower()}`"
    if isinstance(found, tuple | list | dict):
        if found and not all(isinstance(each, str) for each in found):
            return "see below"
        return f"`{msgspec.json.encode(found).decode()}`"
    if found is None:
        return ""
    return f'`"{found}"`' if isinstance(found, str) else f"`{found}`"


def settings() -> str:
    """Every setting: a table for each section, and for each rule."""
    top, parts = [], []
    for field, said in fields_of_config():
        if isinstance(field.type, types.StructType):
            parts += section(f"[{field.name}]", field.type.cls, 2)
        elif (inner := nested(field.type)) is not None:
            name = f"[{field.name}]" if isinstance(field.type, types.DictType) else f"[[{field.name}]]"
            parts.append(f"## `{name}`\n\n{sentence(said)}.\n\n{rows_of(inner)}")
        else:
            top.append((f"`{field.name}`", default(field), values(field.type), sentence(said)))
    return "\n\n".join([table(HEAD, top), *parts])


def fields_of_config() -> Iterator[tuple[types.Field, str]]:
    """The fields of the whole configuration: the server's, and the domain's.

    Raises:
        DocumentError: one that is no section is not described.
    """
    for kind in (Config[Settings], Settings):
        info = types.type_info(kind)
        assert isinstance(info, types.StructType)
        said = descriptions(get_origin(info.cls) or info.cls)
        for field in info.fields:
            if field.name == "domain":
                continue
            if not isinstance(field.type, types.StructType) and field.name not in said:
                raise DocumentError(f"`{field.name}` of the settings is not described.")
            yield field, said.get(field.name, "")


HEAD: Final = ("key", "default", "values", "meaning")


def section(name: str, kind: type, level: int) -> list[str]:
    """A section of the settings, and those inside it."""
    own, inner = [], []
    for field, said in fields(kind):
        if isinstance(field.type, types.StructType):
            inner += section(f"{name[:-1]}.{field.name}]", field.type.cls, level + 1)
            continue
        own.append((f"`{field.name}`", default(field), values(field.type), said))
        if (rows := nested(field.type)) is not None:
            inner.append(f"{'#' * (level + 1)} `{field.name}` of `{name}`\n\n{first_sentence(rows)}\n\n{rows_of(rows)}")
    about = first_sentence(kind)
    if about in ("", "Settings."):
        about = ""
    text = f"{'#' * level} `{name}`\n\n{about}\n\n{table(HEAD, own)}" if own else f"{'#' * level} `{name}`\n\n{about}"
    return [text, *inner]


def nested(kind: types.Type) -> type | None:
    """The struct of which a field holds many."""
    match kind:
        case types.VarTupleType():
            return nested(kind.item_type)
        case types.DictType():
            return nested(kind.value_type)
        case types.StructType():
            found: type = kind.cls
            return found
    return None


def rows_of(kind: type) -> str:
    """A table of a struct's fields."""
    return table(HEAD, [(f"`{each.name}`", default(each), values(each.type), said) for each, said in fields(kind)])


def error_codes() -> str:
    """Every error code."""
    rows = []
    for code in codes.ALL.values():
        rows.append((f"`{code.name}`", statuses(code), "yes" if code.temporary else "no", code.meaning))
    return table(("code", "HTTP", "retry", "meaning"), rows)


# Codes that no request is answered with: they end a command of the program, or are seen in `/readyz` and the log.
_NO_ANSWER: Final = frozenset({
    codes.MESSAGE_UNSAYABLE, codes.PEER_GONE, codes.FLOW_FAILED, codes.STORAGE_FORMAT, codes.STORAGE_IN_USE,
    codes.ENCRYPTION_KEY_MISSING,
    codes.FEED_MOVED, codes.BOOK_GAP, codes.BOOK_TRIGGERS_MISSING, codes.CONFIG_INVALID, codes.MAPPING_INVALID,
    codes.INPUT_INVALID, codes.OUTPUT_FAILED, codes.PORT_IN_USE,
})  # fmt: skip
_ALSO: Final = {codes.CONNECTIONS_EXCEEDED: ", 429", codes.BOOK_READONLY: ", 503"}


def statuses(code: Code) -> str:
    """The HTTP statuses that a code is answered with."""
    if code in _NO_ANSWER:
        return "–"
    return f"{http_status(RequestError(code, ''))}{_ALSO.get(code, '')}"


def metrics() -> str:
    """Every metric of `/metrics`."""
    found: dict[str, str] = {}
    for path in sorted((Path(__file__).parents[1] / "src" / "fire22").rglob("*.py")):
        if "Sample(" in (text := path.read_text()):
            found.update(_samples(ast.parse(text)))
    if not found:
        raise DocumentError("no metric was found")
    rows = [(f"`{name}`", said.rstrip(".")) for name, said in sorted(found.items())]
    return table(("metric", "meaning"), [*rows, ("`fire22_errors_total`", "Errors by code")])


def _samples(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names of the samples that a module makes, with their descriptions, which may be in a variable before."""
    named: dict[str, str] = {}
    nodes = [each for each in ast.walk(tree) if isinstance(each, ast.Assign | ast.Call)]
    for node in sorted(nodes, key=lambda each: (each.lineno, each.col_offset)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                named[name] = text
            case ast.Call(
                func=ast.Name(id="Sample"), args=[ast.Constant(value=str(name)), ast.Constant(value=text), *_]
            ):
                yield name, str(text)
            case ast.Call(func=ast.Name(id="Sample"), args=[ast.Constant(value=str(name)), ast.Name(id=variable), *_]):
                yield name, named[variable]


def files(folder: Path) -> str:
    """The files of a folder, each with the first sentence of its docstring.

    Raises:
        DocumentError: a file has none.
    """
    rows = []
    for path in sorted(folder.rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text()))
        if path.name != "__init__.py":
            if text is None:
                raise DocumentError(f"{path} has no docstring")
            said = re.split(r"(?<=[.:])\s|\n\n", text, maxsplit=1)[0]
            rows.append((f"`{path.relative_to(folder)}`", sentence(" ".join(said.split()).rstrip(":"))))
    return table(("file", "what it is"), rows)


def mapping_keys() -> str:
    """The keys of a mapping file."""
    return table(HEAD, [(f"`{e.name}`", default(e), values(e.type), said) for e, said in fields(BookMapping)])


def mapping_table_keys() -> str:
    """The keys of a table in a mapping."""
    return table(HEAD, [(f"`{e.name}`", default(e), values(e.type), said) for e, said in fields(TableMapping)])


def mapping_column_keys() -> str:
    """The keys of a column in a mapping."""
    rows = [(f"`{e.name}`", values(e.type), said) for e, said in fields(ColumnMapping)]
    return table(("key", "values", "meaning"), rows)


def expression_functions() -> str:
    """The functions that expressions may use."""
    return ", ".join(f"`{name}`" for name in sorted([*FUNCTIONS, "iif"]))


KINDS: Final[dict[str, str]] = {
    "key": "identifies a row: text or a whole number",
    "text": "any text",
    "label": "a code that people know; unique, without `/` and `|`, since it stands in paths",
    "money": "an amount, in the unit that `money` says",
    "odds": "a price, written as `odds` says",
    "time": "a time, written as `time` says",
    "date": "a day: `2026-11-24`",
    "integer": "a whole number",
    "number": "a number",
    "flag": "yes or no; its codes are `true` and `false`",
    "code": "one of the codes that the table lists",
    "json": "JSON",
    "path": "a path in the agent tree",
    "currency": "a code of ISO 4217, such as `EUR`",
}


def mapping_kinds() -> str:
    """What each kind of column holds.

    Raises:
        DocumentError: a kind has no words.
    """
    if missing := set(get_args(Kind)) ^ set(KINDS):
        raise DocumentError(f"kinds of columns without words: {', '.join(sorted(missing))}")
    return table(("kind", "holds"), [(f"`{name}`", said) for name, said in KINDS.items()])


def mapping_tables() -> str:
    """Every table that can be mapped, with its columns."""
    parts = []
    for name, columns in TABLES.items():
        count = KEYS.get(name, 1)
        about = "Needed. " if name in NEEDED else ""
        keys = ", ".join(f"`{each}`" for each in list(columns)[:count])
        rows = [(f"`{each}`", f"`{column.kind}`", needed(column), notes(column)) for each, column in columns.items()]
        text = table(("column", "kind", "needed", "notes"), rows)
        parts.append(f"### `{name}`\n\n{about}Key: {keys}.\n\n{text}")
    return "\n\n".join(parts)


def needed(column: Column) -> str:
    """What becomes of a column that is not mapped."""
    if column.required:
        return "yes"
    if column.rowid:
        return "the table's rowid"
    if column.derived:
        return "derived"
    if column.default is None:
        return "no"
    return "empty" if column.default == "" else f"`{column.default}`"


def notes(column: Column) -> str:
    """What else is to be known of a column."""
    said = []
    if column.codes:
        said.append(", ".join(f"`{each}`" for each in column.codes))
    if column.refers:
        said.append(f"an id of `{column.refers}`")
    if column.signed:
        said.append("may be negative")
    if column.empty:
        said.append("a row may have none")
    if column.personal:
        said.append("personal: its values are told in no message")
    if column.extra:
        said.append("instead of a table of its own")
    return "; ".join(said)


PLACEHOLDERS: Final[dict[str, Callable[[], str]]] = {
    "settings": settings,
    "error_codes": error_codes,
    "metrics": metrics,
    "mapping_keys": mapping_keys,
    "mapping_table_keys": mapping_table_keys,
    "mapping_column_keys": mapping_column_keys,
    "mapping_kinds": mapping_kinds,
    "mapping_tables": mapping_tables,
    "expression_functions": expression_functions,
}
