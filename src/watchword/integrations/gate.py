"""Headers in, claims out: what every framework asks, and how a refusal looks.

Needs `verify` and `errors` alone: an API which only verifies installs no server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, Protocol, TypedDict

from watchword import verify
from watchword.core.access_token import Claims
from watchword.errors import TokenInvalid, WatchwordError
from watchword.verify.challenges import Refusal, refusal
from watchword.verify.checker import Checker
from watchword.verify.event_loop import need_asyncio
from watchword.verify.presented import Headers, address_of, presented, scheme_of

SECURITY_SCHEME: Final = "bearer"
"""Its name in OpenAPI: the same in the documents of both sides."""


class Needs(TypedDict, total=False):
    """What is needed besides a good token: all of the scope and roles.

    `max_age` is in seconds since the sign-in; any of `acr_values` will do (RFC 9470).
    """

    scope: Sequence[str]
    roles: Sequence[str]
    max_age: int | None
    acr_values: Sequence[str]


def checked(needs: Needs) -> Needs:
    """The same. Raises TypeError for text where a list is meant.

    `scope="orders"` would ask for six scopes of a letter each, which nobody has.
    """
    for name in ("scope", "roles", "acr_values"):
        if isinstance(needs.get(name), str):
            raise TypeError(f'{name} is a list: {name}=["{needs[name]}"]')
    return needs


class Verifies(Protocol):
    """What `watchword.verify.Verifier` and the engine of an app have in common."""

    @property
    def checker(self) -> Checker:
        """What judges without asking anybody."""

    async def verify(self, token: str) -> Claims:
        """The claims of a good token."""

    async def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        """The claims of a good token that came with the proof of its key."""

    def require(
        self,
        claims: Claims,
        *,
        scope: Sequence[str] = (),
        roles: Sequence[str] = (),
        max_age: int | None = None,
        acr_values: Sequence[str] = (),
    ) -> None:
        """Raises unless the claims have what is needed."""


class Engine(Protocol):
    """What a gate needs of a `watchword.Watchword`, which this module cannot name."""

    @property
    def checker(self) -> Checker:
        """Verifies without asking anybody."""


class Inside:
    """The checker of an engine in this process, as `Verifies`."""

    def __init__(self, engine: Engine) -> None:
        self.checker: Final = engine.checker

    async def verify(self, token: str) -> Claims:
        return self.checker.verify(token)

    async def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        return await self.checker.verify_bound(token, proof, method=method, url=url)

    def require(self, claims: Claims, **needs: Any) -> None:  # noqa: ANN401 - Needs
        self.checker.require(claims, **needs)


class Gate:
    """What the requests of an app pass, once `open` has been entered.

    `address` is where callers find the app, for DPoP; without it no token that is bound
    to a key is accepted.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._verifier: Verifies | None = None
        self._lent: Engine | None = None
        self._is_open = False

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """To be entered once per process, in the event loop of the requests.

        Raises RuntimeError where it has been entered already, and does no harm to what
        runs: two would have one engine, of which the first to end takes it away. Also
        elsewhere than on asyncio.
        """
        need_asyncio("Watchword")
        if self._lent is not None:
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

    def begin_anew(self) -> None:
        """In a forked child: what the parent has opened is not open here."""
        self._is_open = False
        self._verifier = None

    def _open(self) -> AbstractAsyncContextManager[None]:
        raise NotImplementedError

    @contextlib.contextmanager
    def lent(self, engine: Engine) -> Iterator[None]:
        """Until left, the app runs on that engine and opens nothing: for its tests."""
        self._lent, self._verifier = engine, Inside(engine)
        try:
            yield
        finally:
            self._lent = self._verifier = None

    @property
    def checker_lent(self) -> Checker | None:
        """That of the engine which a test has lent; None where none is."""
        return None if self._lent is None else self._lent.checker

    def described(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings, and what the app plugs in, of an engine that can be lent."""
        raise NotImplementedError

    def served_at(self, scope: Mapping[str, Any]) -> None:
        """A request came: its `scheme`, `server` and `client`, as ASGI has them."""

    @property
    def verifier(self) -> Verifies:
        """Raises RuntimeError where the app forgot to run the lifespan."""
        if self._verifier is None:
            raise RuntimeError(
                "Watchword does not run: give the app its lifespan "
                "(lifespan=auth.lifespan), and in tests enter the test client (`with`)"
            )
        return self._verifier

    async def claims(self, headers: Headers, method: str, path: str) -> Claims:
        """The claims of a request, whose path is as `address` has it.

        Raises AccessTokenError; InvalidRequest for malformed headers; TryAgain.
        """
        shown = presented(headers)
        if shown.scheme == "Bearer":
            return await self.verifier.verify(shown.token)
        if self._address is None:
            raise TokenInvalid
        url = address_of(self._address, path)
        return await self.verifier.verify_bound(
            shown.token, shown.proof, method=method, url=url
        )

    def require(self, claims: Claims, needs: Needs) -> None:
        """Raises InsufficientScope, InsufficientRole, InsufficientAuthentication."""
        self.verifier.require(claims, **needs)

    def refuse(self, error: WatchwordError, headers: Headers) -> Refusal:
        """The answer to a request with these headers; raises what is not its fault."""
        dpop = self._address is not None
        return refusal(error, scheme_of(headers), dpop=dpop)


class Remote(Gate):
    """Verifies the tokens of a Watchword elsewhere."""

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        feed: tuple[str, str] | None = None,
        cut_off: Literal["closed", "open"] = "closed",
        address: str | None = None,
    ) -> None:
        super().__init__(address)
        self._issuer = issuer
        self._audience = audience
        self._feed = feed
        self._cut_off = cut_off

    def described(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"issuer": self._issuer, "audience": self._audience}, {}

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        verifier = verify.Verifier(
            self._issuer, self._audience, feed=self._feed, cut_off=self._cut_off
        )
        async with verifier:
            self._verifier = verifier
            try:
                yield
            finally:
                self._verifier = None
