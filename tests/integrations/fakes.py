"""An issuer elsewhere, and the verifier that an API would have of it, without HTTP."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Self

from tests.verify.minting import Bench
from watchword.core.access_token import Claims
from watchword.errors import StoreUnavailable

ISSUER: Final = "https://auth.example"


class FakeIssuer(Bench):
    """Signs tokens, knows which sessions ended, and can be cut off."""

    def __init__(self) -> None:
        super().__init__("ES256")
        self.is_cut_off = False
        self.asked_for: dict[str, Any] = {}
        self.proofs: list[tuple[str | None, str, str]] = []

    def verifier(self, issuer: str, audience: str = "api", **given: Any) -> Verifier:
        """In the place of `watchword.verify.Verifier`."""
        assert issuer == ISSUER
        self.asked_for = {"audience": audience, **given}
        return Verifier(self)

    def sync_verifier(
        self, issuer: str, audience: str = "api", **given: Any
    ) -> SyncVerifier:
        """In the place of `watchword.verify.SyncVerifier`."""
        return SyncVerifier(self.verifier(issuer, audience, **given))


class Verifier:
    """The interface of `watchword.verify.Verifier`, over a checker of this process."""

    def __init__(self, elsewhere: FakeIssuer) -> None:
        self._elsewhere = elsewhere
        self.checker = elsewhere.checker
        self.require = self.checker.require

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def verify(self, token: str) -> Claims:
        if self._elsewhere.is_cut_off:
            raise StoreUnavailable(retry_after=5)
        return self.checker.verify(token)

    async def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        self._elsewhere.proofs.append((proof, method, url))
        return self.checker.verify_for(token, ["api"])


class SyncVerifier:
    """The interface of `watchword.verify.SyncVerifier`."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self.require = verifier.require

    def verify(self, token: str) -> Claims:
        return asyncio.run(self._verifier.verify(token))

    def verify_bound(self, token: str, proof: str | None, **request: Any) -> Claims:
        return asyncio.run(self._verifier.verify_bound(token, proof, **request))

    def close(self) -> None:
        pass
