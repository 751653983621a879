"""The rule of an authorization request: one table on one screen.

`judge_authorization` is pure, as `judge` is for a refresh.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a request, as they came. "" for one that did not come.

    `at` is the instant (ms) at which the server first saw it. `jkt` is that of the
    proof that it was pushed with, or of `dpop_jkt`. `hinted` is the subject of a
    genuine `id_token_hint`. `repeated` are parameters that came twice, and `refused`
    is the name of one that is not supported.
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
    have; `pkce`, `par` and `dpop` what it has to send.
    """

    id: str
    is_public: bool
    uses_code: bool
    redirect_uris: tuple[str, ...]
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    pkce: bool
    par: bool
    dpop: bool


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """The browser's sign-in at this server, as far as the rule looks at it.

    Instants in ms. `until` is when a session that begins now would end. `has_factor`
    says whether the account has a second factor. `consented` says which request the
    user has allowed: what is remembered, or what the page has just been told.
    """

    subject: str
    auth_time: int
    acr: str
    until: int
    has_factor: bool
    consented: bool


class OAuthFault(StrEnum):
    """The `error` that is sent to a client (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6)."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    ACCESS_DENIED = "access_denied"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    REGISTRATION_NOT_SUPPORTED = "registration_not_supported"
    LOGIN_REQUIRED = "login_required"
    CONSENT_REQUIRED = "consent_required"
    INTERACTION_REQUIRED = "interaction_required"
    SERVER_ERROR = "server_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


class PageFault(StrEnum):
    """Why a request is shown to the user, and sent nowhere (RFC 9700 §4.11.2)."""

    CLIENT = "client"
    REDIRECT_URI = "redirect_uri"


class ShowError(msgspec.Struct, frozen=True):
    """A page says what is wrong: nothing is sent to the redirect URI."""

    fault: PageFault


class SendError(msgspec.Struct, frozen=True):
    """The client is told, at its redirect URI. `text` has no quote and no backslash."""

    fault: OAuthFault
    text: str


class SignIn(msgspec.Struct, frozen=True):
    """The user has to sign in, or anew."""


class EnrolFactor(msgspec.Struct, frozen=True):
    """The user has to have a second factor, and has none yet."""


class StepUp(msgspec.Struct, frozen=True):
    """The user has to prove its second factor."""


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
    """The verdict on a request. The first check that fails decides."""
    raise NotImplementedError
