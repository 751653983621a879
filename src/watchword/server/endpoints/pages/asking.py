"""What the pages that ask for a factor share: ways, ceremonies, proofs, next steps.

Between the two steps of a sign-in its ticket is in a cookie that no script can read
(`page_cookies.py`). So only this browser has it, and it is in no address and in no log.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import SecondFactorEnrolmentRequired, SecondFactorRequired
from watchword.factors.passkeys import PasskeyOptions
from watchword.factors.proof import FactorProof, Method
from watchword.server.factor_fields import signed
from watchword.server.page_cookies import drop_step, set_notice, set_step
from watchword.server.page_response import see_other
from watchword.server.pages.views import Ceremony, Fault, Reason, SignInNotice, Way
from watchword.server.parsing import Form
from watchword.sign_in.browser import PAGES_BINDING

BINDING: Final = PAGES_BINDING
"""What a ticket of the pages is bound to: to no client. Its cookie is its browser."""

WRONG: Final = {
    Way.PASSKEY: Fault(Reason.PASSKEY),
    Way.TOTP: Fault(Reason.CODE, "code"),
    Way.RECOVERY_CODE: Fault(Reason.RECOVERY_CODE, "recovery-code"),
    Way.PASSWORD: Fault(Reason.PASSWORD_WRONG, "password"),
}
"""What a wrong factor says: the same for a used one, and for a disabled account."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


def go_on(request: Request, error: SecondFactorRequired) -> Response:
    """On to the second step, or to the enrolment of the first factor."""
    is_enrolment = isinstance(error, SecondFactorEnrolmentRequired)
    page = "enrol" if is_enrolment else "second-step"
    return see_other(request, page, set_step(error.continuation))


def begin_again(request: Request) -> Response:
    """Back to the first step, which says why."""
    notice = set_notice(SignInNotice.EXPIRED)
    return see_other(request, "sign-in", drop_step(), notice)


def way_of(request: Request, ways: tuple[Way, ...], form: Form | None = None) -> Way:
    """The way that the form or the address says, or else the best."""
    given = request.query_params.get("way") if form is None else form.get("way")
    return next((one for one in ways if one == given), ways[0])


def ceremony_of(options: PasskeyOptions) -> Ceremony:
    """What a page asks the browser for a passkey with."""
    public_key = msgspec.json.encode(options.public_key).decode()
    return Ceremony(options.challenge, public_key)


def credential_in(form: Form) -> dict[str, Any] | Fault:
    """What a passkey has answered, as the browser's `toJSON()` writes it."""
    text = form.get("credential")
    if text is None:  # sent without the script
        return Fault(Reason.PASSKEY_SCRIPT)
    try:
        return _OBJECT.decode(text)
    except (ValueError, RecursionError):
        return Fault(Reason.PASSKEY)


def proof_in(form: Form, way: Way) -> FactorProof | Fault:
    """The factor in a form, or what it lacks."""
    if way is not Way.PASSKEY:
        name = "recovery_code" if way is Way.RECOVERY_CODE else "code"
        code = form.get(name)
        if code is None:
            return Fault(Reason.MISSING, name.replace("_", "-"))
        return FactorProof(method=Method(way), code=code)
    credential = credential_in(form)
    if isinstance(credential, Fault):
        return credential
    return signed(form.get("challenge") or "", credential)
