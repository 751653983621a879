"""`Auth.browser`: the user signs in by the pages of the server, in a browser."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from typing import Final, Unpack

from watchword.client.answers import Outcome
from watchword.client.clock import Random
from watchword.client.code_flow import (
    AuthorizationRequest,
    Wanted,
    endpoint_in,
    metadata_of,
    new_request,
)
from watchword.client.loopback import Loopback
from watchword.client.refresher import Refresher
from watchword.client.runners import Exchange, Follow, arun, run
from watchword.client.session import Send
from watchword.errors import Unreachable

SECONDS: Final = 300.0
Show = Callable[[str], object]


class BrowserLogin:
    """Sign-in by the authorization code flow, as a public client.

    The program sees no password, and the user may sign in by passkey.
    """

    def __init__(
        self, issuer: str, client_id: str, refresher: Refresher, random: Random
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._refresher = refresher
        self._random = random

    def login(
        self,
        *,
        show: Show = webbrowser.open,
        seconds: float = SECONDS,
        **wanted: Unpack[Wanted],
    ) -> None:
        """Sign in by a browser on this machine. A session that is held is replaced.

        `show` is given the address that the user has to open. The answer comes to a
        port of 127.0.0.1, so the client needs the redirect URI
        `http://127.0.0.1/callback`; `first-party` has it. Raises Unreachable where the
        browser does not come back within so many seconds, WatchwordError where the user
        says no or the server has no pages, InvalidRequest where its issuer has another
        name, and what a refresh raises.
        """
        run(self._login(show, seconds, wanted))

    async def alogin(
        self,
        *,
        show: Show = webbrowser.open,
        seconds: float = SECONDS,
        **wanted: Unpack[Wanted],
    ) -> None:
        """See `BrowserLogin.login`. Does not block the event loop."""
        await arun(self._login(show, seconds, wanted))

    def request(
        self, redirect_uri: str, **wanted: Unpack[Wanted]
    ) -> AuthorizationRequest:
        """A sign-in whose answer the program receives itself: at a scheme of its own.

        Have the user open its `url`; then call `finish` with the address that the
        browser was sent to. Raises as `login`.
        """
        return run(self._request(redirect_uri, wanted))

    async def arequest(
        self, redirect_uri: str, **wanted: Unpack[Wanted]
    ) -> AuthorizationRequest:
        """See `BrowserLogin.request`. Does not block the event loop."""
        return await arun(self._request(redirect_uri, wanted))

    def finish(self, request: AuthorizationRequest, address: str) -> None:
        """Sign in by the answer to a request. Raises as `login`."""
        run(self._finish(request, address))

    async def afinish(self, request: AuthorizationRequest, address: str) -> None:
        """See `BrowserLogin.finish`. Does not block the event loop."""
        await arun(self._finish(request, address))

    def _login(self, show: Show, seconds: float, wanted: Wanted) -> Exchange[None]:
        loopback = Loopback()
        try:
            request = yield from self._request(loopback.redirect_uri, wanted)
            loopback.listen(request.is_answered_by)
            show(request.url)
            yield Follow(loopback.arrived, seconds)
        finally:
            loopback.close()
        if not loopback.address:
            raise Unreachable(
                f"The browser did not come back within {seconds:.0f} seconds."
            )
        yield from self._finish(request, loopback.address)

    def _request(
        self, redirect_uri: str, wanted: Wanted
    ) -> Exchange[AuthorizationRequest]:
        # First of all: a user is not to sign in for nothing.
        answer: Outcome = yield Send(metadata_of(self._issuer))
        key, jkt = self._refresher.key_for_code()
        return new_request(
            endpoint_in(answer, self._issuer),
            self._issuer,
            self._client_id,
            redirect_uri,
            self._random,
            key=key,
            jkt=jkt,
            **wanted,
        )

    def _finish(self, request: AuthorizationRequest, address: str) -> Exchange[None]:
        yield from self._refresher.redeem(request.code_in(address), request.key)
