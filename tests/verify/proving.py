"""DPoP proofs as clients make them, and as attackers would."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from tests.verify.minting import Private, Sign, _bytes, b64, private_key, rsa_pss
from watchword.errors import NonceNeeded, WatchwordError
from watchword.keys.signing import SigningKey
from watchword.testing import ManualClock
from watchword.verify import Nonces, Proofs

METHOD: Final = "POST"
URL: Final = "https://auth.example/oauth/token"
KEYS: Final = (b"first-key-of-the-nonces-32-bytes", b"second-key")

# The private key's kind for each algorithm that a proof may be signed with.
_KINDS: Final = {"Ed25519": "EdDSA", "PS256": "RS256"}


class Prover:
    """A client with a key; every part of its proofs can be made otherwise."""

    def __init__(self, alg: str = "ES256", number: int = 0) -> None:
        self.alg = alg
        kind = _KINDS.get(alg, alg)
        self.private: Private = private_key(kind, 100 + number)
        self._key = SigningKey(self.private, kind)
        self.jkt = self._key.kid
        named = self._key.jwk()
        self.jwk = {
            name: value
            for name, value in named.items()
            if name not in {"kid", "use", "alg"}
        }

    def sign(self, text: bytes) -> bytes:
        if self.alg == "PS256":
            return rsa_pss(self.private)(text)
        return self._key._signature(text)

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header, changed; `...` takes a member out."""
        made = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk} | changes
        return {name: value for name, value in made.items() if value is not ...}

    def proof(
        self, header: Any = None, payload: Any = None, *, sign: Any = None
    ) -> str:
        """A proof of these parts, bytes as they are and the rest as JSON, signed."""
        head = self.header() if header is None else header
        text = f"{b64(_bytes(head))}.{b64(_bytes(payload))}"
        signer: Sign = sign or self.sign
        return f"{text}.{b64(signer(text.encode()))}"


class Place:
    """Where proofs are checked: one role, one store of used ones."""

    def __init__(self, role: str = "token", clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.nonces = Nonces(KEYS, role, self.clock)
        self.used: dict[bytes, int] = {}
        self.proofs = Proofs(
            nonces=self.nonces, use_once=self._use_once, clock=self.clock
        )
        self._drawn = 0

    async def _use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        first = [key not in self.used for key, _ in uses]
        self.used = dict(uses) | self.used
        return first

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims for METHOD and URL now, changed; `...` takes one out."""
        self._drawn += 1
        made = {
            "jti": f"jti-{self._drawn}",
            "htm": METHOD,
            "htu": URL,
            "iat": self.clock.now // 1000,
            "nonce": self.nonces.current(),
        }
        made |= changes
        return {name: value for name, value in made.items() if value is not ...}

    def proof(self, prover: Prover | None = None, **changes: Any) -> str:
        return (prover or Prover()).proof(payload=self.claims(**changes))

    async def code_of(
        self, proof: str, method: str = METHOD, url: str = URL, token: str | None = None
    ) -> str:
        """`ok`, or the code with which the proof is refused."""
        try:
            await self.proofs.check(proof, method=method, url=url, access_token=token)
        except WatchwordError as error:
            refused = error
        else:
            return "ok"
        # Nothing of the proof hangs behind the error.
        assert refused.__cause__ is None
        assert refused.__suppress_context__ or refused.__context__ is None
        if isinstance(refused, NonceNeeded):
            assert refused.nonce == self.nonces.current()
        return refused.code


def ath_of(token: str) -> str:
    return b64(hashlib.sha256(token.encode()).digest())
