"""Errors of requests: what is malformed, not allowed, or about nothing there is."""

from __future__ import annotations

from watchword.errors.root import WatchwordError


class InvalidRequest(WatchwordError):
    """The request is malformed: sending it again unchanged cannot help."""

    code = "invalid_request"
    message = "The request is malformed."


class RetryKeyReused(InvalidRequest):
    """A refresh token came with the retry key of the rotation that made it.

    A key belongs to one rotation. A client that always sent the same key would switch
    reuse detection off. Nothing was spent; draw a new key.
    """

    code = "retry_key_reused"
    message = "This Idempotency-Key was used for the previous rotation: draw a new one."


class InvalidScope(InvalidRequest):
    """A scope wider than what was granted, or one that the client may not have."""

    code = "invalid_scope"
    message = "The scope is more than this client or session has."


class InvalidTarget(InvalidRequest):
    """A resource (RFC 8707) that the client or session has no access to."""

    code = "invalid_target"
    message = "The resource is not one that this client or session may use."


class UnauthorizedClient(InvalidRequest):
    """The client is known but has no right to what it asks for (RFC 6749 §5.2)."""

    code = "unauthorized_client"
    message = "This client may not do that."


class UnsupportedGrantType(InvalidRequest):
    """A grant type that this server does not have, such as the password grant."""

    code = "unsupported_grant_type"
    message = (
        "Supported grant types: authorization_code, refresh_token, client_credentials."
    )


class UnsupportedResponseType(InvalidRequest):
    """A pushed request for something else than a code (RFC 6749 §4.1.2.1)."""

    code = "unsupported_response_type"
    message = "response_type has to be code."


class RequestNotSupported(InvalidRequest):
    """A pushed request with a request object (OpenID Connect Core §3.1.2.6)."""

    code = "request_not_supported"
    message = "request is not supported."


class UnsupportedTokenType(InvalidRequest):
    """A token that cannot be revoked: it has no session (RFC 7009 §2.2.1)."""

    code = "unsupported_token_type"
    message = "This token has no session that could be ended; it expires by itself."


class InvalidProof(InvalidRequest):
    """A DPoP proof that fails a check of RFC 9449 §4.3, or that is missing."""

    code = "invalid_dpop_proof"
    message = "A DPoP proof is needed here, of the key that the session is bound to."


class NonceNeeded(InvalidRequest):
    """A good proof without a current nonce: send a new one with `nonce` in it."""

    code = "use_dpop_nonce"
    message = "The DPoP proof needs the nonce of the DPoP-Nonce header."

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce


class CsrfRejected(WatchwordError):
    """A request with the session cookie that another site may have caused."""

    code = "csrf_rejected"
    message = (
        "A request with the session cookie needs the header X-Requested-With, and "
        "must come from this origin or one of WATCHWORD_CORS_ORIGINS."
    )


class InsufficientScope(WatchwordError):
    """A good access token without a scope that is needed (RFC 6750 §3.1).

    `scope` is what is needed, or "" where no scope would do for this client.
    """

    code = "insufficient_scope"
    message = "The access token lacks a scope that is needed here."

    def __init__(self, scope: str, message: str | None = None) -> None:
        super().__init__(message)
        self.scope = scope


class InsufficientRole(WatchwordError):
    """A good access token of an account without a role that is needed."""

    code = "insufficient_role"
    message = "The account lacks a role that is needed here."


class VersionChanged(WatchwordError):
    """The thing was changed since the caller read it (RFC 9110 §13.1.1)."""

    code = "version_changed"
    message = "It has changed meanwhile: read it again, and repeat what still holds."


class VersionRequired(WatchwordError):
    """A change without the version that the caller saw (RFC 6585 §3)."""

    code = "version_required"
    message = "Send If-Match with the version that you have read."


class NotFound(WatchwordError):
    """No such account, session, client or key, or not one the caller may see."""

    code = "not_found"
    message = "There is nothing here by that name."
