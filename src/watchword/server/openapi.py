"""The OpenAPI document, made from the structs that parse requests and write answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from watchword import __version__
from watchword.errors import SecondFactorRequired, WatchwordError
from watchword.server.cookies import COOKIE
from watchword.server.operation import BASE, Operation
from watchword.server.problems import (
    STATUS,
    ErrorFormat,
    OAuthError,
    SecondStepProblem,
    oauth_status,
)
from watchword.tokens.challenges import Problem

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
Version = Annotated[
    str,
    msgspec.Meta(
        title="If-Match",
        description=(
            "The `ETag` of what was read: its version in quotes. `*` stands for any "
            "version."
        ),
        pattern=r'^("[0-9]+"|\*)$',
    ),
]

_INFO: Final = {
    "title": "Watchword",
    "version": __version__,
    "description": (
        "Sign in once; the API gets a short-lived JWT; the refresh token changes at "
        "every use; logging out ends the session everywhere."
    ),
}
_SECURITY_SCHEMES: Final = {
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
}
_ERROR_BODIES: Final = {
    ErrorFormat.PROBLEM: Problem,
    ErrorFormat.OAUTH: OAuthError,
}
_SchemaOf: TypeAlias = dict[int, Any]
"""The schema of each type, by the `id` of the type: not every type can be hashed."""


def document(operations: Iterable[Operation], *, prefix: str = "") -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations, without undocumented ones.

    `prefix` is put before the names of schemas, for a document that also has schemas of
    another application.
    """
    documented = [one for one in operations if one.is_documented]
    types: list[Any] = [*_ERROR_BODIES.values(), SecondStepProblem]
    types += [RetryKey, Proof, Version]
    types += [one.request for one in documented if one.request is not None]
    types += [one.response for one in documented if one.response is not None]
    types += [kind for one in documented for kind in one.query.values()]
    schemas, components = msgspec.json.schema_components(
        types, ref_template=f"#/components/schemas/{prefix}{{name}}"
    )
    for one in components.values():
        # Markdown takes the indentation of a docstring for code.
        if "description" in one:
            one["description"] = inspect.cleandoc(one["description"])
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in documented:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema_of)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": paths,
        "components": {
            "schemas": {prefix + name: one for name, one in components.items()},
            "securitySchemes": dict(_SECURITY_SCHEMES),
        },
    }


def _operation(one: Operation, schema_of: _SchemaOf) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "summary": one.summary,
        "tags": [one.tag],
        "operationId": _operation_id(one),
        "responses": _responses(one, schema_of),
    }
    if one.description:
        fields["description"] = one.description
    schemes = {"bearer": one.bearer, "cookie": one.cookie, "client": one.client}
    if any(schemes.values()):
        fields["security"] = [{name: []} for name, on in schemes.items() if on]
        # A token or password in the body replaces the header.
        if one.request is not None and not one.needs_bearer:
            fields["security"].append({})
    if parameters := list(_parameters(one, schema_of)):
        fields["parameters"] = parameters
    if one.request is not None:
        content: dict[str, Any] = {"schema": schema_of[id(one.request)]}
        if one.example is not None:
            content["example"] = one.example
        fields["requestBody"] = {
            "required": one.request_required,
            "content": {one.request_media_type: content},
        }
    return fields


def _parameters(one: Operation, schema_of: _SchemaOf) -> Iterator[dict[str, Any]]:
    """The parameters in the path, the query and the headers."""
    for part in one.path.split("/"):
        if part.startswith("{"):
            is_ours = part == "{id}"
            schema = {"type": "string"} | ({"format": "uuid"} if is_ours else {})
            yield _parameter("path", part[1:-1], schema)
    for name, kind in one.query.items():
        yield _parameter("query", name, schema_of[id(kind)])
    if one.retry_key:
        yield _parameter("header", "Idempotency-Key", schema_of[id(RetryKey)])
    if one.dpop:
        yield _parameter("header", "DPoP", schema_of[id(Proof)])
    if one.is_versioned:
        version = _parameter("header", "If-Match", schema_of[id(Version)])
        yield version | {"required": True}


def _parameter(place: str, name: str, schema: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _responses(one: Operation, schema_of: _SchemaOf) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if one.response is not None:
        good["content"] = {
            one.response_media_type: {"schema": schema_of[id(one.response)]}
        }
    if one.headers:
        good["headers"] = {
            name: {"description": what, "schema": {"type": "string"}}
            for name, what in one.headers.items()
        }
    responses = {str(one.status): good}
    for status, when in one.other_answers.items():
        responses[str(status)] = {"description": when}
    by_status: dict[int, list[str]] = {}
    bodies: dict[int, list[Any]] = {}
    for error in one.errors:
        status, code = _status_and_code(one.error_format, error)
        if code not in by_status.setdefault(status, []):
            by_status[status].append(code)
        kind: Any = _ERROR_BODIES[one.error_format]
        if issubclass(error, SecondFactorRequired):
            kind = SecondStepProblem
        if schema_of[id(kind)] not in bodies.setdefault(status, []):
            bodies[status].append(schema_of[id(kind)])
    for status, codes in sorted(by_status.items()):
        first, *more = bodies[status]
        schema = {"anyOf": [first, *more]} if more else first
        responses[str(status)] = {
            "description": "Code " + ", ".join(f"`{code}`" for code in codes) + ".",
            "content": {one.error_format.value: {"schema": schema}},
        }
    return responses


def _status_and_code(
    error_format: ErrorFormat, error: type[WatchwordError]
) -> tuple[int, str]:
    if error_format is ErrorFormat.OAUTH:
        return oauth_status(error)
    return STATUS[error], error.code


def _operation_id(one: Operation) -> str:
    words = re.findall(r"\w+", one.path.removeprefix(BASE))
    return "-".join([one.method.lower(), *words])
