"""The sign-in of a browser at this server: the session that the pages stand on.

It is a session of the client `_pages`. Its cookie is not rotated by use, because a
browser loads pages side by side and ahead of time. It is rotated by each sign-in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from watchword.accounts.new_networks import NewNetworks
from watchword.core.actor import By, EndReason
from watchword.core.policies import PAGES
from watchword.core.session import (
    EVERYTHING,
    Authenticated,
    Session,
    SessionOptions,
    TokenSet,
)
from watchword.ports.credentials import Spending
from watchword.sessions import Sessions
from watchword.sessions.browser import BrowserSessions
from watchword.sign_in.begin import SignIn
from watchword.sign_in.continuation import Binding, SecondStepGate

PAGES_BINDING: Final = Binding(client_id=PAGES)
"""The binding of continuations of the pages, which keep them in a cookie."""

_OPTIONS: Final = SessionOptions(client_id=PAGES, cookie=True)


class BrowserSignIn:
    """Begins, finds and ends the sessions of browsers.

    The `TokenSet` of such a session has no access token. Its refresh token is for the
    cookie of `server/sign_in_cookie.py` alone.
    """

    def __init__(
        self,
        *,
        sign_in: SignIn,
        sessions: Sessions,
        browsers: BrowserSessions,
        networks: NewNetworks,
        gate: SecondStepGate,
    ) -> None:
        self._gate = gate
        self._sign_in = sign_in
        self._sessions = sessions
        self._browsers = browsers
        self._networks = networks

    async def begin(
        self,
        authenticated: Authenticated,
        *,
        cookie: str = "",
        mailbox: bool = False,
        spends: Spending | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
        address: str,
        user_agent: str,
    ) -> TokenSet:
        """The session of this browser, signed in now.

        `cookie` is what the browser has. A session of the same account goes on under a
        new token, and nothing ends. One of another account ends with its group, as does
        one that has run out or would do so soon. For `mailbox`, `spends` and `settle`
        see `SignIn.begin`, which this raises as. Whatever is raised, the session is
        ended.
        """
        await self._gate.check(
            authenticated, None, EVERYTHING, PAGES_BINDING, mailbox=mailbox
        )
        begun = partial(self._begun, cookie, authenticated, address, user_agent)
        last = None
        if spends is not None or settle is not None:
            last = await self._last_seen(cookie, authenticated, address)
        if last is None:
            return await begun(spends=spends, settle=settle)
        # What serves once is spent before the session of the cookie is touched: if a
        # form comes a second time, that session goes on.
        if spends is not None:
            await self._gate.spend_code(spends)
        async with self._gate.given_back_on_failure(spends):
            if settle is not None:
                await settle()
            return await begun(last=last)

    async def _begun(
        self,
        cookie: str,
        authenticated: Authenticated,
        address: str,
        user_agent: str,
        *,
        spends: Spending | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
        last: str | None = None,
    ) -> TokenSet:
        """The session of the cookie, rotated, or another one in its place.

        A session that goes on takes nothing along: with `spends` or `settle` there is
        another one. `last` is where it was seen before this request, if that is known.
        """
        again = None
        if spends is None and settle is None:
            again = await self._browsers.sign_in_again(cookie, authenticated, address)
        if again is not None:
            tokens, seen = again
            session = tokens.session
            await self._sign_in.look_again(session, authenticated, address=address)
            async with self._sessions.taken_back_on_failure(session.id, address):
                before = seen if last is None else last
                await self._networks.signed_in_at(session, before, address)
            return tokens
        return await self._sign_in.begin(
            authenticated,
            _OPTIONS,
            replaces=cookie,
            spends=spends,
            settle=settle,
            address=address,
            user_agent=user_agent,
        )

    async def _last_seen(
        self, cookie: str, authenticated: Authenticated, address: str
    ) -> str | None:
        """Where the cookie's live session of the same account was seen before.

        None where there is no such session. The use is written, as that of a page is.
        """
        found = await self._browsers.used(cookie, address) if cookie else None
        if found is None or found[0].account_id != authenticated.account_id:
            return None
        return found[1]

    async def session_of(
        self, cookie: str, *, address: str, user_agent: str = ""
    ) -> Session | None:
        """The session of that cookie, if it is alive, and note its use.

        A cookie that a sign-in had replaced some time ago ends its session. A use from
        a network that is new to the session is told to the account's owner. Raises
        StoreUnavailable.
        """
        found = await self._browsers.used(cookie, address)
        if found is None:
            return None
        session, last = found
        await self._networks.note(session, last, address, user_agent)
        return session

    async def end(self, cookie: str, *, by: By) -> None:
        """End the session of that cookie, if there is one. Raises StoreUnavailable.

        As at `/logout`, a token of any generation does.
        """
        session = await self._sessions.session_of(cookie)
        if session is not None and session.client_id == PAGES:
            await self._sessions.end_one(session.id, EndReason.LOGOUT, by=by)
