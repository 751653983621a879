"""What the pages of a new factor share, whether the user is signed in yet or not."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import FACTOR_NAME_MAX
from watchword.factors.passkeys import PasskeyOptions
from watchword.factors.totp import PendingTotp
from watchword.server.endpoints.pages.asking import ceremony_of
from watchword.server.endpoints.pages.on_the_way import finish
from watchword.server.endpoints.pages.visitor import Begun
from watchword.server.page_cookies import set_notice
from watchword.server.page_response import page_of
from watchword.server.pages.devices import browser_of, system_of
from watchword.server.pages.step_views import AddApp, AddPasskey, RecoveryCodes
from watchword.server.pages.views import AccountNotice
from watchword.server.parsing import Form, user_agent

_GROUP = 4


def app_view(name: str, pending: PendingTotp, *, is_demanded: bool = False) -> AddApp:
    """The page with the secret of an app, in groups that can be read aloud."""
    secret = pending.secret
    groups = (secret[at : at + _GROUP] for at in range(0, len(secret), _GROUP))
    return AddApp(
        name=name,
        factor=pending.factor,
        secret=" ".join(groups),
        qr=pending.qr,
        is_demanded=is_demanded,
    )


def passkey_view(
    request: Request, name: str, options: PasskeyOptions, *, is_demanded: bool = False
) -> AddPasskey:
    """The page that makes a passkey. It is called by this device, unless changed."""
    program = user_agent(request)
    return AddPasskey(
        name=name,
        ceremony=ceremony_of(options),
        label=system_of(program) or browser_of(program),
        is_demanded=is_demanded,
    )


def label_in(form: Form) -> str:
    """The name of a new passkey; what is too much of it is cut off."""
    text = "".join(filter(str.isprintable, form.get("label") or ""))
    return text.strip()[:FACTOR_NAME_MAX].strip()


async def added(
    request: Request,
    codes: tuple[str, ...],
    begun: Begun,
    *,
    account: str | None = None,
) -> Response:
    """The recovery codes, if there are any; otherwise where the user goes on."""
    notice = AccountNotice.FACTOR_ADDED
    if not codes:
        return await finish(request, begun, set_notice(notice))
    return codes_page(request, codes, notice, *begun.cookies, account=account)


def codes_page(
    request: Request,
    codes: tuple[str, ...],
    notice: AccountNotice,
    *cookies: str,
    account: str | None = None,
) -> Response:
    """The recovery codes, in this one answer alone."""
    view, cookies = RecoveryCodes(codes=codes), (*cookies, set_notice(notice))
    return page_of(request, view, account=account, cookies=cookies)
