"""What a refresh comes with: the token, read, and the rest of its request."""

from __future__ import annotations

import msgspec

from watchword.clocks import Entropy
from watchword.core.policies import PAGES
from watchword.core.refresh_token import RefreshTokens
from watchword.core.rotation import Presented
from watchword.core.session import Authenticated, RequestedToken
from watchword.errors import RefreshInvalid
from watchword.metrics import Metrics
from watchword.metrics.catalog import Counter
from watchword.tokens.dpop import Signed


class PresentedReader:
    """Reads refresh tokens."""

    def __init__(
        self, tokens: RefreshTokens, entropy: Entropy, metrics: Metrics
    ) -> None:
        self._tokens = tokens
        self._entropy = entropy
        self._metrics = metrics

    def presented(
        self,
        token: str,
        client_id: str,
        retry_key: str | None,
        address: str,
        requested: RequestedToken,
        *,
        cookie: bool,
        proof: Signed | None,
        proved: Authenticated | None = None,
    ) -> Presented:
        """The token and the rest of its request. Raises RefreshInvalid."""
        if client_id == PAGES:  # its tokens are not refreshed: see `BrowserSessions`
            raise RefreshInvalid
        try:
            session_id, generation, secret = self._tokens.read(token)
        except RefreshInvalid:
            self._metrics.count(Counter.REFRESHES, "invalid")
            raise
        # A client that sent no retry key gets one that only this request knows. If the
        # answer to a commit is lost, this process judges the refresh again and finds
        # its own rotation by that key.
        key = self._entropy(16).hex() if retry_key is None else retry_key
        if proof is not None:
            requested = msgspec.structs.replace(requested, jkt=proof.key.kid)
        return Presented(
            session_id,
            generation,
            secret,
            client_id,
            key,
            requested,
            cookie,
            address,
            proved,
        )
