"""The OpenAPI document, made from the structs that parse and answer.

`Operation` is what an endpoint says of itself; `document` puts the operations together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from watchword import __version__
from watchword.errors import WatchwordError
from watchword.server.problems import STATUS, Problem

BASE = "/api/auth"

RetryKey = Annotated[
    str,
    msgspec.Meta(
        title="Idempotency-Key",
        description=(
            "Drawn at random for each refresh and stored before it is sent. If the "
            "answer gets lost, the same request with the same key gets the same "
            "successor. Without it, a lost answer ends in signing in again."
        ),
        min_length=16,
        max_length=128,
        pattern=r"^[!#-\[\]-~]*$",
    ),
]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint takes, answers and refuses."""

    method: str
    path: str
    summary: str
    description: str = ""
    tag: str = "session"
    request: Any = None
    request_required: bool = True
    example: Any = None
    response: Any = None
    response_media_type: str = "application/json"
    status: int = 200
    bearer: bool = False
    retry_key: bool = False
    errors: tuple[type[WatchwordError], ...] = ()


def document(operations: Iterable[Operation] | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations; of the server's by default."""
    if operations is None:
        from watchword.server.app import OPERATIONS  # noqa: PLC0415 - it imports us

        operations = OPERATIONS
    operations = list(operations)
    types = [Problem, RetryKey]
    types += [one.request for one in operations if one.request is not None]
    types += [one.response for one in operations if one.response is not None]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Watchword",
            "version": __version__,
            "description": (
                "Sign in once; the API gets a short-lived JWT; the refresh token "
                "changes at every use; logging out ends the session everywhere."
            ),
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token of a login or refresh.",
                }
            },
        },
    }


def _operation(one: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": one.summary,
        "tags": [one.tag],
        "operationId": _operation_id(one),
        "responses": _responses(one, schema_of),
    }
    if one.description:
        described["description"] = one.description
    if one.bearer:
        described["security"] = [{"bearer": []}]
        if not one.request_required:  # the body can stand for the header
            described["security"].append({})
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        }
        for name in _path_parameters(one.path)
    ]
    if one.retry_key:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": schema_of[id(RetryKey)],
            }
        )
    if parameters:
        described["parameters"] = parameters
    if one.request is not None:
        content: dict[str, Any] = {"schema": schema_of[id(one.request)]}
        if one.example is not None:
            content["example"] = one.example
        described["requestBody"] = {
            "required": one.request_required,
            "content": {"application/json": content},
        }
    return described


def _responses(one: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if one.response is not None:
        good["content"] = {
            one.response_media_type: {"schema": schema_of[id(one.response)]}
        }
    responses = {str(one.status): good}
    by_status: dict[int, list[str]] = {}
    for error in one.errors:
        by_status.setdefault(STATUS[error], []).append(error.code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "Code " + ", ".join(f"`{code}`" for code in codes) + ".",
            "content": {"application/problem+json": {"schema": schema_of[id(Problem)]}},
        }
    return responses


def _operation_id(one: Operation) -> str:
    words = re.findall(r"\w+", one.path.removeprefix(BASE))
    return "-".join([one.method.lower(), *words])


def _path_parameters(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
