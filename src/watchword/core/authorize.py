"""The rule of an authorization request: one table on one screen.

The first line that fits decides. What concerns the request alone is above the rule, the
browser's sign-in (the root) is below it.

    client or redirect URI unknown                            SHOW  (sent nowhere)
    malformed, not supported, not allowed to this client      SEND  the fault
    ---------------------------------------------------------------------------------
                                                              prompt=none   otherwise
    no root; its session would end at once;
        max_age or prompt=login not met since the request     SEND login    SIGN IN
    another user than the hint names
        - and has signed in since the request                 SEND login    SEND login
        - before that                                         SEND login    SIGN IN
    acr_values asks for a second factor
        - and the account has one                             SEND inter.   STEP UP
        - and the account has none                            SEND inter.   ENROL
    not allowed before, and the last proof is old             SEND (*)      STEP UP
    the user has just said yes to all of it                                 ISSUE
    not allowed before; prompt=consent; a redirect that any
        local program can use, of a public client             SEND (*)      CONSENT
    allowed before, or a trusted client                       ISSUE         ISSUE

    (*) interaction_required for such a redirect, otherwise consent_required

`judge_authorization` is pure, as `judge` is for a refresh.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from watchword.core import limits, redirect_uri
from watchword.core.scopes import ALWAYS, OFFLINE_ACCESS
from watchword.core.session import AAL1, AAL2

PROMPTS: Final = ("none", "login", "consent", "select_account")
"""What `prompt` may say (OpenID Connect Core §3.1.2.1)."""

_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # SHA-256 in base64url
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a request, as they came. "" for one that did not come.

    `at` is the instant (ms) at which a browser first came with it. `jkt` is that of the
    proof that it was pushed with, or of `dpop_jkt`. `hinted` is the subject of a
    genuine `id_token_hint`. `repeated` are parameters that came twice, and `refused`
    is the name of one that is not supported, or is not genuine.
    """

    at: int
    client_id: str
    redirect_uri: str = ""
    response_type: str = ""
    response_mode: str = ""
    scope: str = ""
    state: str = ""
    nonce: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""
    resource: tuple[str, ...] = ()
    prompt: str = ""
    max_age: str = ""
    acr_values: str = ""
    login_hint: str = ""
    ui_locales: str = ""
    jkt: str = ""
    hinted: str = ""
    repeated: tuple[str, ...] = ()
    refused: str = ""
    pushed: bool = False


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A client that is enabled, as far as the rule looks at it.

    `uses_code` says whether it has the grant. `scope` and `resources` are what it may
    have; `audience` is what its tokens are for where it names no resource. `pkce` and
    `par` say what it has to send. A `trusted` one asks no user for consent.
    """

    is_public: bool
    uses_code: bool
    redirect_uris: tuple[str, ...]
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    audience: tuple[str, ...]
    pkce: bool
    par: bool
    trusted: bool


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """The browser's sign-in at this server, as far as the rule looks at it.

    Instants in ms. `until` is when a session that begins now would end. `has_factor`
    says whether the account has a second factor. `remembered` is what the user has
    allowed the client before, None for nothing. `allows` is what the user has just
    allowed, on the page that showed it.
    """

    subject: str
    auth_time: int
    acr: str
    until: int
    has_factor: bool
    remembered: Granted | None
    allows: Granted | None = None


class Granted(msgspec.Struct, frozen=True):
    """Scopes, and the resources that they are for."""

    scope: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def covers(self, wanted: Granted) -> bool:
        """Whether that is no more than this."""
        has_scope = set(wanted.scope) <= set(self.scope)
        return has_scope and set(wanted.resources) <= set(self.resources)


class OAuthFault(StrEnum):
    """The `error` that is sent to a client (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6)."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    ACCESS_DENIED = "access_denied"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    INVALID_TARGET = "invalid_target"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    REGISTRATION_NOT_SUPPORTED = "registration_not_supported"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    LOGIN_REQUIRED = "login_required"
    CONSENT_REQUIRED = "consent_required"
    INTERACTION_REQUIRED = "interaction_required"


class PageFault(StrEnum):
    """Why a request is shown to the user, and sent nowhere (RFC 9700 §4.11.2)."""

    CLIENT = "client_unknown"
    REDIRECT_URI = "redirect_uri_unknown"


class ShowError(msgspec.Struct, frozen=True):
    """A page says what is wrong: nothing is sent to the redirect URI."""

    fault: PageFault


class SendError(msgspec.Struct, frozen=True):
    """The client is told, at its redirect URI. `text` has no quote and no backslash."""

    fault: OAuthFault
    text: str


class SignIn(msgspec.Struct, frozen=True):
    """The user has to sign in, or to sign in again."""


class EnrolFactor(msgspec.Struct, frozen=True):
    """The user has to have a second factor, and has none yet."""


class StepUp(msgspec.Struct, frozen=True):
    """The user has to give another proof: of the second factor, where it has one."""


class AskConsent(msgspec.Struct, frozen=True):
    """The user is asked whether the client may have these scopes and resources."""

    scope: tuple[str, ...]
    resources: tuple[str, ...]


class Issue(msgspec.Struct, frozen=True):
    """A code is made, for these scopes and resources."""

    scope: tuple[str, ...]
    resources: tuple[str, ...]


Verdict = ShowError | SendError | SignIn | EnrolFactor | StepUp | AskConsent | Issue


def judge_authorization(
    request: AuthorizationRequest,
    client: Registered | None,
    root: Root | None,
    now: int,
) -> Verdict:
    """The verdict on a request. The first line that fits decides.

    `now` is in milliseconds. Nothing is raised: a refusal is a verdict too.
    """
    if client is None:
        return ShowError(PageFault.CLIENT)
    if (fault := fault_of(request, client)) is not None:
        return fault
    prompts = _words(request.prompt)
    silent = "none" in prompts
    if root is None:
        return _LOGIN if silent else SignIn()
    is_other = request.hinted not in ("", root.subject)
    is_anew = root.auth_time >= request.at
    is_weak = _needs_factor(request) and root.acr != AAL2
    is_old = now - root.auth_time > limits.CONSENT_RECENT
    # RFC 8252 §8.6: any program may have asked in the name of this client.
    is_local = client.is_public and redirect_uri.is_local(request.redirect_uri)
    scope, resources = wanted = _wanted(request, client)
    is_more = not (client.trusted or _has(root.remembered, wanted))
    asks, issue = AskConsent(scope, resources), Issue(scope, resources)
    unasked = _LOCAL if is_local else _CONSENT
    for fits, with_prompt_none, otherwise in (
        (_must_sign_in(request, root, now), _LOGIN, SignIn()),
        (is_other and is_anew, _OTHER_USER, _OTHER_USER),
        (is_other, _OTHER_USER, SignIn()),
        (is_weak and root.has_factor, _FACTOR, StepUp()),
        (is_weak, _FACTOR, EnrolFactor()),
        (is_more and is_old, unasked, StepUp()),
        (_has(root.allows, wanted), issue, issue),
        (is_more or is_local or "consent" in prompts, unasked, asks),
    ):
        if fits:
            return with_prompt_none if silent else otherwise
    return issue


def fault_of(
    request: AuthorizationRequest, client: Registered
) -> ShowError | SendError | None:
    """What is wrong with a request, before it is looked at for which user it is."""
    prompts, uri = _words(request.prompt), request.redirect_uri
    challenge, method = request.code_challenge, request.code_challenge_method
    must_challenge = client.pkce or client.is_public
    for is_wrong, fault in (
        ("client_id" in request.repeated, ShowError(PageFault.CLIENT)),
        ("redirect_uri" in request.repeated, _REDIRECT_URI),
        (not redirect_uri.is_registered(uri, client.redirect_uris), _REDIRECT_URI),
        (not client.uses_code, _GRANT),
        (request.refused, _REFUSED.get(request.refused)),
        (request.repeated, _TWICE),
        (client.par and not request.pushed, _PUSH),
        (not request.response_type, _NO_TYPE),
        (request.response_type != "code", _RESPONSE_TYPE),
        (request.response_mode not in ("", "query"), _MODE),
        (not set(request.resource) <= set(client.resources), _RESOURCE),
        (len(request.resource) > limits.RESOURCES_MAX, _RESOURCES),
        # RFC 7636 §4.3: without a method it is plain, which protects nothing.
        ((challenge or method) and method != "S256", _METHOD),
        ((challenge or method) and not _HASH.fullmatch(challenge), _CHALLENGE),
        (must_challenge and not challenge, _NO_CHALLENGE),
        (request.jkt and not _HASH.fullmatch(request.jkt), _JKT),
        (not set(prompts) <= set(PROMPTS), _PROMPT),
        ("none" in prompts and len(prompts) > 1, _NONE_ALONE),
        (not _SECONDS.fullmatch(request.max_age or "0"), _MAX_AGE),
    ):
        if is_wrong:
            return fault
    return None


def _malformed(text: str) -> SendError:
    return SendError(OAuthFault.INVALID_REQUEST, text)


_REDIRECT_URI: Final = ShowError(PageFault.REDIRECT_URI)
_GRANT: Final = SendError(
    OAuthFault.UNAUTHORIZED_CLIENT, "This client has not the grant authorization_code."
)
_RESPONSE_TYPE: Final = SendError(
    OAuthFault.UNSUPPORTED_RESPONSE_TYPE, "response_type has to be code."
)
_RESOURCE: Final = SendError(
    OAuthFault.INVALID_TARGET, "The resource is not one of this client."
)
_RESOURCES: Final = SendError(
    OAuthFault.INVALID_TARGET, f"resource: {limits.RESOURCES_MAX} at most."
)
_TWICE: Final = _malformed("A parameter came twice.")
_PUSH: Final = _malformed("This client has to push its requests (RFC 9126).")
_NO_TYPE: Final = _malformed("response_type is missing: it has to be code.")
_MODE: Final = _malformed("response_mode has to be query.")
_METHOD: Final = _malformed("code_challenge_method has to be S256.")
_CHALLENGE: Final = _malformed("code_challenge has to be a SHA-256 in base64url.")
_NO_CHALLENGE: Final = _malformed("code_challenge is missing (RFC 7636).")
_JKT: Final = _malformed("dpop_jkt has to be a SHA-256 in base64url.")
_PROMPT: Final = _malformed(f"prompt has to be of: {' '.join(PROMPTS)}.")
_NONE_ALONE: Final = _malformed("prompt: none goes with no other.")
_MAX_AGE: Final = _malformed("max_age has to be a number of seconds.")
NOT_SUPPORTED: Final = {
    "request": OAuthFault.REQUEST_NOT_SUPPORTED,
    "request_uri": OAuthFault.REQUEST_URI_NOT_SUPPORTED,
    "registration": OAuthFault.REGISTRATION_NOT_SUPPORTED,
}
"""Parameters that are refused by their names (OpenID Connect Core §6, §7.2.1)."""

_REFUSED: Final = {
    **{
        name: SendError(fault, f"{name} is not supported.")
        for name, fault in NOT_SUPPORTED.items()
    },
    "id_token_hint": _malformed("id_token_hint is no ID token of this server."),
}
_LOGIN: Final = SendError(OAuthFault.LOGIN_REQUIRED, "The user has to sign in.")
_OTHER_USER: Final = SendError(
    OAuthFault.LOGIN_REQUIRED, "Another user is signed in than id_token_hint names."
)
_FACTOR: Final = SendError(
    OAuthFault.INTERACTION_REQUIRED, "The user has to prove a second factor."
)
_CONSENT: Final = SendError(
    OAuthFault.CONSENT_REQUIRED, "The user has not allowed this client to have that."
)
_LOCAL: Final = SendError(
    OAuthFault.INTERACTION_REQUIRED,
    "A redirect to a program on the machine of the user always needs a page.",
)


def _must_sign_in(request: AuthorizationRequest, root: Root, now: int) -> bool:
    if root.until - now < limits.SESSION_LEAST:
        return True
    # A sign-in since then meets both, or the pages would ask again and again.
    if root.auth_time >= request.at:
        return False
    if not {"login", "select_account"}.isdisjoint(_words(request.prompt)):
        return True
    # Whole seconds, as APIs compare `auth_time` (RFC 9470 §4).
    age = now // limits.SECOND - root.auth_time // limits.SECOND
    return bool(request.max_age) and age > int(request.max_age)


def _needs_factor(request: AuthorizationRequest) -> bool:
    """Whether `acr_values` has `aal2` and no weaker one: any of the list will do."""
    asked = _words(request.acr_values)
    return AAL2 in asked and AAL1 not in asked


def _wanted(
    request: AuthorizationRequest, client: Registered
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Scopes and resources: a scope that the client may not have is left out."""
    asked = _words(request.scope)
    scope = tuple(one for one in dict.fromkeys(asked) if one in client.scope)
    if set(asked) <= {OFFLINE_ACCESS}:  # not said: all that it may have besides ALWAYS
        scope = (*(one for one in client.scope if one not in ALWAYS), *scope)
    return scope, tuple(dict.fromkeys(request.resource)) or client.audience


def _has(
    allowed: Granted | None, wanted: tuple[tuple[str, ...], tuple[str, ...]]
) -> bool:
    return allowed is not None and allowed.covers(Granted(*wanted))


def _words(text: str) -> list[str]:
    return [word for word in text.split(" ") if word]
