"""The access tokens of a client's own (RFC 6749 §4.4): no session, no refresh token."""

from __future__ import annotations

import logging

import msgspec

from watchword.clients.rules import GrantType
from watchword.clocks import Clock, Entropy
from watchword.core.access_token import client_claims
from watchword.core.session import Policy, RequestedToken
from watchword.errors import (
    InvalidProof,
    InvalidScope,
    InvalidTarget,
    UnauthorizedClient,
)
from watchword.keys.ring import KeyRing
from watchword.ports.clients import Client

_log = logging.getLogger("watchword.clients")


class ClientToken(msgspec.Struct, frozen=True):
    """A client's own access token. `expires_in` is in seconds.

    `bound`: whether the token works only with proofs of a DPoP key.
    """

    access_token: str
    expires_in: int
    scope: tuple[str, ...]
    bound: bool


class ClientTokens:
    """Issues access tokens to clients, without asking the store."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        policy: Policy,
        issuer: str,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._keys = keys
        self._policy = policy
        self.issuer = issuer
        self._clock = clock
        self._entropy = entropy

    def issue(self, client: Client, requested: RequestedToken) -> ClientToken:
        """An access token for a client that has been authenticated.

        Raises UnauthorizedClient, InvalidProof, InvalidScope, InvalidTarget.
        """
        if GrantType.CLIENT_CREDENTIALS not in client.grants:
            raise UnauthorizedClient
        if client.dpop and requested.jkt is None:
            raise InvalidProof("This client must send a DPoP proof.")
        scope = client.scope if requested.scope is None else requested.scope
        if not set(scope) <= set(client.scope):
            raise InvalidScope
        audience = client.audience or (self._policy.audience,)
        if not set(requested.resources or ()) <= set(audience):
            raise InvalidTarget
        claims = client_claims(
            client.id,
            RequestedToken(scope, requested.resources, requested.jkt),
            issuer=self.issuer,
            audience=audience,
            life=client.access_ttl or self._policy.access_ttl,
            jti=self._entropy(16).hex(),
            now=self._clock(),
        )
        token = self._keys.active.sign(claims, {})
        # Not recorded in the audit log. That would be a durable write, for a token that
        # changes nothing and needs no store, and a service may ask for one at each of
        # its calls.
        _log.info("access token %s for client %s", claims.jti, client.id)
        life = claims.exp - claims.iat
        return ClientToken(token, life, scope, claims.cnf is not None)
