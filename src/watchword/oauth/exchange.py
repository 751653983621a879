"""From a code to a session (RFC 6749 §4.1.3), and again where the answer was lost."""

from __future__ import annotations

from typing import TypedDict, Unpack

import msgspec

from watchword.clocks import Clock
from watchword.core.session import RequestedToken, TokenSet
from watchword.core.ticket import Tickets
from watchword.oauth.consents import Consents
from watchword.oauth.id_tokens import IdTokens
from watchword.ports.clients import Client
from watchword.sessions import Sessions
from watchword.sign_in.begin import SignIn
from watchword.tokens.dpop import Signed


class CodeRequest(TypedDict):
    """What a request with a code says besides the code. "" for what did not come."""

    redirect_uri: str
    code_verifier: str
    client_secret: str
    retry_key: str | None
    requested: RequestedToken
    proof: Signed | None
    address: str
    user_agent: str


class Exchanged(msgspec.Struct, frozen=True):
    """The tokens of a code. `id_token` is "" where `openid` was not granted."""

    tokens: TokenSet
    id_token: str


class CodeExchange:
    """Redeems codes."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        sign_in: SignIn,
        consents: Consents,
        id_tokens: IdTokens,
        tickets: Tickets,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._sign_in = sign_in
        self._consents = consents
        self._id_tokens = id_tokens
        self._tickets = tickets
        self._clock = clock

    async def redeem(
        self, code: str, client: Client, **request: Unpack[CodeRequest]
    ) -> Exchanged:
        """The session of a code: made, or given again to the caller that made it.

        Raises CodeInvalid, with nothing ended; CodeReused, with the session ended.
        Raises InvalidProof, InvalidScope, InvalidTarget, Overloaded, Throttled,
        StoreUnavailable with nothing spent.
        """
        raise NotImplementedError
