"""One request to an API: which token goes with it, and what a 401 means.

    another origin ............ sent without token and proof
    401 use_dpop_nonce ........ sent again with the nonce, once at most
    401 invalid_token ......... refreshed and sent again, once at most
    any other answer .......... returned to the caller

A request is sent again only if its body can be sent twice.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from watchword.client.answers import problem_code
from watchword.client.refresher import Refresher
from watchword.client.runners import Step
from watchword.client.session import StoredSession
from watchword.errors import (
    TokenExpired,
    TokenNonceNeeded,
    TokenRevoked,
)

Result = TypeVar("Result")

UNAUTHORIZED: Final = 401
_ERROR: Final = re.compile(r'\berror="([a-z_]+)"')
_INVALID: Final = "invalid_token"  # RFC 6750 §3.1
# Seconds. If an API refuses a token that was issued just now, for example because it is
# for another audience, it would refuse the next one too. Without this bound each such
# refusal would cause a rotation.
YOUNG: Final = 5.0


class ApiRequest(NamedTuple):
    """A request, and whether the token may go with it.

    `url` is without query and fragment. `repeatable` says that the body can be sent
    twice.
    """

    method: str
    url: str
    origin: str
    allowed: bool
    repeatable: bool


class Reply(NamedTuple):
    """An answer: the `error` of its challenge (RFC 6750 §3), and Watchword's own code.

    Both are empty unless it is a 401 to a request that carried our token.
    """

    error: str = ""
    code: str = ""
    nonce: str | None = None

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """The reply in an API's answer. The body is read only where it is a 401."""
        nonce = headers.get("DPoP-Nonce")
        if status != UNAUTHORIZED:
            return cls(nonce=nonce)
        found = _ERROR.search(headers.get("WWW-Authenticate", ""))
        return cls(found[1] if found else "", problem_code(body), nonce)


class SendApiRequest(NamedTuple):
    """A step: send the request with these headers. Its result is a Reply."""

    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"SendApiRequest({', '.join(self.headers)})"


AuthFlow = Generator[Step | SendApiRequest, Any, Result]


def auth_flow(refresher: Refresher, request: ApiRequest) -> AuthFlow[None]:
    """The steps of one request, until an answer is the caller's.

    Raises what `Refresher.fresh` raises. Raises TokenExpired or TokenNonceNeeded
    where the body cannot be sent twice: then the caller has to make the request
    anew.
    """
    if not request.allowed:
        yield SendApiRequest({})
        return
    stored = yield from refresher.fresh()
    reply: Reply = yield SendApiRequest(_headers(refresher, stored, request))
    proved = refreshed = False
    while True:
        prover = refresher.prover_of(stored)
        if prover is not None:
            prover.note(reply.nonce, request.origin)
        if reply.error == TokenNonceNeeded.code and reply.nonce and not proved:
            proved = True
            fault: Exception = TokenNonceNeeded(reply.nonce)
        elif not refreshed and _may_help(refresher, reply):
            refreshed = True
            stored = yield from refresher.fresh(refused=stored.access_token)
            fault = TokenExpired(
                "The access token had expired, and is refreshed now; but the body of "
                "this request cannot be sent twice. Make the request anew."
            )
        else:
            return
        if not request.repeatable:
            raise fault
        reply = yield SendApiRequest(_headers(refresher, stored, request))


def _may_help(refresher: Refresher, reply: Reply) -> bool:
    """Whether a refresh may help: it brings a new token, or tells the session's end."""
    if reply.error != _INVALID:
        return False
    known = reply.code in {TokenExpired.code, TokenRevoked.code}
    return known or refresher.age() >= YOUNG


def _headers(
    refresher: Refresher, stored: StoredSession, request: ApiRequest
) -> dict[str, str]:
    headers = {"Authorization": f"{stored.scheme} {stored.access_token}"}
    prover = refresher.prover_of(stored)
    if prover is not None:
        headers |= prover.headers(
            request.method, request.url, request.origin, stored.access_token
        )
    return headers
