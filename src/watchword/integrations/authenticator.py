"""Headers in, claims out: the checks of every framework, and how a refusal looks.

It needs only `verify` and what is below it: an API that just verifies installs no
server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, Unpack

from watchword import verify
from watchword.core.access_token import Claims
from watchword.errors import TokenInvalid, WatchwordError
from watchword.tokens.challenges import Refusal, refusal
from watchword.tokens.checker import Checker, Needs
from watchword.tokens.headers import Headers, scheme_of, token_in, url_of
from watchword.verify.event_loop import need_asyncio
from watchword.verify.options import CutOff, VerifierOptions

SECURITY_SCHEME: Final = "bearer"
"""The scheme's name in OpenAPI, for `Auth` and `ResourceServer` alike."""


def checked(needs: Needs) -> Needs:
    """The needs as given. Raises TypeError for a text in place of a list.

    `scope="orders"` would ask for six scopes of one letter each, which no token has.
    """
    for name in ("scope", "roles", "acr_values"):
        if isinstance(needs.get(name), str):
            raise TypeError(f'{name} is a list: {name}=["{needs[name]}"]')
    return needs


class TokenVerifier(Protocol):
    """What verifies access tokens: `watchword.verify.Verifier`, or a LocalVerifier."""

    @property
    def checker(self) -> Checker:
        """The checker, which judges a token without I/O."""

    async def verify(self, token: str) -> Claims:
        """The claims of a token that comes by the scheme Bearer."""

    async def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        """The claims of a token that comes with a proof of its key (DPoP)."""

    def require(self, claims: Claims, **needs: Unpack[Needs]) -> None:
        """Raises InsufficientScope, InsufficientRole, InsufficientAuthentication."""


class Engine(Protocol):
    """The part of `watchword.Watchword` that is used here, without importing it."""

    @property
    def checker(self) -> Checker:
        """The checker, which judges a token without I/O."""


class LocalVerifier:
    """Verifies by the checker of an engine in this process."""

    def __init__(self, engine: Engine) -> None:
        self.checker: Final = engine.checker

    async def verify(self, token: str) -> Claims:
        return self.checker.verify(token)

    async def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        return await self.checker.verify_bound(token, proof, method=method, url=url)

    def require(self, claims: Claims, **needs: Unpack[Needs]) -> None:
        self.checker.require(claims, **needs)


class Authenticator:
    """Checks the requests of an app, once `open` has been entered.

    `address` is the URL at which callers reach the app, for DPoP. Without it no token
    that is bound to a key is accepted.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._verifier: TokenVerifier | None = None
        self._test_engine: Engine | None = None
        self._is_open = False

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """A block to be entered once per process, in the event loop of the requests.

        Raises RuntimeError if it has been entered already; the first one goes on. Two
        would share one engine, and the first to end would close it for both. Raises
        RuntimeError also on an event loop that is not asyncio's.
        """
        need_asyncio("Watchword")
        if self._test_engine is not None:
            yield
            return
        if self._is_open:
            raise RuntimeError(
                "Watchword runs already: the lifespan of this Auth or ResourceServer "
                "was entered a second time. Give each app that runs one of its own, or "
                "enter it in the outermost app alone"
            )
        self._is_open = True
        try:
            async with self._open():
                yield
        finally:
            self._is_open = False

    def reset_after_fork(self) -> None:
        """In a forked child, forget what is open in the parent: it is not open here."""
        self._is_open = False
        self._verifier = None

    def _open(self) -> AbstractAsyncContextManager[None]:
        raise NotImplementedError

    @contextlib.contextmanager
    def use_engine(self, engine: Engine) -> Iterator[None]:
        """A block in which the app runs on that engine and opens nothing, for tests."""
        self._test_engine, self._verifier = engine, LocalVerifier(engine)
        try:
            yield
        finally:
            self._test_engine = self._verifier = None

    @property
    def test_checker(self) -> Checker | None:
        """The checker of the engine that a test runs; None outside of such a test."""
        return None if self._test_engine is None else self._test_engine.checker

    def engine_options(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings and hooks of the app, for the engine that a test makes."""
        raise NotImplementedError

    def served_at(self, scope: Mapping[str, Any]) -> None:
        """Called for each request with `scheme`, `server` and `client` as in ASGI."""

    @property
    def verifier(self) -> TokenVerifier:
        """The verifier. Raises RuntimeError if the app does not run the lifespan."""
        if self._verifier is None:
            raise RuntimeError(
                "Watchword does not run: give the app its lifespan "
                "(lifespan=auth.lifespan), and in tests enter the test client (`with`)"
            )
        return self._verifier

    async def claims(self, headers: Headers, method: str, path: str) -> Claims:
        """The claims of a request. `path` is the path below `address`.

        Raises AccessTokenError, TryAgain, and InvalidRequest for malformed headers.
        """
        presented = token_in(headers)
        if presented.scheme == "Bearer":
            return await self.verifier.verify(presented.token)
        return await self.verifier.verify_bound(
            presented.token, presented.proof, method=method, url=self.url_of(path)
        )

    def url_of(self, path: str) -> str:
        """The URL that a DPoP proof must name. `path` is the path below `address`.

        Raises TokenInvalid without `address`: then no bound token is accepted.
        """
        if self._address is None:
            raise TokenInvalid
        return url_of(self._address, path)

    def require(self, claims: Claims, needs: Needs) -> None:
        """Raises InsufficientScope, InsufficientRole, InsufficientAuthentication."""
        self.verifier.require(claims, **needs)

    def refuse(self, error: WatchwordError, headers: Headers) -> Refusal:
        """The answer to a request with these headers.

        An error that has no HTTP status is raised again: the framework answers it.
        """
        dpop = self._address is not None
        return refusal(error, scheme_of(headers), dpop=dpop)


class RemoteVerifier(Authenticator):
    """Verifies the tokens of a Watchword server elsewhere."""

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        address: str | None = None,
        feed: tuple[str, str] | None = None,
        cut_off: CutOff = "closed",
    ) -> None:
        super().__init__(address)
        self._issuer = issuer
        self._audience = audience
        # Each option is a parameter, so that an unknown one raises before the app runs.
        self._options: VerifierOptions = {"feed": feed, "cut_off": cut_off}

    def engine_options(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"issuer": self._issuer, "audience": self._audience}, {}

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        verifier = verify.Verifier(self._issuer, self._audience, **self._options)
        async with verifier:
            self._verifier = verifier
            try:
                yield
            finally:
                self._verifier = None
