"""The OpenAPI document, made from the structs that parse requests and write answers.

An `Operation` describes an endpoint; `document` puts the operations together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from watchword import __version__
from watchword.errors import WatchwordError
from watchword.server.problems import OAUTH_PATHS, STATUS, oauth_status
from watchword.tokens.challenges import Problem

BASE = "/api/auth"
COOKIE = "__Host-watchword"

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


class OAuthError(msgspec.Struct, frozen=True):
    """The body of every error of the OAuth endpoints (RFC 6749 §5.2)."""

    error: str
    error_description: str


Proof = Annotated[
    str,
    msgspec.Meta(
        title="DPoP",
        description=(
            "A proof of possession (RFC 9449 §4), made for this very request. Without "
            "the current nonce it is answered with `use_dpop_nonce` and the nonce."
        ),
    ),
]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """The description of an endpoint: what it takes, answers and refuses."""

    method: str
    path: str
    summary: str
    description: str = ""
    tag: str = "session"
    request: Any = None
    request_required: bool = True
    request_media_type: str = "application/json"
    example: Any = None
    response: Any = None
    response_media_type: str = "application/json"
    status: int = 200
    bearer: bool = False
    cookie: bool = False
    client: bool = False
    query: Mapping[str, Any] = {}
    retry_key: bool = False
    dpop: bool = False
    errors: tuple[type[WatchwordError], ...] = ()


def document(
    operations: Iterable[Operation] | None = None, *, prefix: str = ""
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations, by default of all the server's.

    `prefix` is put before the names of schemas, for a document that also has schemas of
    another application.
    """
    if operations is None:
        from watchword.server.app import OPERATIONS  # noqa: PLC0415 - it imports us

        operations = OPERATIONS
    operations = list(operations)
    types = [Problem, OAuthError, RetryKey, Proof]
    types += [one.request for one in operations if one.request is not None]
    types += [one.response for one in operations if one.response is not None]
    types += [kind for one in operations for kind in one.query.values()]
    schemas, components = msgspec.json.schema_components(
        types, ref_template=f"#/components/schemas/{prefix}{{name}}"
    )
    components = {prefix + name: schema for name, schema in components.items()}
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
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "The session of a browser.",
                },
                "client": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Client id and client secret.",
                },
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
    schemes = {"bearer": one.bearer, "cookie": one.cookie, "client": one.client}
    if any(schemes.values()):
        described["security"] = [{name: []} for name, on in schemes.items() if on]
        if one.request is not None:  # a token in the body replaces the header
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
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema_of[id(kind)]}
        for name, kind in one.query.items()
    ]
    headers = {
        "Idempotency-Key": one.retry_key and RetryKey,
        "DPoP": one.dpop and Proof,
    }
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": schema_of[id(kind)]}
        for name, kind in headers.items()
        if kind
    ]
    if parameters:
        described["parameters"] = parameters
    if one.request is not None:
        content: dict[str, Any] = {"schema": schema_of[id(one.request)]}
        if one.example is not None:
            content["example"] = one.example
        described["requestBody"] = {
            "required": one.request_required,
            "content": {one.request_media_type: content},
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
    oauth = one.path in OAUTH_PATHS
    for error in one.errors:
        status, code = oauth_status(error) if oauth else (STATUS[error], error.code)
        if code not in by_status.setdefault(status, []):
            by_status[status].append(code)
    kind, schema = ("json", OAuthError) if oauth else ("problem+json", Problem)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "Code " + ", ".join(f"`{code}`" for code in codes) + ".",
            "content": {f"application/{kind}": {"schema": schema_of[id(schema)]}},
        }
    return responses


def _operation_id(one: Operation) -> str:
    words = re.findall(r"\w+", one.path.removeprefix(BASE))
    return "-".join([one.method.lower(), *words])


def _path_parameters(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
