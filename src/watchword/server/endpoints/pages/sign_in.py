"""GET and POST /sign-in: the door of the pages, by password or by passkey."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core import authorize
from watchword.core.session import Authenticated
from watchword.errors import (
    ContinuationExpired,
    CsrfRejected,
    InvalidCredentials,
    InvalidRequest,
    SecondFactorInvalid,
    SecondFactorRequired,
    Throttled,
)
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.asking import (
    ceremony_of,
    credential_in,
    go_on,
)
from watchword.server.endpoints.pages.available import (
    can_register,
    can_reset,
    has_passkeys,
)
from watchword.server.endpoints.pages.on_the_way import (
    cancel,
    finish,
    go_back,
    leaves,
    on_the_way,
)
from watchword.server.endpoints.pages.visitor import begin
from watchword.server.operation import page_operations
from watchword.server.page_cookies import drop_notice, notice_in
from watchword.server.page_response import missing, page_again, page_of
from watchword.server.pages.views import Ceremony, Fault, Reason, SignIn, SignInNotice
from watchword.server.parsing import Form, client_address, engine_of, self_service_of
from watchword.server.returning import place_in
from watchword.server.visitor import visitor_of
from watchword.server.waiting import waiting_in
from watchword.sign_in.passkey import PasskeySignIn

_HINT_MAX: Final = 254  # characters: an address has no more


@on_the_way
async def show(request: Request) -> Response:
    visitor = await visitor_of(request)
    is_again = False
    if visitor is not None and request.query_params.get("as") != "another":
        answer = await leaves(request, visitor.session, authorize.SignIn)
        if answer is not None:
            return answer
        if place_in(request):
            return go_back(request, "account")
        is_again = waiting_in(request) is not None
    notice, _ = notice_in(request, SignInNotice)
    name = "" if visitor is None else visitor.account.name
    view = replace(
        await _view(request),
        notice=notice or SignInNotice.NOTHING,
        name=name,
        username=name if is_again else _hint(request),
        is_again=is_again,
    )
    account = None if visitor is None else visitor.account.locale
    cookies = drop_notice(request) if notice else ()
    return page_of(request, view, account=account, cookies=cookies)


def _hint(request: Request) -> str:
    """What the client says of the user (OpenID Connect Core §3.1.2.1)."""
    waiting = waiting_in(request)
    hint = "" if waiting is None else waiting.request.login_hint
    return hint if hint.isprintable() and len(hint) <= _HINT_MAX else ""


@on_the_way
async def submit(request: Request) -> Response:
    self_service_of(request)
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return page_again(request, await _view(request), error)
    if form.get("step") == "cancel":
        return await cancel(request)
    view = replace(await _view(request), username=form.get("username") or "")
    faults = _missing(form)
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    return await _signed_in(request, form, view)


async def _signed_in(request: Request, form: Form, view: SignIn) -> Response:
    try:
        begun = await begin(request, await _authenticated(request, form))
    except SecondFactorRequired as error:
        return go_on(request, error)
    except (InvalidCredentials, ContinuationExpired, Throttled) as error:
        return page_again(request, view, error)
    except SecondFactorInvalid as error:
        return page_again(request, view, error, wrong=Fault(Reason.PASSKEY))
    return await finish(request, begun)


def _missing(form: Form) -> tuple[Fault, ...]:
    if form.get("challenge") is None:
        return missing(form, username="username", password="password")  # noqa: S106
    credential = credential_in(form)
    return (credential,) if isinstance(credential, Fault) else ()


async def _authenticated(request: Request, form: Form) -> Authenticated:
    """The user. Raises InvalidCredentials, Throttled, Overloaded, StoreUnavailable.

    For a passkey SecondFactorInvalid and ContinuationExpired.
    """
    engine, address = engine_of(request), client_address(request)
    challenge = form.get("challenge")
    if challenge is not None:
        by_passkey = _by_passkey(request)
        credential = credential_in(form)
        if by_passkey is None or isinstance(credential, Fault):
            raise SecondFactorInvalid
        return await by_passkey.authenticate(challenge, credential, address=address)
    try:
        return await engine.sign_in.check_password(
            form.need("username"), form.need("password"), address=address
        )
    except InvalidRequest:  # a name that no account can have
        raise InvalidCredentials from None


async def _view(request: Request) -> SignIn:
    return SignIn(
        has_register=can_register(request),
        has_forgot=can_reset(request),
        ceremony=await _ceremony(request),
    )


async def _ceremony(request: Request) -> Ceremony | None:
    """What any passkey may answer; None where passkeys are off."""
    by_passkey = _by_passkey(request)
    return None if by_passkey is None else ceremony_of(await by_passkey.options())


def _by_passkey(request: Request) -> PasskeySignIn | None:
    if not has_passkeys(request):
        return None
    return engine_of(request).second_factors.passkey_sign_in


SHOW, SUBMIT = page_operations("/sign-in", show, submit)
