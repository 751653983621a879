"""What every call shares that goes on with a sign-in which needs a second factor.

The client authenticates again, as at the beginning. The continuation says what the
session shall be, so the call asks for nothing of it.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Self

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.core.limits import TICKET_MAX
from watchword.core.session import TokenSet
from watchword.ports.clients import Client
from watchword.server.client_auth import binding_of, native_client, proof_of
from watchword.server.continuation_cookie import (
    continuation_cookie,
    drop_continuation_cookie,
)
from watchword.server.cookies import check_origin, set_cookie, token_to_replace
from watchword.server.factor_fields import tokens_with
from watchword.server.parsing import client_address, engine_of, user_agent
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType
from watchword.server.responses import JSON, Header
from watchword.sign_in.second_step import ContinuedRequest
from watchword.tokens.dpop import Signed

ContinuationField = Annotated[
    str,
    msgspec.Meta(
        max_length=TICKET_MAX, description="From the answer to a sign-in: `ww_ct_…`."
    ),
]

CONTINUING_ERRORS: Final = (
    errors.InvalidRequest,
    errors.UnauthorizedClient,
    errors.InvalidProof,
    errors.NonceNeeded,
    errors.ContinuationExpired,
    errors.InvalidClient,
    errors.CsrfRejected,
    PayloadTooLarge,
    UnsupportedMediaType,
    errors.Throttled,
    errors.Overloaded,
    errors.StoreUnavailable,
)
"""What every call raises that goes on with a sign-in."""

FINISHING_ERRORS: Final = (
    *CONTINUING_ERRORS,
    errors.InvalidCredentials,
    errors.SecondFactorInvalid,
)
"""What every call raises that proves a factor for it, and begins its session."""


class ContinuationFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The continuation, and the client that has it."""

    continuation: ContinuationField
    client_id: str = FIRST_PARTY.id


class ContinuationRequest:
    """A request that goes on with a sign-in, its client authenticated."""

    def __init__(
        self, request: Request, client: Client, proof: Signed | None, browser: str
    ) -> None:
        self._request = request
        self._proof = proof
        self._browser = browser
        self.binding = binding_of(client, proof, browser)

    @classmethod
    async def of(cls, request: Request, client_id: str) -> Self:
        """Check the client, its DPoP proof and the browser, and spend nothing.

        Raises InvalidRequest, UnauthorizedClient, InvalidClient, InvalidProof,
        NonceNeeded, CsrfRejected, Throttled.
        """
        client = await native_client(request, client_id)
        browser = continuation_cookie(request)
        if browser:
            check_origin(request)
        return cls(request, client, proof_of(request, client), browser)

    def details(self) -> ContinuedRequest:
        """What the engine is told of the request, besides its binding."""
        request, proof = self._request, self._proof
        settle = engine_of(request).proofs.settle_one
        return {
            "prove": None if proof is None else partial(settle, proof),
            "replaces": token_to_replace(request) if self._browser else "",
            "address": client_address(request),
            "user_agent": user_agent(request),
        }

    def answer(self, tokens: TokenSet, codes: tuple[str, ...] = ()) -> Response:
        """The answer of `/login`, with the recovery codes that were made."""
        headers: list[Header] = []
        if tokens.session.cookie:
            headers += [
                (b"set-cookie", set_cookie(tokens).encode()),
                (b"set-cookie", drop_continuation_cookie().encode()),
            ]
        return JSON(tokens_with(tokens, codes), headers=headers)
