"""One access token, from text to claims (RFC 9068 §4, RFC 8725bis §3).

Order: bound the size, split, read the header, choose the key, verify the signature,
check the claims, ask whether the session has ended. A verified token is kept, so that
its signature is checked once. What may change between two uses is checked every time:
whether its key is still published, its binding, its audience, its expiry, its session.
"""

from __future__ import annotations

import copy
import hmac
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, TypedDict

import msgspec

from watchword.core import limits
from watchword.core.access_token import TYPE, Claims, check_claims, read_claims
from watchword.errors import (
    InsufficientAuthentication,
    InsufficientRole,
    InsufficientScope,
    InvalidProof,
    NonceNeeded,
    TokenExpired,
    TokenInvalid,
    TokenNonceNeeded,
    TokenProofInvalid,
    TokenRevoked,
)
from watchword.tokens import jose
from watchword.tokens.dpop import Proofs, Signed


class Needs(TypedDict, total=False):
    """What is needed besides a good token: all of `scope` and all of `roles`.

    `max_age` is in seconds since the sign-in; any of `acr_values` will do (RFC 9470).
    """

    scope: Sequence[str]
    roles: Sequence[str]
    max_age: int | None
    acr_values: Sequence[str]


class Checker:
    """Checks access tokens of one issuer for one audience.

    `key_of` returns the published key of an id, or None, or raises. `has_ended` says
    whether a session (its `sid`) was revoked, and raises StoreUnavailable when it
    cannot know. `clock` gives milliseconds since the epoch. Without `proofs` no token
    that is bound to a key is accepted.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        key_of: Callable[[str], jose.PublicKey | None],
        has_ended: Callable[[str], bool],
        clock: Callable[[], int],
        proofs: Proofs | None = None,
    ) -> None:
        self.issuer = issuer
        self._audience = audience
        self._key_of = key_of
        self._has_ended = has_ended
        self._clock = clock
        self._proofs = proofs
        # The key is the whole token with its signature, and an entry is made only after
        # the signature was verified. The oldest entry leaves first: a flood of new
        # tokens costs verifications, never memory.
        self._verified: OrderedDict[str, tuple[Claims, str]] = OrderedDict()

    def verify(self, token: str) -> Claims:
        """The claims of a token that is genuine, in time, and of a living session.

        For `Authorization: Bearer`: a token that is bound to a key (`cnf`) is invalid
        there (RFC 9449 §7.2). Raises TokenInvalid, TokenExpired or TokenRevoked, and
        StoreUnavailable where the revocations are not known. TokenInvalid never says
        what was wrong with the token.
        """
        return self._check(token, (self._audience,), bound=False)

    async def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        """The claims of a token that came with the proof of its key (RFC 9449 §7.1).

        For `Authorization: DPoP`. `method` and `url` are the request's. Raises what
        `verify` raises, and TokenInvalid too where the token is bound to another key or
        to none. Raises TokenProofInvalid or TokenNonceNeeded for the proof.
        """
        claims = self._check(token, (self._audience,), bound=True)
        if self._proofs is None or claims.cnf is None:
            raise TokenInvalid
        if proof is None:
            raise TokenProofInvalid("The DPoP proof is missing.")
        try:
            read = self._proofs.read(proof, method=method, url=url, access_token=token)
            _check_key(read, claims.cnf.jkt)
            await self._proofs.settle_one(read)
        except NonceNeeded as needed:
            raise TokenNonceNeeded(needed.nonce) from None
        except InvalidProof as fault:
            raise TokenProofInvalid(str(fault)) from None
        return claims

    def verify_for(self, token: str, audiences: Collection[str]) -> Claims:
        """The claims of a token that is good for one of these audiences.

        It may be bound to a key or not. This is for introspection, where the request
        brings no proof of the token's key. Raises what `verify` raises.
        """
        return self._check(token, audiences, bound=None)

    def check_alive(self, claims: Claims) -> None:
        """Raises unless claims that were verified before are still good.

        For a caller that holds a connection open. A token that is bound to a key needs
        no new proof. Raises TokenExpired or TokenRevoked, and StoreUnavailable where
        the revocations are not known.
        """
        check_claims(claims, (self._audience,), self._clock())
        if claims.sid is not None and self._has_ended(claims.sid):
            raise TokenRevoked

    def verify_signature(self, token: str) -> Claims:
        """The claims of a genuine token, whatever its audience, expiry and session.

        For a logout: a caller that holds any token of a session may end that session.
        Raises TokenInvalid.
        """
        payload, _ = _open(token, self._key_of)
        return read_claims(payload, self.issuer)

    def require(
        self,
        claims: Claims,
        *,
        scope: Sequence[str] = (),
        roles: Sequence[str] = (),
        max_age: int | None = None,
        acr_values: Sequence[str] = (),
    ) -> None:
        """Raises unless the claims have the scope, the roles and a good enough sign-in.

        All of `scope` and all of `roles` are needed. `max_age` is in seconds since the
        sign-in, and one of `acr_values` is enough. A client's own token comes from no
        sign-in and satisfies neither. Raises InsufficientScope, InsufficientRole or
        InsufficientAuthentication (RFC 9470 §3).
        """
        granted = (claims.scope or "").split(" ")
        if not set(scope).issubset(granted):
            raise InsufficientScope(" ".join(scope))
        if not set(roles).issubset(claims.roles):
            raise InsufficientRole
        old = max_age is not None and (
            claims.auth_time is None
            or self._clock() // 1000 - claims.auth_time > max_age
        )
        if old or (acr_values and claims.acr not in acr_values):
            raise InsufficientAuthentication(
                acr_values=" ".join(acr_values) or None, max_age=max_age
            )

    def _check(
        self, token: str, audiences: Collection[str], *, bound: bool | None
    ) -> Claims:
        """The claims of a good token. `bound` None accepts bound and unbound tokens."""
        known = self._verified.get(token)
        now = self._clock()
        # A cached token is opened again when its key is no longer published, and then
        # refused.
        if new := known is None or self._key_of(known[1]) is None:
            payload, kid = _open(token, self._key_of)
            known = read_claims(payload, self.issuer), kid
        assert known is not None  # noqa: S101 - mypy does not follow
        claims = known[0]
        if bound is not None and bound is (claims.cnf is None):
            raise TokenInvalid
        try:
            check_claims(claims, audiences, now)
        except TokenExpired:
            self._verified.pop(token, None)
            raise
        if new:
            self._keep(token, known)
        if claims.sid is not None and self._has_ended(claims.sid):
            raise TokenRevoked
        # An app may change the claims that it is given, and the cached ones are given
        # to the next request too: so each gets a copy.
        if claims.extra:
            extra = copy.deepcopy(claims.extra)
            return msgspec.structs.replace(claims, extra=extra)
        return claims

    def _keep(self, token: str, known: tuple[Claims, str]) -> None:
        self._verified[token] = known
        if len(self._verified) > limits.VERIFIED_CACHE:
            self._verified.popitem(last=False)


def _check_key(proof: Signed, jkt: str) -> None:
    """Raises TokenInvalid for a good proof by another key, InvalidProof for a bad one.

    Called before the proof is recorded as used, which is a durable write at the server:
    a caller with a token but without its key must not cause one.
    """
    if hmac.compare_digest(proof.key.kid.encode(), jkt.encode()):
        return
    if proof.key.verifies(proof.text, proof.signature):
        raise TokenInvalid
    raise InvalidProof("The DPoP proof's signature is not its key's.")


def _open(
    token: str, key_of: Callable[[str], jose.PublicKey | None]
) -> tuple[dict[str, Any], str]:
    """The payload, and the id of the key that signed it. Raises TokenInvalid."""
    try:
        parts = jose.split(token, limits.ACCESS_TOKEN_MAX)
        kid, alg = _header(parts.head)
        key = key_of(kid)
        if key is None or alg != key.alg:
            raise TokenInvalid
        if not key.verifies(parts.signed, jose.decode(parts.signature)):
            raise TokenInvalid
        return jose.read_object(jose.decode(parts.body)), kid
    except jose.Malformed:
        raise TokenInvalid from None


# In practice there is one header per signing key. A header that is refused is not kept.
@lru_cache(maxsize=64)
def _header(head: str) -> tuple[str, str]:
    """The key id and the algorithm that a header names. Raises TokenInvalid.

    `jwk`, `jku`, `x5c` and the like are not looked at: a key comes from the issuer's
    published set or not at all.
    """
    if len(head) > limits.ACCESS_TOKEN_HEADER_MAX:
        raise TokenInvalid
    alg, header = jose.read_header(head, TYPE, jose.ALGORITHMS)
    kid = header.get("kid")
    if not isinstance(kid, str) or len(kid) > limits.KEY_ID_MAX:
        raise TokenInvalid
    return kid, alg
