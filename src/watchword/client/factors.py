"""`Auth.factors`: the second factors of the user, and enrolling before a session."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from watchword.client.answers import (
    Content,
    Outcome,
    content_in,
    refusal_in,
)
from watchword.client.auth_flow import ApiRequest, api_call
from watchword.client.refresher import Refresher
from watchword.client.runners import Exchange, arun, run
from watchword.client.session import Call, Issuer
from watchword.errors import InvalidRequest, WatchwordError

_CODES: Final = ("totp", "recovery_code")


class Factor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A second factor of the user: `kind` is `totp` or `passkey`.

    Instants are RFC 3339 texts. `synced` says of a passkey whether it is copied to the
    user's other devices.
    """

    id: str
    kind: str
    name: str
    created_at: str
    used_at: str | None = None
    synced: bool | None = None


class FactorList(msgspec.Struct, frozen=True, rename="camel"):
    """The second factors of the user, and how many recovery codes are left."""

    factors: tuple[Factor, ...]
    recovery_codes_left: int


class PendingTotp(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticator app that is to be confirmed within ten minutes.

    `secret` (base32) is for typing, `uri` (`otpauth:`) and `qr`, an SVG of it, for
    scanning. `factor` stands for it in the call that confirms it.
    """

    factor: str
    secret: str
    uri: str
    qr: str

    def __repr__(self) -> str:
        return "PendingTotp()"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What `rich` prints. It would print the secret otherwise."""
        return []


class _Codes(msgspec.Struct, frozen=True, rename="camel"):
    recovery_codes: tuple[str, ...]


def code_of(method: str, code: str) -> dict[str, str]:
    """The members of a proof by code. Raises InvalidRequest for another method."""
    if method not in _CODES:
        raise InvalidRequest(
            f"The method {method!r} needs a browser: a program has totp and "
            "recovery_code alone."
        )
    return {"method": method, "code": code}


class Factors:
    """The user's second factors. Passkeys are added in a browser.

    Every call raises what a request by `Auth` does, besides what is said here.
    """

    def __init__(self, issuer: Issuer, refresher: Refresher) -> None:
        self._url = issuer.url
        self._refresher = refresher

    def list(self) -> FactorList:
        """The second factors, and how many recovery codes are left."""
        return run(self._list())

    async def alist(self) -> FactorList:
        """See `list`. Does not block the event loop."""
        return await arun(self._list())

    def add_totp(self) -> PendingTotp:
        """A secret for an authenticator app, which counts from `confirm_totp` on.

        The user has to have been proved in the last five minutes, by a factor if there
        is one: otherwise it raises InsufficientAuthentication, see `Auth.step_up`.
        """
        return run(self._add_totp())

    async def aadd_totp(self) -> PendingTotp:
        """See `add_totp`. Does not block the event loop."""
        return await arun(self._add_totp())

    def confirm_totp(self, factor: str, code: str) -> tuple[str, ...]:
        """Add that authenticator app. Returns recovery codes, with the first factor.

        The session is at `aal2` from then on. A lost answer is asked for again, as that
        of a refresh, and has no codes. Raises SecondFactorInvalid, ContinuationExpired.
        """
        return run(self._confirm_totp(factor, code))

    async def aconfirm_totp(self, factor: str, code: str) -> tuple[str, ...]:
        """See `confirm_totp`. Does not block the event loop."""
        return await arun(self._confirm_totp(factor, code))

    def rename(self, factor: str, name: str) -> Factor:
        """Give a factor another name, by its `id`.

        Raises NotFound, InvalidRequest, InsufficientAuthentication.
        """
        return run(self._rename(factor, name))

    async def arename(self, factor: str, name: str) -> Factor:
        """See `rename`. Does not block the event loop."""
        return await arun(self._rename(factor, name))

    def remove(self, factor: str) -> None:
        """Remove a factor, by its `id`.

        Raises NotFound, LastFactor, InsufficientAuthentication.
        """
        run(self._remove(factor))

    async def aremove(self, factor: str) -> None:
        """See `remove`. Does not block the event loop."""
        await arun(self._remove(factor))

    def new_recovery_codes(self) -> tuple[str, ...]:
        """Ten new recovery codes; the old ones are gone.

        Raises NotFound without a factor, InsufficientAuthentication.
        """
        return run(self._new_recovery_codes())

    async def anew_recovery_codes(self) -> tuple[str, ...]:
        """See `new_recovery_codes`. Does not block the event loop."""
        return await arun(self._new_recovery_codes())

    def ask_enrolment(self) -> None:
        """Have a token mailed, after SecondFactorEnrolmentRequired.

        It goes to the confirmed address, if the account has one; the answer is the
        same. Raises ContinuationExpired where the sign-in has to begin again.
        """
        run(self._ask_enrolment())

    async def aask_enrolment(self) -> None:
        """See `ask_enrolment`. Does not block the event loop."""
        await arun(self._ask_enrolment())

    def enrol_totp(self, token: str | None = None) -> PendingTotp:
        """A secret for an authenticator app, by the token of the mail or the operator.

        Right after `Auth.confirm` or `Auth.accept` no token is needed. Raises
        ConfirmationInvalid, ContinuationExpired.
        """
        return run(self._enrol_totp(token))

    async def aenrol_totp(self, token: str | None = None) -> PendingTotp:
        """See `enrol_totp`. Does not block the event loop."""
        return await arun(self._enrol_totp(token))

    def confirm_enrolment(self, factor: str, code: str) -> tuple[str, ...]:
        """Add that authenticator app, and sign in. Returns the recovery codes.

        Raises SecondFactorInvalid, and may be called again then; ContinuationExpired.
        """
        return run(self._confirm_enrolment(factor, code))

    async def aconfirm_enrolment(self, factor: str, code: str) -> tuple[str, ...]:
        """See `confirm_enrolment`. Does not block the event loop."""
        return await arun(self._confirm_enrolment(factor, code))

    # The same as exchanges

    def _list(self) -> Exchange[FactorList]:
        return (yield from self._ask("GET", "factors", FactorList))

    def _add_totp(self) -> Exchange[PendingTotp]:
        return (yield from self._ask("POST", "factors/totp", PendingTotp))

    def _confirm_totp(self, factor: str, code: str) -> Exchange[tuple[str, ...]]:
        call = Call("factors/totp/confirm", {"factor": factor, "code": code})
        return (yield from self._refresher.prove(call))

    def _rename(self, factor: str, name: str) -> Exchange[Factor]:
        path = f"factors/{factor}"
        return (yield from self._ask("PATCH", path, Factor, {"name": name}))

    def _remove(self, factor: str) -> Exchange[None]:
        answer = yield from self._send("DELETE", f"factors/{factor}")
        refusal = refusal_in(answer)
        if refusal is not None:
            raise refusal

    def _new_recovery_codes(self) -> Exchange[tuple[str, ...]]:
        path = "factors/recovery-codes"
        return (yield from self._ask("POST", path, _Codes)).recovery_codes

    def _ask_enrolment(self) -> Exchange[None]:
        refusal = refusal_in((yield from self._refresher.ask(Call("login/enrol"))))
        if refusal is not None:
            raise refusal

    def _enrol_totp(self, token: str | None) -> Exchange[PendingTotp]:
        call = Call("login/enrol/totp", {"token": token})
        return _good(content_in((yield from self._refresher.ask(call)), PendingTotp))

    def _confirm_enrolment(self, factor: str, code: str) -> Exchange[tuple[str, ...]]:
        call = Call("login/enrol/totp/confirm", {"factor": factor, "code": code})
        return (yield from self._refresher.resume(call))

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[Content],
        body: dict[str, str] | None = None,
    ) -> Exchange[Content]:
        answer = yield from self._send(method, path, body)
        return _good(content_in(answer, kind))

    def _send(
        self, method: str, path: str, body: dict[str, str] | None = None
    ) -> Exchange[Outcome]:
        request = ApiRequest(
            method=method,
            url=f"{self._url}/api/auth/{path}",
            origin=self._url,
            allowed=True,
            repeatable=True,
        )
        content = b"" if body is None else msgspec.json.encode(body)
        return (yield from api_call(self._refresher, request, content))


def _good(content: Content | WatchwordError) -> Content:
    if isinstance(content, WatchwordError):
        raise content
    return content
