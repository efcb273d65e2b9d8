"""The description of the HTTP interface (OpenAPI 3.1), made from the table of routes.

What a row of the table says is what its requests are held to, so the description cannot differ from the server: a
parameter that is not described is refused, and a body is read as the type that is shown here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

from fire22.core import codes
from fire22.core.message import Message
from fire22.gateways.http.requests import JSON
from fire22.gateways.http.route import ANYBODY, OPERATORS, SIGNED_IN, Call, Route
from fire22.gateways.sign_in import SESSION_COOKIE

PATH: Final = "/openapi.json"
COMMANDS: Final = "/v1/commands/{name}"
_REF: Final = "#/components/schemas/{name}"
_PLACE: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_ANYTHING: Final[dict[str, Any]] = {}

Schema = dict[str, Any]


class Description:
    """The document, and its own route.

    Args:
        rows: the routes beside its own.
        commands: what the body of each of the domain's commands is read as, by its name.
        version: of the program.
    """

    def __init__(self, rows: Iterable[Route], commands: Mapping[str, type[Struct]], version: str) -> None:
        self.row = Route(
            method="GET",
            path=PATH,
            handler=self.read,
            who=ANYBODY,
            summary="This description of the HTTP interface.",
            open_parameters=True,
        )
        self.body: bytes = msgspec.json.encode(document((*rows, self.row), commands, version))

    async def read(self, call: Call) -> Response:
        """The document."""
        return Response(self.body, media_type=JSON, headers={"cache-control": "no-cache"})


def document(rows: Iterable[Route], commands: Mapping[str, type[Struct]], version: str) -> Schema:
    """The description of these routes; for the arguments see `Description`."""
    served = [row for row in rows if row.handler is not None]
    types = {type: None for row in served for type in (row.parameters, row.request, row.answer) if type is not None}
    known = list(dict.fromkeys((*types, *commands.values(), Message)))
    schemas, components = msgspec.json.schema_components(known, ref_template=_REF)
    schema_of: dict[Any, Schema] = dict(zip(known, schemas, strict=True))
    paths: dict[str, dict[str, Schema]] = {}
    for row in served:
        if row.path == COMMANDS and commands:
            for name, body in commands.items():
                path = row.path.replace("{name}", name)
                paths.setdefault(path, {})["post"] = _operation(row, path, schema_of, components, schema_of[body])
        else:
            path = _PLACE.sub(r"{\1}", row.path)
            body_schema = schema_of[row.request] if row.request is not None else None
            paths.setdefault(path, {})[row.method.lower()] = _operation(row, path, schema_of, components, body_schema)
    components["ErrorCode"] = {"enum": sorted(codes.ALL)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fire22 Flows", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                "Error": {
                    "description": "What is wrong; `code` is one of ErrorCode.",
                    "content": {JSON: {"schema": schema_of[Message]}},
                }
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
        },
    }


def _operation(
    row: Route, path: str, schema_of: Mapping[Any, Schema], components: Mapping[str, Schema], body: Schema | None
) -> Schema:
    parameters: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _PLACE.findall(path)
    ]
    if row.parameters is not None:
        asked = components[row.parameters.__name__]
        required = asked.get("required", ())
        for name, schema in asked.get("properties", {}).items():
            parameters.append({"name": name, "in": "query", "required": name in required, "schema": schema})
    for name in row.headers:
        parameters.append({"name": name, "in": "header", "required": True, "schema": {"type": "string"}})
    operation: Schema = {
        "summary": row.summary,
        "operationId": f"{row.method.lower()} {path}",
        "responses": {
            "2XX": {
                "description": "Done.",
                "content": {JSON: {"schema": schema_of.get(row.answer, _ANYTHING)}},
            }
            if row.answer is not None
            else {"description": "Done."},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if row.body_bytes_max:
        operation["requestBody"] = {
            "required": body is not None,
            "content": {JSON: {"schema": body if body is not None else _ANYTHING}},
            "description": f"At most {row.body_bytes_max} bytes.",
        }
    if row.who == OPERATORS:  # the empty requirement: who asks from an operator's address needs none
        operation["security"] = [{}, {"token": []}, {"session": []}]
    elif row.who != ANYBODY:
        operation["security"] = [{"token": []}, {"session": []}]
    if row.who not in (ANYBODY, SIGNED_IN):
        operation["x-right"] = row.right
    return operation
