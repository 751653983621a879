"""`Auth`: a session as an auth class of httpx2, for its sync and async clients."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Sequence,
)
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from watchword.client import calls
from watchword.client.asking import Asking, AskStepUp
from watchword.client.auth_flow import (
    UNAUTHORIZED,
    ApiRequest,
    AuthFlow,
    Reply,
    SendApiRequest,
    auth_flow,
)
from watchword.client.browser import BrowserLogin
from watchword.client.clock import SYSTEM, Clocks, Random
from watchword.client.factors import Factors
from watchword.client.file import Memory, TokenFile
from watchword.client.origins import origin_of, secure_origin
from watchword.client.proof import Key
from watchword.client.refresher import Refresher
from watchword.client.registration import Registration
from watchword.client.runners import arun, arun_step, run, run_step
from watchword.client.session import FIRST_PARTY, Call, Issuer
from watchword.client.stored import StoredRegistration, StoredSession
from watchword.errors import InsufficientAuthentication
from watchword.text import trimmed

OnStepUp = Callable[["Auth", InsufficientAuthentication], Awaitable[None] | None]
"""What a program does where an API wants a more recent or a stronger sign-in.

`acr_values` (a text) and `max_age` (seconds) of the error say what is needed. The
request is sent again only if the function has called `step_up`.
"""


class Auth(httpx2.Auth):
    """Signs in, sends the access token along, and refreshes it by itself.

    `issuer` is the server's address. `file` is kept with mode 0600 and may be shared by
    processes; without it the session is only in the memory of this process. The token
    is sent to the issuer's origin and to those of `origins`, and nowhere else: a
    request to another origin, or redirected to one, goes without it. With `dpop` a
    sign-in binds the session to a key (RFC 9449). True makes a new key, kept beside the
    tokens; or it is a P-256 private key of `cryptography`, which may live in hardware.
    `on_step_up` is called with this object and the error, where an API wants a more
    recent or a stronger sign-in (RFC 9470). It asks the user and calls `step_up`; then
    the request is sent again. `client_id` is the public client that the program is;
    give the same one each time. `clocks` are for tests.

    Every call raises RefreshError once the session is over, SignedOut where there is no
    session, TokenFileError, and TryAgain where the server could not be asked; the
    session is then kept. This constructor raises SettingsError for an address that is
    not https, unless it is on this machine.
    """

    def __init__(
        self,
        issuer: str,
        *,
        file: str | Path | None = None,
        origins: Sequence[str] = (),
        dpop: bool | Key = False,
        on_step_up: OnStepUp | None = None,
        client_id: str = FIRST_PARTY,
        clocks: Clocks = SYSTEM,
    ) -> None:
        url = trimmed(issuer).rstrip("/")
        self._origins = frozenset(map(secure_origin, (url, *origins)))
        random = Random()
        asked = f"{file}.registration"
        issuer_calls = Issuer(url, clocks, random, client_id)
        self._refresher = Refresher(
            issuer_calls,
            Memory() if file is None else TokenFile(Path(file), StoredSession),
            dpop=dpop,
            clocks=clocks,
            random=random,
        )
        self.factors = Factors(issuer_calls, self._refresher)
        self.browser = BrowserLogin(url, client_id, self._refresher, random)
        ask = None if on_step_up is None else partial(on_step_up, self)
        self.asking = Asking(ask, self._refresher)
        self._registration = Registration(
            issuer_calls,
            self._refresher,
            Memory() if file is None else TokenFile(Path(asked), StoredRegistration),
        )

    def login(self, username: str, password: str) -> None:
        """Sign in. A session that is held is replaced and ended.

        Raises InvalidCredentials, or a TryAgain such as Throttled, with `retry_after`
        in seconds. Raises SecondFactorRequired where `continue_login` has to follow,
        and SecondFactorEnrolmentRequired where `factors.enrol_totp` has to.
        """
        run(self._refresher.begin(calls.login(username, password)))

    async def alogin(self, username: str, password: str) -> None:
        """See `Auth.login`. Does not block the event loop."""
        await arun(self._refresher.begin(calls.login(username, password)))

    def continue_login(self, method: str, code: str) -> None:
        """Go on where `login`, `confirm` or `accept` raised SecondFactorRequired.

        `method` is `totp` or `recovery_code`, one of those that the error lists. Raises
        SecondFactorInvalid, and may be called again then. Raises ContinuationExpired
        where the sign-in has to begin again, InvalidRequest for another method: a
        passkey needs a browser. Otherwise as `login`.
        """
        run(self._refresher.resume(calls.continue_login(method, code)))

    async def acontinue_login(self, method: str, code: str) -> None:
        """See `Auth.continue_login`. Does not block the event loop."""
        await arun(self._refresher.resume(calls.continue_login(method, code)))

    def register(
        self,
        email: str,
        password: str,
        *,
        username: str | None = None,
        locale: str | None = None,
    ) -> None:
        """Ask for an account. There is none until `confirm` is called.

        Whether the address has an account already is not told. The handle of the
        registration is kept beside `file`, as FILE.registration. Raises
        PasswordRejected, EmailInvalid, NameInvalid, NotFound where registration is
        closed, or a TryAgain.
        """
        run(self._registration.ask(email, password, username, locale))

    async def aregister(
        self,
        email: str,
        password: str,
        *,
        username: str | None = None,
        locale: str | None = None,
    ) -> None:
        """See `Auth.register`. Does not block the event loop."""
        await arun(self._registration.ask(email, password, username, locale))

    def resend(self) -> None:
        """Have the mail of the newest registration sent again.

        Raises InvalidCredentials where none was made here, or a TryAgain.
        """
        run(self._registration.resend())

    async def aresend(self) -> None:
        """See `Auth.resend`. Does not block the event loop."""
        await arun(self._registration.resend())

    def confirm(
        self, token: str, *, password: str | None = None, username: str | None = None
    ) -> None:
        """Make the account, with the token of the mail, and sign in as `login` does.

        Raises InvalidCredentials where the account was not asked for here: then give
        the password. NameTaken wants another `username`; nothing was spent. Raises
        ConfirmationInvalid for a token that was used or has run out.
        """
        run(self._registration.confirm(token, password, username))

    async def aconfirm(
        self, token: str, *, password: str | None = None, username: str | None = None
    ) -> None:
        """See `Auth.confirm`. Does not block the event loop."""
        await arun(self._registration.confirm(token, password, username))

    def accept(self, token: str, password: str, *, username: str | None = None) -> None:
        """Make the account of an invitation, and sign in as `login` does.

        If its address has an account, `password` is that account's, and it gets the
        roles of the invitation. Raises as `confirm`; PasswordRejected.
        """
        run(self._registration.accept(token, password, username))

    async def aaccept(
        self, token: str, password: str, *, username: str | None = None
    ) -> None:
        """See `Auth.accept`. Does not block the event loop."""
        await arun(self._registration.accept(token, password, username))

    def forgot(self, email: str) -> None:
        """Ask for the mail of a forgotten password.

        Whether there is an account is not told. Raises EmailInvalid, NotFound where
        the server sends no mail, or a TryAgain.
        """
        run(self._registration.tell(Call("password/forgot", {"email": email})))

    async def aforgot(self, email: str) -> None:
        """See `Auth.forgot`. Does not block the event loop."""
        await arun(self._registration.tell(Call("password/forgot", {"email": email})))

    def reset(
        self,
        token: str,
        password: str,
        *,
        second: tuple[str, str] | None = None,
    ) -> None:
        """Set a new password, with the token of that mail. All sessions end.

        Raises SecondFactorRequired where the account has a second factor: then call
        again with `second`, a method and a code as for `continue_login`. Raises
        ConfirmationInvalid, PasswordRejected, or a TryAgain.
        """
        run(self._registration.reset(token, password, second))

    async def areset(
        self,
        token: str,
        password: str,
        *,
        second: tuple[str, str] | None = None,
    ) -> None:
        """See `Auth.reset`. Does not block the event loop."""
        await arun(self._registration.reset(token, password, second))

    def change_password(self, current: str, password: str) -> None:
        """Change the password. This session goes on, under new tokens; the others end.

        A lost answer is asked for again, as that of a refresh. Raises
        InvalidCredentials, PasswordRejected, or a TryAgain such as Throttled.
        """
        run(self._refresher.prove(calls.change_password(current, password)))

    async def achange_password(self, current: str, password: str) -> None:
        """See `Auth.change_password`. Does not block the event loop."""
        await arun(self._refresher.prove(calls.change_password(current, password)))

    def step_up(
        self, proof: str, *, method: str = "password", username: str | None = None
    ) -> None:
        """Prove the user again, for a call that was refused for want of it.

        Such a refusal is `insufficient_user_authentication`; repeat the call
        afterwards. `proof` is the password, or a code where `method` is `totp` or
        `recovery_code`. With a password an app that keeps its own users needs
        `username` too. A lost answer is asked for again, as that of a refresh. Raises
        InvalidCredentials, SecondFactorInvalid, InvalidRequest for another method, or a
        TryAgain such as Throttled.
        """
        run(self._refresher.prove(calls.step_up(proof, method, username)))

    async def astep_up(
        self, proof: str, *, method: str = "password", username: str | None = None
    ) -> None:
        """See `Auth.step_up`. Does not block the event loop."""
        await arun(self._refresher.prove(calls.step_up(proof, method, username)))

    def logout(self) -> None:
        """End the session for every process that shares it.

        Does nothing where there is no session. Raises TryAgain where the server could
        not be told. The session is then kept, so that the call can be repeated.
        """
        run(self._refresher.sign_out())

    async def alogout(self) -> None:
        """See `Auth.logout`. Does not block the event loop."""
        await arun(self._refresher.sign_out())

    def token(self) -> str:
        """An access token that works now, for requests that httpx2 does not send."""
        return run(self._refresher.fresh()).access_token

    async def atoken(self) -> str:
        """See `Auth.token`. Does not block the event loop."""
        return (await arun(self._refresher.fresh())).access_token

    def flow_of(
        self, method: str, url: httpx2.URL, *, repeatable: bool
    ) -> AuthFlow[None]:
        """The steps of one request, for other HTTP libraries: see `auth_flow.py`."""
        origin = origin_of(url)
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        return auth_flow(
            self._refresher,
            ApiRequest(
                method=method,
                url=f"{url.scheme}://{url.netloc.decode('ascii')}{path}",
                origin=origin,
                allowed=origin in self._origins,
                repeatable=repeatable,
            ),
            self.asking,
        )

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """The requests to send in place of one request of a client of httpx2."""
        flow = self._flow(request)
        outcome: Any = None
        try:
            while True:
                step = flow.send(outcome)
                if isinstance(step, AskStepUp):
                    self.asking.call(step.needed)
                    outcome = None
                    continue
                if not isinstance(step, SendApiRequest):
                    outcome = run_step(step)
                    continue
                request.headers.update(step.headers)
                response = yield request
                if response.status_code == UNAUTHORIZED:
                    response.read()
                outcome = _reply(request, response, step)
        except StopIteration:
            return
        finally:
            flow.close()

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """The requests to send in place of one request of an async client of httpx2."""
        flow = self._flow(request)
        outcome: Any = None
        try:
            while True:
                step = flow.send(outcome)
                if isinstance(step, AskStepUp):
                    await self.asking.acall(step.needed)
                    outcome = None
                    continue
                if not isinstance(step, SendApiRequest):
                    outcome = await arun_step(step)
                    continue
                request.headers.update(step.headers)
                response = yield request
                if response.status_code == UNAUTHORIZED:
                    await response.aread()
                outcome = _reply(request, response, step)
        except StopIteration:
            return
        finally:
            flow.close()

    def _flow(self, request: httpx2.Request) -> AuthFlow[None]:
        # A stream may be used up when the answer comes, and cannot be sent again.
        repeatable = isinstance(request.stream, httpx2.ByteStream)
        return self.flow_of(request.method, request.url, repeatable=repeatable)


def _reply(
    request: httpx2.Request, response: httpx2.Response, step: SendApiRequest
) -> Reply:
    """The reply to a request with our token; an empty one after a redirect without it.

    A redirect that changed the method is one too: the request itself has been answered.
    """
    if response.request.method != request.method:
        return Reply()
    sent = response.request.headers.get("Authorization")
    if sent is None or sent != step.headers.get("Authorization"):
        return Reply()
    status = response.status_code
    body = response.content if status == UNAUTHORIZED else b""
    return Reply.of(status, response.headers, body)
