"""Makes what a client is given: an access token and the current refresh token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchword.clocks import Entropy
from watchword.core.access_token import claims_of
from watchword.core.policies import PAGES, Policies
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import RequestedToken, Session, TokenSet
from watchword.errors import SessionExpired
from watchword.keys.ring import KeyRing

_JTI_BYTES: Final = 16
_JTIS: Final = 64


class TokenIssuer:
    """Makes the tokens of sign-ins and of refreshes."""

    def __init__(
        self,
        *,
        tokens: RefreshTokens,
        keys: KeyRing,
        policies: Policies,
        issuer: str,
        entropy: Entropy,
    ) -> None:
        self._tokens = tokens
        self._keys = keys
        self._policies = policies
        self.issuer = issuer
        self._entropy = entropy
        self._jtis: list[str] = []

    def issue(
        self,
        session: Session,
        secret: bytes,
        requested: RequestedToken,
        extra: Mapping[str, Any],
        now: int,
    ) -> TokenSet:
        """The tokens of the current generation; `extra` are the app's own claims.

        The session of a browser at this server gets no access token: it is empty.
        Raises SessionExpired in the last, incomplete second of a session: access tokens
        expire at whole seconds (RFC 7519 §2), so this one would be expired already.
        """
        policy = self._policies.of(session.client_id)
        refresh = self._tokens.mint(session.id, session.generation, secret)
        left = session.seconds_left(policy, now)
        if session.client_id == PAGES:
            return TokenSet(session, "", 0, refresh, left)
        jti = self._next_jti()
        claims = claims_of(
            session, policy, requested, issuer=self.issuer, jti=jti, now=now
        )
        if claims.exp <= claims.iat:
            raise SessionExpired
        return TokenSet(
            session,
            self._keys.active.sign(claims, extra),
            claims.exp - now // 1000,
            refresh,
            left,
            session.scope if requested.scope is None else requested.scope,
            claims.cnf is not None,
        )

    def _next_jti(self) -> str:
        """An id for an access token: unique, and no secret.

        Drawn many at a time: the system call for one costs a hundredth of a refresh.
        """
        if not self._jtis:
            drawn = self._entropy(_JTI_BYTES * _JTIS)
            places = range(0, len(drawn), _JTI_BYTES)
            self._jtis = [drawn[at : at + _JTI_BYTES].hex() for at in places]
        return self._jtis.pop()
