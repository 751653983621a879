"""Bytes to typed values, once, at the edge.

Functions here raise InvalidRequest or another error of `problems.py`. A request that
they refuse does not reach the engine.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeVar, cast

import msgspec
from starlette.requests import ClientDisconnect, Request

from watchword.bootstrap import Watchword
from watchword.clients.rules import FIRST_PARTY
from watchword.core.access_token import Claims
from watchword.core.actor import Actor, By
from watchword.core.limits import RETRY_KEY_MAX, RETRY_KEY_MIN
from watchword.core.session import from_text
from watchword.errors import (
    InvalidRequest,
    TokenInvalid,
)
from watchword.server.heads import FIELDS, by_name
from watchword.server.https import HIDDEN
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType
from watchword.tokens.dpop import Signed
from watchword.tokens.headers import (
    address_of,
    credentials_in,
    one_of,
    proof_in,
    scheme_of,
    token_in,
)

Body = TypeVar("Body")

# The largest legitimate body has a password of 1024 characters of four bytes each, with
# every byte escaped.
BODY_MAX: Final = 32 * 1024
_DIGITS_MAX: Final = 20
ACCOUNT_SCOPE: Final = "account"
"""The scope that another client than first-party needs for its user's sessions.

It allows to list and to end them.
"""

_SENT: Final = re.compile(r" '.*'", re.DOTALL)
_RETRY_KEY: Final = re.compile(
    rf"[!#-\[\]-~]{{{RETRY_KEY_MIN},{RETRY_KEY_MAX}}}\Z", re.ASCII
)


def engine_of(request: Request) -> Watchword:
    """The Watchword behind this application."""
    engine: Watchword = request.scope["state"]["watchword"]
    return engine


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
    """The body, typed. Unknown members are ignored, repeated ones refused.

    Raises UnsupportedMediaType unless it was sent as JSON; InvalidRequest;
    PayloadTooLarge.
    """
    declared = one_header(request, b"content-type") or b""
    if declared.split(b";")[0].strip().lower() != b"application/json":
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


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)


def one_header(request: Request, name: bytes) -> bytes | None:
    """The header's value. Raises InvalidRequest where it came twice."""
    fields = _fields(request)
    if fields is None:
        return one_of(request.scope["headers"], name)
    return fields.get(name)


def _fields(request: Request) -> dict[bytes, bytes] | None:
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


def access_token(request: Request) -> str | None:
    """The access token of either scheme, for calls that do not check its proof.

    Raises InvalidRequest for a malformed header.
    """
    headers = request.scope["headers"]
    return credentials_in(headers, "Bearer") or credentials_in(headers, "DPoP")


async def authenticate(request: Request) -> Claims:
    """The claims of the request's access token. Raises AccessTokenError.

    It comes by the scheme Bearer, or by DPoP with a proof for this very request (RFC
    9449 §7).
    """
    scope, engine = request.scope, engine_of(request)
    scope["challenge"] = scheme_of(scope["headers"])
    if scope["challenge"] == "DPoP":
        scope["nonces"] = engine.resource_proofs.nonces
    shown = token_in(scope["headers"])
    if shown.scheme == "Bearer":
        return engine.checker.verify(shown.token)
    return await engine.checker.verify_bound(
        shown.token,
        shown.proof,
        method=scope["method"],
        url=address_of(engine.issuer, scope["path"]),
    )


async def authenticate_user(request: Request) -> tuple[bytes, str]:
    """Account id and session (`sid`) of a token that may manage the account's sessions.

    Any client but first-party needs ACCOUNT_SCOPE for that. Otherwise every program
    that a user signs in with could sign the user out everywhere. Raises
    AccessTokenError, also for a client's own token; InsufficientScope.
    """
    claims = await authenticate(request)
    account_id = from_text(claims.sub)
    if account_id is None or claims.sid is None:
        raise TokenInvalid
    if claims.client_id != FIRST_PARTY.id:
        engine_of(request).checker.require(claims, scope=[ACCOUNT_SCOPE])
    return account_id, claims.sid


def read_proof(request: Request) -> Signed | None:
    """The request's DPoP proof, if any came. The caller still has to settle it.

    Raises InvalidProof, NonceNeeded.
    """
    fields = _fields(request)
    if fields is not None and b"dpop" not in fields:
        return None
    proof = proof_in(request.scope["headers"])
    if proof is None:
        return None
    engine = engine_of(request)
    request.scope["nonces"] = engine.proofs.nonces
    url = address_of(engine.issuer, request.scope["path"])
    return engine.proofs.read(proof, method=request.scope["method"], url=url)


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
            return "".join(c for c in value.decode("latin-1") if " " <= c <= "~")
    return ""
