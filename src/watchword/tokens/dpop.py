"""DPoP proofs (RFC 9449): the sender of a request holds the key of its token.

    proof -> size -> shape -> header, its key -> claims -> nonce -> signature -> jti

`Proofs.check` is the list of section 4.3 except for its first item: only the HTTP edge
can see that there is exactly one header `DPoP`. The signature is verified late, because
it costs most and those of several proofs are verified faster together. An error may say
what is wrong with a proof, which is no secret, but never contains text of the proof.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from watchword.core import base64url, limits
from watchword.errors import InvalidProof, NonceNeeded
from watchword.tokens import jose, jwk

TYPE: Final = "dpop+jwt"
DPOP_ALGORITHMS: Final = ("ES256", "Ed25519", "EdDSA", "RS256", "PS256")
"""Algorithms that a client may sign with: `dpop_signing_alg_values_supported`."""

_JTI_MAX: Final = 256
_NONCE_BYTES: Final = 18
# Bytes of the hash that stands for a proof. Only the owner of a key could make two of
# its proofs collide, and would gain nothing: the second one is refused.
_ONCE_BYTES: Final = 16


class Nonces:
    """Nonces that need no memory: a MAC over the time step in which they were made.

    `keys` are used for nothing else. The first one makes nonces, and those of all keys
    are accepted. `role` keeps the nonces of authorization server and resource server
    apart (RFC 9449 §9). `clock` gives milliseconds since the epoch.
    """

    def __init__(
        self, keys: Sequence[bytes], role: str, clock: Callable[[], int]
    ) -> None:
        self._keys = tuple(keys)
        self._role = role.encode()
        self._clock = clock
        self._step: int | None = None
        self._current = ""
        self._accepted: frozenset[str] = frozenset()

    def current(self) -> str:
        """The nonce to hand out: 24 characters that need no quoting."""
        self._follow()
        return self._current

    def accepts(self, nonce: str) -> bool:
        """Whether it was handed out under these keys and this role, and is recent."""
        self._follow()
        # No constant-time comparison: a nonce is no secret, each caller is given one.
        return nonce in self._accepted

    def _follow(self) -> None:
        step = self._clock() // limits.DPOP_NONCE_STEP
        if step == self._step:
            return
        # One step ahead too: another worker's clock may be there already.
        steps = range(step + 1, step - limits.DPOP_NONCE_STEPS, -1)
        self._accepted = frozenset(
            self._nonce(key, at) for key in self._keys for at in steps
        )
        self._current = self._nonce(self._keys[0], step)
        self._step = step

    def _nonce(self, key: bytes, step: int) -> str:
        message = b"%b\0%d" % (self._role, step)
        mac = hmac.digest(key, message, "sha256")[:_NONCE_BYTES]
        return base64url.encode(mac).decode()


class Signed(msgspec.Struct, frozen=True):
    """A proof with nothing wrong so far. Signature and first use are still unchecked.

    `once` identifies the proof by a hash of its key, request and `jti`. From `until`
    (milliseconds since the epoch) on the proof can no longer be accepted.
    """

    key: jose.PublicKey
    text: bytes
    signature: bytes
    once: bytes
    until: int


UseOnce = Callable[[Sequence[tuple[bytes, int]]], Awaitable[Sequence[bool]]]
"""The port's `use_once`: says of each key whether this is its first use."""

Work = Callable[[Sequence[Signed]], Awaitable[Sequence[Exception | None]]]
Batched = Callable[[Work], Callable[[bytes, Signed], Awaitable[None]]]
"""Turns work on a batch of proofs into a call for one proof.

A batch never has two proofs with the same `once`.
"""


def one_by_one(work: Work) -> Callable[[bytes, Signed], Awaitable[None]]:
    """The `Batched` of a process that does not batch: each proof is its own batch."""

    async def settle(_: bytes, proof: Signed) -> None:
        (fault,) = await work([proof])
        if fault is not None:
            raise fault

    return settle


class Proofs:
    """Checks proofs for one role: authorization server or resource server.

    `use_once` MUST be shared by all processes that accept the same nonces.
    """

    def __init__(
        self,
        *,
        nonces: Nonces,
        use_once: UseOnce,
        clock: Callable[[], int],
        batched: Batched = one_by_one,
    ) -> None:
        self.nonces = nonces
        self._use_once = use_once
        self._clock = clock
        self._settle_in_batch = batched(self.settle)

    async def check(
        self, proof: str, *, method: str, url: str, access_token: str | None = None
    ) -> str:
        """The thumbprint (RFC 7638) of the key that made this proof for this request.

        `url` is the request's as clients know it. Raises InvalidProof or NonceNeeded,
        and whatever `use_once` raises.
        """
        read = self.read(proof, method=method, url=url, access_token=access_token)
        await self.settle_one(read)
        return read.key.kid

    @staticmethod
    def verify(proof: Signed) -> None:
        """Verify the signature alone: the same proof may come again.

        It is for a call that any caller may make and that grants nothing: recording the
        use would be a write for each request. Raises InvalidProof.
        """
        if not proof.key.verifies(proof.text, proof.signature):
            raise _refused(_NOT_THE_KEYS)

    async def settle_one(self, proof: Signed) -> None:
        """Verify the signature and record the use, in a batch with other proofs.

        Raises InvalidProof, and whatever `use_once` raises.
        """
        await self._settle_in_batch(proof.once, proof)

    def read(
        self, proof: str, *, method: str, url: str, access_token: str | None = None
    ) -> Signed:
        """A proof that passed every check but those of `settle`. It proves nothing yet.

        `url` is the request's as clients know it; query and fragment are ignored.
        Raises InvalidProof or NonceNeeded.
        """
        try:
            parts = jose.split(proof, limits.DPOP_PROOF_MAX)
            key = _key(parts.head)
            signature = jose.decode(parts.signature)
            claims = jose.read_object(jose.decode(parts.body))
            _check_request(claims, method, url)
            issued = self._check_age(claims)
            if access_token is not None:
                _check_token(claims, access_token)
            jti = _jti(claims)
        except jose.Malformed as fault:
            raise _refused(str(fault)) from None
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not self.nonces.accepts(nonce):
            raise NonceNeeded(self.nonces.current())
        # The length of `jti` is part of it: otherwise one string could stand for two
        # different pairs of `jti` and URL.
        once = f"{key.kid} {method} {len(jti)} {jti} {url}"
        digest = hashlib.sha256(once.encode("utf-8")).digest()[:_ONCE_BYTES]
        # A worker with a clock that is behind accepts the proof for that much longer.
        until = issued + limits.DPOP_CLOCK + limits.DPOP_NONCE_STEP
        return Signed(key, parts.signed, signature, digest, until)

    async def settle(self, proofs: Sequence[Signed]) -> list[Exception | None]:
        """Verify all signatures, then record the good proofs as used.

        Returns for each proof what is wrong with it, or None. Raises nothing: if the
        store fails, its error is returned for all of them.
        """
        verified = [one.key.verifies(one.text, one.signature) for one in proofs]
        good = {p.once: p.until for p, ok in zip(proofs, verified, strict=True) if ok}
        try:
            new = await self._use_once(list(good.items()))
        except Exception as error:  # noqa: BLE001 - each caller gets it
            return [error] * len(proofs)
        unused = {once for once, first in zip(good, new, strict=True) if first}
        faults: list[Exception | None] = []
        for one, ok in zip(proofs, verified, strict=True):
            if not ok:
                faults.append(_refused(_NOT_THE_KEYS))
            elif one.once not in unused:
                faults.append(_refused("it was used before"))
            else:
                unused.remove(one.once)  # the same proof may be in the batch twice
                faults.append(None)
        return faults

    def _check_age(self, claims: dict[str, Any]) -> int:
        issued = claims.get("iat")
        if type(issued) is not int:  # True is an int too
            raise jose.Malformed("iat is not a whole number")
        if abs(self._clock() - issued * 1000) > limits.DPOP_CLOCK:
            raise jose.Malformed("iat is too far from the server's clock")
        return issued * 1000


def _refused(why: str) -> InvalidProof:
    return InvalidProof(f"The DPoP proof is not valid: {why}.")


def _check_request(claims: dict[str, Any], method: str, url: str) -> None:
    if claims.get("htm") != method:
        raise jose.Malformed("htm is not the request's method")
    htu = claims.get("htu")
    if not isinstance(htu, str):
        raise jose.Malformed("htu is not text")
    # Most clients write the URL as the server does: only others cost the normalising.
    if htu != url and _normal(htu) != _expected(url):
        raise jose.Malformed("htu is not the request's URL")


def _check_token(claims: dict[str, Any], access_token: str) -> None:
    ath = claims.get("ath")
    digest = hashlib.sha256(access_token.encode("utf-8", "surrogatepass")).digest()
    expected = base64url.encode(digest)
    if not isinstance(ath, str) or not hmac.compare_digest(
        ath.encode("utf-8", "surrogatepass"), expected
    ):
        raise jose.Malformed("ath is not the access token's")


def _jti(claims: dict[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _JTI_MAX:
        raise jose.Malformed(f"jti is not 1 to {_JTI_MAX} characters of text")
    return jti


# A client uses one key for many proofs, so the same headers come again. A header that
# is refused is not kept.
@lru_cache(maxsize=limits.DPOP_KEYS_CACHED)
def _key(head: str) -> jose.PublicKey:
    """The key in a header, bound to the header's algorithm. Its id is its thumbprint.

    Only the members that make the key are taken over, in their one canonical spelling,
    so that a key has only one thumbprint (RFC 7638). Raises Malformed.
    """
    alg, header = jose.read_header(head, TYPE, DPOP_ALGORITHMS)
    given = header.get("jwk")
    if not isinstance(given, dict):
        raise jose.Malformed("jwk is not an object")
    key = jwk.read_key(given, alg)
    return jose.PublicKey(key.thumbprint(), alg, key)


# An absolute http(s) URL with characters of RFC 3986 only, without user information.
_URL: Final = re.compile(
    r"(https?)://"
    r"((?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})+|\[[0-9a-f:.]+\])"
    r"(?::(\d*))?"
    r"((?:/(?:[\w.~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?)"
    r"(?:[?#][!-~]*)?\Z",
    re.ASCII | re.IGNORECASE,
)
_ESCAPE: Final = re.compile("%[0-9a-fA-F]{2}")
_UNRESERVED: Final = re.compile(r"[\w.~-]\Z", re.ASCII)
_PORTS: Final = {"http": "80", "https": "443"}
_NOT_THE_KEYS: Final = "the signature is not the key's"


def _normal(url: str) -> tuple[str, str, str, str]:
    """Scheme, host, port and path, normalised (RFC 3986 §6.2.2 and §6.2.3)."""
    found = _URL.match(url)
    if found is None:
        raise jose.Malformed("htu is no http(s) URL")
    scheme, host, port, path = found.groups(default="")
    scheme = scheme.lower()
    if port == _PORTS[scheme]:
        port = ""
    host = _ESCAPE.sub(_unescaped, host).lower()
    return scheme, host, port, _without_dots(_ESCAPE.sub(_unescaped, path))


# The server's own URLs: one per endpoint.
_expected = lru_cache(maxsize=64)(_normal)


def _unescaped(escape: re.Match[str]) -> str:
    char = chr(int(escape[0][1:], 16))
    return char if _UNRESERVED.match(char) else escape[0].upper()


def _without_dots(path: str) -> str:
    """Dot segments removed (RFC 3986 §5.2.4); the empty path is the root."""
    kept: list[str] = []
    last = ""
    for last in path.split("/")[1:]:
        if last == "..":
            del kept[-1:]
        elif last != ".":
            kept.append(last)
    if last in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
