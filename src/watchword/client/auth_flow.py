"""One request to an API: which token goes with it, and what a 401 means.

    another origin ............ sent without token and proof
    401 use_dpop_nonce ........ sent again with the nonce, once at most
    401 invalid_token ......... refreshed and sent again, once at most
    401 insufficient_user_authentication
        the program's `on_step_up` is called, and the request sent again, once at most
    any other answer .......... returned to the caller

A request is sent again only if its body can be sent twice.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from watchword.client.answers import Answer, Outcome, needed_in, problem_code
from watchword.client.asking import Asking, AskStepUp
from watchword.client.refresher import Refresher
from watchword.client.runners import Exchange, Step
from watchword.client.session import Request, Send
from watchword.client.stored import StoredSession
from watchword.errors import (
    InsufficientAuthentication,
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

    Both are empty unless it is a 401 to a request that carried our token. `needed` is
    set where the challenge wants a more recent or a stronger sign-in.
    """

    error: str = ""
    code: str = ""
    nonce: str | None = None
    needed: InsufficientAuthentication | None = None

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """The reply in an API's answer. The body is read only where it is a 401."""
        nonce = headers.get("dpop-nonce")
        if status != UNAUTHORIZED:
            return cls(nonce=nonce)
        challenge = headers.get("www-authenticate", "")
        found = _ERROR.search(challenge)
        error, needed = found[1] if found else "", None
        if error == InsufficientAuthentication.code:
            needed = InsufficientAuthentication(**needed_in(challenge))
        return cls(error, problem_code(body), nonce, needed)


class SendApiRequest(NamedTuple):
    """A step: send the request with these headers. Its result is a Reply."""

    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"SendApiRequest({', '.join(self.headers)})"


AuthFlow = Generator[Step | SendApiRequest | AskStepUp, Any, Result]


def auth_flow(
    refresher: Refresher, request: ApiRequest, asking: Asking | None = None
) -> AuthFlow[None]:
    """The steps of one request, until an answer is the caller's.

    Raises what `Refresher.fresh` and the program's `on_step_up` raise. Raises
    TokenExpired, TokenNonceNeeded or, after a step-up, InsufficientAuthentication where
    the body cannot be sent twice: then the caller has to make the request anew.
    """
    if not request.allowed:
        yield SendApiRequest({})
        return
    stored = yield from refresher.fresh()
    reply: Reply = yield SendApiRequest(_headers(refresher, stored, request))
    proved = refreshed = risen = False
    while True:
        prover = refresher.prover_of(stored)
        if prover is not None:
            prover.note(reply.nonce, request.origin)
        fault: Exception | None = None
        if reply.error == TokenNonceNeeded.code and reply.nonce and not proved:
            proved = True
            fault = TokenNonceNeeded(reply.nonce)
        elif not refreshed and _may_help(refresher, reply):
            refreshed = True
            stored = yield from refresher.fresh(refused=stored.access_token)
            fault = TokenExpired(
                "The access token had expired, and is refreshed now; but the body of "
                "this request cannot be sent twice. Make the request anew."
            )
        elif reply.needed and asking and asking.is_open and not risen:
            risen, refused = True, stored.access_token
            stored = yield from asking.step_up(reply.needed, refused)
            if stored.access_token != refused:
                fault = reply.needed
        if fault is None:
            return
        if not request.repeatable:
            raise fault
        reply = yield SendApiRequest(_headers(refresher, stored, request))


def api_call(
    refresher: Refresher, request: ApiRequest, body: bytes
) -> Exchange[Outcome]:
    """Send a request with the token to the issuer itself, and return its answer.

    Raises as `Refresher.fresh`.
    """
    flow = auth_flow(refresher, request)
    answer: Outcome = None
    outcome: Any = None
    json = {"Content-Type": "application/json"}
    try:
        while True:
            step = flow.send(outcome)
            if isinstance(step, SendApiRequest):
                headers = {**json, **step.headers}
                answer = yield Send(Request(request.url, body, headers, request.method))
                outcome = Reply()
                if isinstance(answer, Answer):
                    outcome = Reply.of(answer.status, answer.headers, answer.body)
            elif not isinstance(step, AskStepUp):
                outcome = yield step
    except StopIteration:
        return answer
    finally:
        flow.close()


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
