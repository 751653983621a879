"""Accounts that a client asks for, and calls of accounts that need no session."""

from __future__ import annotations

from typing import Any

from watchword.client.answers import handle_in, refusal_in
from watchword.client.factors import code_of
from watchword.client.file import Memory, TokenFile
from watchword.client.keeping import read, write
from watchword.client.refresher import Refresher
from watchword.client.runners import Exchange
from watchword.client.session import Call, Issuer
from watchword.client.stored import StoredRegistration
from watchword.errors import InvalidCredentials, WatchwordError


class Registration:
    """The newest registration of a client. Its handle is kept beside the session."""

    def __init__(
        self,
        issuer: Issuer,
        refresher: Refresher,
        store: Memory[StoredRegistration] | TokenFile[StoredRegistration],
    ) -> None:
        self._issuer = issuer
        self._refresher = refresher
        self._store = store

    def ask(
        self, email: str, password: str, username: str | None, locale: str | None
    ) -> Exchange[None]:
        """Ask for an account, and keep the handle of the registration."""
        wanted = {"username": username, "locale": locale}
        call = Call("register", {"email": email, "password": password, **wanted})
        handle = handle_in((yield from self._issuer.ask(call)))
        if isinstance(handle, WatchwordError):
            raise handle
        stored = StoredRegistration(issuer=self._issuer.url, handle=handle)
        yield from self._refresher.alone(write(self._store, stored))

    def resend(self) -> Exchange[None]:
        """Have the mail sent again."""
        handle = yield from self._handle()
        yield from self.tell(Call("register/resend", {"registration": handle}))

    def confirm(
        self, token: str, password: str | None, username: str | None
    ) -> Exchange[None]:
        """Make the account, by the password or the handle that is kept, and sign in."""
        handle = None if password else (yield from self._handle())
        proof = {"registration": handle, "password": password}
        body = {"token": token, "username": username, **proof}
        yield from self._refresher.begin(Call("register/confirm", body))

    def accept(self, token: str, password: str, username: str | None) -> Exchange[None]:
        """Make the account of an invitation, and sign in."""
        body = {"token": token, "password": password, "username": username}
        yield from self._refresher.begin(Call("invitations/accept", body))

    def reset(
        self, token: str, password: str, second: tuple[str, str] | None
    ) -> Exchange[None]:
        """Set a new password. `second` are the method and code of a second factor."""
        call = Call("password/reset", {"token": token, "password": password})
        if second is None:
            refusal = refusal_in((yield from self._issuer.ask(call)))
        else:
            call = call.with_(**code_of(*second))
            refusal = refusal_in((yield from self._refresher.ask(call)))
        if refusal is not None:
            self._refresher.keep_continuation(refusal)
            raise refusal

    def tell(self, call: Call) -> Exchange[None]:
        """Make a call that answers nothing but that it was taken."""
        refusal = refusal_in((yield from self._issuer.ask(call)))
        if refusal is not None:
            raise refusal

    def _handle(self) -> Exchange[str]:
        stored: Any = yield from read(self._store)
        if stored is None or stored.issuer != self._issuer.url:
            message = "This client did not ask for the account: give the password."
            raise InvalidCredentials(message)
        handle: str = stored.handle
        return handle
