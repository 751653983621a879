"""Bytes to typed values, once, at the edge.

Bodies in JSON and in forms, headers, queries, and where a request comes from. Functions
here raise InvalidRequest or another error of `problems.py`. A request that they refuse
does not reach the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request

from watchword import errors
from watchword.bootstrap import Watchword
from watchword.bootstrap.oauth import OAuthParts
from watchword.bootstrap.self_service import SelfService
from watchword.core.actor import Actor, By
from watchword.core.limits import RETRY_KEY_MAX, RETRY_KEY_MIN, SCOPE_MAX
from watchword.core.session import RequestedToken
from watchword.errors import InvalidRequest, NotFound
from watchword.server.heads import FIELDS, by_name
from watchword.server.https import HIDDEN
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType
from watchword.tokens.headers import one_of

Body = TypeVar("Body")

# The largest legitimate body has a password of 1024 characters of four bytes each, with
# every byte escaped.
BODY_MAX: Final = 32 * 1024
BODY_ERRORS: Final = (
    errors.InvalidRequest,
    errors.NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
    errors.Throttled,
    errors.Overloaded,
    errors.StoreUnavailable,
)
"""What every call with a body raises."""

_DIGITS_MAX: Final = 20
FORM: Final = "application/x-www-form-urlencoded"
_FIELDS_MAX: Final = 64
_REPEATABLE: Final = "resource"
_SENT: Final = re.compile(r" '.*'", re.DOTALL)
_RETRY_KEY: Final = re.compile(
    rf"[!#-\[\]-~]{{{RETRY_KEY_MIN},{RETRY_KEY_MAX}}}\Z", re.ASCII
)


def engine_of(request: Request) -> Watchword:
    """The Watchword behind this application."""
    engine: Watchword = request.scope["state"]["watchword"]
    return engine


def self_service_of(request: Request) -> SelfService:
    """What accounts serve themselves by. Raises NotFound in an app with own users."""
    found = engine_of(request).self_service
    if found is None:
        raise NotFound
    return found


def oauth_of(request: Request) -> OAuthParts:
    """The authorization server. Raises NotFound in an app with users of its own."""
    found = engine_of(request).oauth
    if found is None:
        raise NotFound
    return found


def only_looks(request: Request) -> bool:
    """Whether a page is only looked at: by HEAD, or ahead of a user that may not come.

    Nothing may be done or spent then.
    """
    purpose = request.headers.get("sec-purpose", "")
    return request.method == "HEAD" or purpose.startswith("prefetch")


async def read_body(request: Request) -> bytes:
    """The whole body, bounded. Raises PayloadTooLarge."""
    declared = one_header(request, b"content-length")
    if declared is not None and declared.isdigit() and _exceeds(declared):
        raise PayloadTooLarge
    body = b""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += cast("bytes", message.get("body", b""))
        if len(body) > BODY_MAX:
            raise PayloadTooLarge
        if not message.get("more_body"):
            return body


def _exceeds(declared: bytes) -> bool:
    # Python does not convert thousands of digits, and a server may let them pass.
    return len(declared) > _DIGITS_MAX or int(declared) > BODY_MAX


def parse_json(
    request: Request, body: bytes, decoder: msgspec.json.Decoder[Body]
) -> Body:
    """The body, typed. Unknown members are ignored or, by its type, refused.

    Repeated ones are refused. Raises UnsupportedMediaType unless it was sent as JSON;
    InvalidRequest; PayloadTooLarge.
    """
    if _media_type(request) != b"application/json":
        raise UnsupportedMediaType
    try:
        value = decoder.decode(body)
        # Two parsers may differ on which of two equal names counts, so both are
        # refused. A body that equals what we would write has no such names. Most bodies
        # do, and are not read twice.
        if msgspec.json.encode(value) != body:
            _STRICT.decode(body.decode())
    except msgspec.ValidationError as error:
        # The message has types and places in backticks, and what was sent in quotes:
        # that may be a secret, and is left out.
        fault = _SENT.sub("", str(error))
        raise InvalidRequest(f"The body is not as expected: {fault}.") from None
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
    return value


def is_form(request: Request) -> bool:
    """Whether the body was sent as a form."""
    return _media_type(request) == FORM.encode()


def _media_type(request: Request) -> bytes:
    declared = one_header(request, b"content-type") or b""
    return declared.split(b";")[0].strip().lower()


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)


def one_header(request: Request, name: bytes) -> bytes | None:
    """The header's value. Raises InvalidRequest where it came twice."""
    fields = headers_by_name(request)
    if fields is None:
        return one_of(request.scope["headers"], name)
    return fields.get(name)


def headers_by_name(request: Request) -> dict[bytes, bytes] | None:
    """The headers by name, made once for these headers; None where one came twice."""
    headers = request.scope["headers"]
    seen, fields = request.scope.get(FIELDS, (None, None))
    if seen is not headers:
        fields = by_name(headers)
        request.scope[FIELDS] = headers, fields
    return cast("dict[bytes, bytes] | None", fields)


def query_of(request: Request) -> dict[str, str]:
    """The parameters of the query. Raises InvalidRequest where one came twice."""
    given = request.query_params.multi_items()
    fields = dict(given)
    if len(fields) != len(given):
        raise InvalidRequest("A parameter came twice.")
    return fields


class Form:
    """The parameters of a request. Empty ones count as omitted (RFC 6749 §3.2)."""

    def __init__(self, fields: Mapping[str, str], resources: tuple[str, ...]) -> None:
        self.fields = fields
        self.resources = resources

    def get(self, name: str) -> str | None:
        """The parameter, if it was given."""
        return self.fields.get(name)

    def need(self, name: str) -> str:
        """The parameter. Raises InvalidRequest where it is missing."""
        value = self.fields.get(name)
        if value is None:
            raise InvalidRequest(f"The parameter {name} is missing.")
        return value

    def requested(self, jkt: str | None) -> RequestedToken:
        """The scope, resources and key that the access token is to be for.

        Raises InvalidRequest, InvalidScope, InvalidTarget.
        """
        return RequestedToken(scope_of(self.get("scope")), self.resources or None, jkt)


def scope_of(text: str | None) -> tuple[str, ...] | None:
    """The scopes of a space-separated list (RFC 6749 §3.3), each once."""
    scopes = tuple(dict.fromkeys(filter(None, (text or "").split(" "))))
    if not scopes:
        return None
    if sum(map(len, scopes)) > SCOPE_MAX:
        raise InvalidRequest("The scope is too long.")
    return scopes


async def read_form(request: Request) -> Form:
    """The form in the body. Unknown parameters are ignored, repeated ones refused.

    Parameters of the query are never read, because queries end up in logs. Raises
    InvalidRequest, UnsupportedMediaType, PayloadTooLarge.
    """
    return form_of(await read_pairs(request))


def form_of(pairs: Sequence[tuple[str, str]]) -> Form:
    """The form of these parameters. Raises InvalidRequest for repeated ones."""
    fields = {name: value for name, value in pairs if name != _REPEATABLE}
    resources = tuple(value for name, value in pairs if name == _REPEATABLE)
    if len(fields) + len(resources) != len(pairs):
        raise InvalidRequest("A parameter came twice.")
    return Form(fields, tuple(dict.fromkeys(resources)))


async def read_pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters of a form as they came, without the empty ones.

    Raises as `read_form`.
    """
    body = await read_body(request)
    if not is_form(request):
        raise UnsupportedMediaType(f"The body must be a form, sent as {FORM}.")
    return pairs_in(body)


def pairs_in(encoded: bytes) -> list[tuple[str, str]]:
    """The parameters of a form or a query, without the empty ones.

    Raises InvalidRequest for what is not UTF-8, or too many.
    """
    try:
        return parse_qsl(
            encoded.decode("ascii"), errors="strict", max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise InvalidRequest("The parameters are not a form in UTF-8.") from None


def retry_key(request: Request) -> str | None:
    """The `Idempotency-Key`, bare or as a quoted string (RFC 9651 §3.3.3), or None.

    Raises InvalidRequest.
    """
    value = one_header(request, b"idempotency-key")
    if value is None:
        return None
    text = value.decode("latin-1")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if _RETRY_KEY.match(text) is None:
        message = (
            f"Idempotency-Key must be {RETRY_KEY_MIN} to {RETRY_KEY_MAX} visible ASCII "
            "characters without quote or backslash."
        )
        raise InvalidRequest(message)
    return text


def client_address(request: Request) -> str:
    """The address that the request comes from; behind a proxy, as the proxy says.

    Empty if it is not known. With the proxy's own address instead, all callers would
    seem to be on one network, and a grace counts for a network.
    """
    client = request.scope["client"]
    return client[0] if client and not request.scope.get(HIDDEN) else ""


def by_user(request: Request) -> By:
    """The user at the address of this request as the actor, for the audit log."""
    return By(Actor.USER, client_address(request))


def user_agent(request: Request) -> str:
    """The `User-Agent` of the request, for the list of sessions: visible ASCII only."""
    for name, value in request.scope["headers"]:
        if name == b"user-agent":
            text: str = value.decode("latin-1")
            if text.isascii() and text.isprintable():  # as that of every browser
                return text
            return "".join(c for c in text if " " <= c <= "~")
    return ""
