"""The rule of an authorization request: every line of it, and all of them together."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from tests.rows import in_one
from watchword.core.authorize import (
    AskConsent,
    AuthorizationRequest,
    EnrolFactor,
    Granted,
    Issue,
    OAuthFault,
    PageFault,
    Registered,
    Root,
    SendError,
    ShowError,
    SignIn,
    StepUp,
    judge_authorization,
)
from watchword.core.limits import HOUR, MINUTE, SECOND

NOW = 1_800_000_000_000
URI = "https://app.example/cb"
LOCAL = "http://127.0.0.1:4711/cb"
HASH = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

REQUEST = AuthorizationRequest(
    at=NOW - SECOND,
    client_id="app",
    redirect_uri=URI,
    response_type="code",
    scope="openid notes",
    code_challenge=HASH,
    code_challenge_method="S256",
)
CLIENT = Registered(
    is_public=True,
    uses_code=True,
    redirect_uris=(URI, "http://127.0.0.1/cb"),
    scope=("openid", "profile", "email", "offline_access", "notes", "roles"),
    resources=("https://api.example", "https://files.example"),
    audience=("https://api.example", "https://files.example"),
    pkce=True,
    par=False,
    trusted=False,
)
ROOT = Root(
    subject="ada",
    auth_time=NOW - 10 * MINUTE,
    acr="aal1",
    until=NOW + HOUR,
    has_factor=False,
    remembered=Granted(("openid", "notes"), CLIENT.audience),
)

INVALID = OAuthFault.INVALID_REQUEST
CONFIDENTIAL = {"is_public": False, "pkce": False}


def verdict_on(
    request: dict[str, Any] | None = None, client: dict[str, Any] | None = None
) -> Any:
    return judge_authorization(
        replace(REQUEST, **(request or {})),
        replace(CLIENT, **(client or {})),
        ROOT,
        NOW,
    )


@in_one(
    ("request_", "client", "fault"),
    [
        ({"repeated": ("client_id", "state")}, {}, PageFault.CLIENT),
        ({"redirect_uri": ""}, {}, PageFault.REDIRECT_URI),
        ({"redirect_uri": URI + "/"}, {}, PageFault.REDIRECT_URI),
        ({"repeated": ("redirect_uri",)}, {}, PageFault.REDIRECT_URI),
        ({}, {"redirect_uris": ()}, PageFault.REDIRECT_URI),
        ({}, {"uses_code": False}, OAuthFault.UNAUTHORIZED_CLIENT),
        ({"refused": "request"}, {}, OAuthFault.REQUEST_NOT_SUPPORTED),
        ({"refused": "request_uri"}, {}, OAuthFault.REQUEST_URI_NOT_SUPPORTED),
        ({"refused": "registration"}, {}, OAuthFault.REGISTRATION_NOT_SUPPORTED),
        ({"refused": "id_token_hint"}, {}, INVALID),
        ({"repeated": ("state",)}, {}, INVALID),
        ({}, {"par": True}, INVALID),
        ({"response_type": ""}, {}, INVALID),
        ({"response_type": "token"}, {}, OAuthFault.UNSUPPORTED_RESPONSE_TYPE),
        ({"response_type": "code id_token"}, {}, OAuthFault.UNSUPPORTED_RESPONSE_TYPE),
        ({"response_mode": "form_post"}, {}, INVALID),
        ({"response_mode": "fragment"}, {}, INVALID),
        ({"resource": ("https://evil.example",)}, {}, OAuthFault.INVALID_TARGET),
        ({"resource": CLIENT.resources * 3}, {}, OAuthFault.INVALID_TARGET),
        ({"code_challenge_method": "plain"}, {}, INVALID),
        ({"code_challenge_method": ""}, {}, INVALID),
        ({"code_challenge_method": "plain"}, CONFIDENTIAL, INVALID),
        ({"code_challenge": "short"}, {}, INVALID),
        ({"code_challenge": HASH + "="}, {}, INVALID),
        ({"code_challenge": ""}, CONFIDENTIAL, INVALID),
        ({"code_challenge": "", "code_challenge_method": ""}, {}, INVALID),
        (
            {"code_challenge": "", "code_challenge_method": ""},
            {"pkce": False},
            INVALID,
        ),
        (
            {"code_challenge": "", "code_challenge_method": ""},
            {"is_public": False},
            INVALID,
        ),
        ({"jkt": "short"}, {}, INVALID),
        ({"prompt": "create"}, {}, INVALID),
        ({"prompt": "none login"}, {}, INVALID),
        ({"max_age": "-1"}, {}, INVALID),
        ({"max_age": "1.5"}, {}, INVALID),
        ({"max_age": "9" * 10}, {}, INVALID),
        ({"max_age": "٣"}, {}, INVALID),
    ],
)
def test_a_faulty_request_is_shown_or_sent(
    request_: dict[str, Any], client: dict[str, Any], fault: PageFault | OAuthFault
) -> None:
    """And a fault of client or redirect URI is never sent."""
    verdict = verdict_on(request_, client)
    kind = ShowError if isinstance(fault, PageFault) else SendError
    assert (type(verdict), verdict.fault) == (kind, fault)
    text = getattr(verdict, "text", "")
    assert not set(text) & set('"\\')  # RFC 6749 §4.1.2.1
    assert text.isascii()


def test_an_unknown_client_is_shown() -> None:
    verdict = judge_authorization(REQUEST, None, ROOT, NOW)
    assert verdict == ShowError(PageFault.CLIENT)


@pytest.mark.parametrize(
    ("request_", "client", "scope", "resources"),
    [
        ({}, {}, ("openid", "notes"), CLIENT.audience),
        ({"scope": "notes  unknown notes"}, {}, ("notes",), CLIENT.audience),
        ({"scope": ""}, {"trusted": True}, ("notes", "roles"), CLIENT.audience),
        ({"scope": "unknown"}, {}, (), CLIENT.audience),
        (
            {"resource": ("https://files.example", "https://files.example")},
            {},
            ("openid", "notes"),
            ("https://files.example",),
        ),
        ({}, {"audience": ()}, ("openid", "notes"), ()),
        ({"pushed": True}, {"par": True}, ("openid", "notes"), CLIENT.audience),
        (
            {"code_challenge": "", "code_challenge_method": ""},
            CONFIDENTIAL,
            ("openid", "notes"),
            CLIENT.audience,
        ),
        ({"response_mode": "query"}, {}, ("openid", "notes"), CLIENT.audience),
    ],
)
def test_a_code_is_for_what_was_asked_and_may_be_had(
    request_: dict[str, Any],
    client: dict[str, Any],
    scope: tuple[str, ...],
    resources: tuple[str, ...],
) -> None:
    assert verdict_on(request_, client) == Issue(scope, resources)


PROMPTS = ("", "none", "login", "consent", "select_account")
AGES = (0, 10 * MINUTE, 20 * MINUTE)  # since the sign-in: after the request, or before
MAX_AGES = ("", "0", "900")
LIVES = (59 * SECOND, HOUR)
HINTS = ("ada", "eve")
ASKED = ("", "aal2", "urn:x aal2 aal1")
PROVED = (("aal1", False), ("aal1", True), ("aal2", True))
REMEMBERED = (None, Granted(("openid",), ()), ROOT.remembered)
CLIENTS = ((True, URI), (False, URI), (True, LOCAL), (False, LOCAL))


def test_all_lines_together() -> None:
    """What may be issued, asked and sent, by conditions that do not know the order."""
    seen = set()
    for prompt, age, max_age, life, hint, asked, proved in itertools.product(
        PROMPTS, AGES, MAX_AGES, LIVES, HINTS, ASKED, PROVED
    ):
        request = replace(
            REQUEST, prompt=prompt, max_age=max_age, hinted=hint, acr_values=asked
        )
        acr, has_factor = proved
        root = replace(
            ROOT,
            auth_time=NOW - age,
            until=NOW + life,
            acr=acr,
            has_factor=has_factor,
        )
        is_anew = age == 0
        is_timely = is_anew or not (
            "login" in prompt
            or prompt == "select_account"
            or max_age == "0"
            or (max_age == "900" and age > 15 * MINUTE)
        )
        is_signed_in = is_timely and life > MINUTE
        is_user = is_signed_in and hint != "eve"
        is_strong = is_user and (asked != "aal2" or acr == "aal2")
        for remembered, (trusted, uri), says in itertools.product(
            REMEMBERED, CLIENTS, REMEMBERED
        ):
            verdict = judge_authorization(
                replace(request, redirect_uri=uri),
                replace(CLIENT, trusted=trusted),
                replace(root, remembered=remembered, allows=says),
                NOW,
            )
            kind = type(verdict)
            seen.add(kind)
            is_allowed = trusted or remembered is ROOT.remembered
            asks = says is not ROOT.remembered and (
                uri == LOCAL or not is_allowed or "consent" in prompt
            )
            is_late = not is_allowed and age > 15 * MINUTE
            assert (kind is Issue) == (is_strong and not asks and not is_late)
            assert kind is not ShowError
            if prompt == "none":
                assert kind in {Issue, SendError}
                continue
            wrong_user = is_signed_in and hint == "eve" and is_anew
            assert (kind is SendError) == wrong_user
            assert (kind is SignIn) == (not is_user and not wrong_user)
            assert (kind is EnrolFactor) == (
                is_user and not is_strong and not has_factor
            )
            assert (kind is StepUp) == (
                (is_user and not is_strong and has_factor) or (is_strong and is_late)
            )
            assert (kind is AskConsent) == (is_strong and asks and not is_late)
    assert seen == {Issue, SendError, SignIn, EnrolFactor, StepUp, AskConsent}


@pytest.mark.parametrize(
    ("root", "fault"),
    [
        (None, OAuthFault.LOGIN_REQUIRED),
        ({"until": NOW + SECOND}, OAuthFault.LOGIN_REQUIRED),
        ({"subject": "eve"}, OAuthFault.LOGIN_REQUIRED),
        ({"acr": "aal1"}, OAuthFault.INTERACTION_REQUIRED),
        ({"remembered": None}, OAuthFault.CONSENT_REQUIRED),
        ({"remembered": None, "auth_time": 0}, OAuthFault.CONSENT_REQUIRED),
    ],
)
def test_without_a_page_the_client_learns_which_one_it_would_be(
    root: dict[str, Any] | None, fault: OAuthFault
) -> None:
    request = replace(REQUEST, prompt="none", hinted="ada", acr_values="aal2")
    strong = replace(ROOT, acr="aal2")
    shown = None if root is None else replace(strong, **root)
    verdict = judge_authorization(request, CLIENT, shown, NOW)
    assert isinstance(verdict, SendError)
    assert verdict.fault is fault
    # A program on the machine of the user is always asked about.
    local = replace(request, redirect_uri=LOCAL)
    trusted = replace(CLIENT, trusted=True)
    verdict = judge_authorization(local, trusted, strong, NOW)
    assert isinstance(verdict, SendError)
    assert verdict.fault is OAuthFault.INTERACTION_REQUIRED
    # One that has a secret is not: only its own machine can redeem the code.
    own = replace(trusted, is_public=False)
    assert isinstance(judge_authorization(local, own, strong, NOW), Issue)


def test_a_sign_in_is_asked_for_where_there_is_none() -> None:
    assert judge_authorization(REQUEST, CLIENT, None, NOW) == SignIn()
