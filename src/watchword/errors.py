"""Every error that Watchword raises: one root, a stable ``code`` each.

    WatchwordError
    ├── InvalidRequest                      invalid_request
    │   ├── RetryKeyReused                  retry_key_reused
    │   ├── InvalidScope                    invalid_scope
    │   ├── InvalidTarget                   invalid_target
    │   ├── UnauthorizedClient              unauthorized_client
    │   ├── UnsupportedGrantType            unsupported_grant_type
    │   ├── UnsupportedTokenType            unsupported_token_type
    │   ├── EmailInvalid                    email_invalid
    │   ├── NameInvalid                     name_invalid
    │   ├── InvalidProof                    invalid_dpop_proof
    │   └── NonceNeeded                     use_dpop_nonce
    ├── CsrfRejected                        csrf_rejected
    ├── InsufficientScope                   insufficient_scope
    ├── InsufficientRole                    insufficient_role
    ├── RegistrationRefused                 registration_refused
    ├── NotFound                            not_found
    ├── NameTaken                           name_taken
    ├── EmailTaken                          email_taken
    ├── LastAdmin                           last_admin
    ├── ConfirmationInvalid                 confirmation_invalid
    ├── PasswordRejected                    password_rejected
    ├── AuthenticationError
    │   ├── InvalidCredentials              invalid_credentials
    │   ├── InvalidClient                   invalid_client
    │   ├── AccessTokenError
    │   │   ├── TokenMissing                token_missing
    │   │   ├── TokenInvalid                token_invalid
    │   │   ├── TokenExpired                token_expired
    │   │   ├── TokenRevoked                token_revoked
    │   │   ├── TokenProofInvalid           invalid_dpop_proof
    │   │   ├── TokenNonceNeeded            use_dpop_nonce
    │   │   └── InsufficientAuthentication  insufficient_user_authentication
    │   └── RefreshError
    │       ├── RefreshInvalid              refresh_invalid
    │       ├── RefreshReused               refresh_reused
    │       ├── SessionExpired              session_expired
    │       ├── SessionRevoked              session_revoked
    │       └── SignedOut                   signed_out
    ├── TryAgain
    │   ├── Throttled                       throttled
    │   ├── Overloaded                      overloaded
    │   ├── StoreUnavailable                store_unavailable
    │   └── Unreachable                     unreachable
    ├── MailNotSent                         mail_not_sent
    └── ConfigurationError
        ├── SettingsError                   settings_invalid
        ├── SchemaError                     schema_mismatch
        ├── KeyRingError                    key_ring
        └── TokenFileError                  token_file

Nothing here knows HTTP: ``server/problems.py`` is the one map to the wire. It begins
with the rows of ``tokens/challenges.py``, which resource servers answer by. Messages
never hold a token, a password or a retry key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class WatchwordError(Exception):
    """The root of all errors. ``code`` is stable: programs may branch on it."""

    code: ClassVar[str] = "error"
    message: ClassVar[str] = "Something went wrong."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


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
    message = "Supported grant types: refresh_token, client_credentials."


class UnsupportedTokenType(InvalidRequest):
    """A token that cannot be revoked: it has no session (RFC 7009 §2.2.1)."""

    code = "unsupported_token_type"
    message = "This token has no session that could be ended; it expires by itself."


class EmailInvalid(InvalidRequest):
    """That is no mail address which this server can send to."""

    code = "email_invalid"
    message = "This is not a mail address that can be used here."


class NameInvalid(InvalidRequest):
    """A user name that a user cannot choose: other characters, or a reserved word."""

    code = "name_invalid"
    message = (
        "A user name is of the letters a to z, digits, dot, underline and hyphen, "
        "and no reserved word."
    )


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


class RegistrationRefused(WatchwordError):
    """The app's own check, `before_registration`, did not let the user register."""

    code = "registration_refused"
    message = "This registration was refused."


class NotFound(WatchwordError):
    """No such account, session, client or key, or not one the caller may see."""

    code = "not_found"
    message = "There is nothing here by that name."


class NameTaken(WatchwordError):
    """An account of that (normalised) name, or a client of that id, exists."""

    code = "name_taken"
    message = "An account of that name exists."


class EmailTaken(WatchwordError):
    """Another account has that address, or can still get it back.

    Raised only for a caller that has proved to read the mail of the address, or that
    acts for an operator: to others the answer never says it.
    """

    code = "email_taken"
    message = "An account of that address exists."


class LastAdmin(WatchwordError):
    """The last enabled account of the role admin can neither be deleted nor disabled.

    Without it, other accounts could be managed on the server's machine alone.
    """

    code = "last_admin"
    message = "This is the last account with the role admin: make another one first."


class ConfirmationInvalid(WatchwordError):
    """A one-time token that is unknown, used, expired or for something else.

    The error never says which.
    """

    code = "confirmation_invalid"
    message = "This link was used or has run out. If you confirmed already, sign in."


class PasswordFault(StrEnum):
    """What is wrong with a new password, for programs with words of their own."""

    SHORT = "short"
    LONG = "long"
    NO_TEXT = "no_text"
    IS_NAME = "is_name"
    COMMON = "common"
    LEAKED = "leaked"
    OTHER = "other"


class PasswordRejected(WatchwordError):
    """A new password is too short, too long or too common; the message says which.

    So does `fault`, in one word: `short`, `long`, `no_text`, `is_name`, `common`,
    `leaked` or `other`. `limit` is the number of characters that is asked for, if it is
    about that.
    """

    code = "password_rejected"
    message = "This password cannot be used."

    def __init__(
        self,
        message: str | None = None,
        *,
        fault: PasswordFault = PasswordFault.OTHER,
        limit: int = 0,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.limit = limit


class AuthenticationError(WatchwordError):
    """The caller did not prove its identity."""


class InvalidCredentials(AuthenticationError):
    """Unknown name, wrong password or disabled account: the error never says which."""

    code = "invalid_credentials"
    message = "The user name or the password is wrong."


class InvalidClient(AuthenticationError):
    """Unknown or disabled client, or a wrong secret: the error never says which."""

    code = "invalid_client"
    message = "The client is unknown or did not authenticate."


class AccessTokenError(AuthenticationError):
    """An access token was not accepted."""


class TokenMissing(AccessTokenError):
    """No access token came with the request."""

    code = "token_missing"
    message = "An access token is needed: Authorization: Bearer <accessToken>."


class TokenInvalid(AccessTokenError):
    """Not an access token of this issuer for this audience."""

    code = "token_invalid"
    message = "The access token is not valid."


class TokenExpired(AccessTokenError):
    """A genuine token past its ``exp``: refresh, without asking the user to sign in."""

    code = "token_expired"
    message = "The access token has expired: refresh it."


class TokenRevoked(AccessTokenError):
    """A genuine token of a session that has ended: sign in again."""

    code = "token_revoked"
    message = "The session of this access token has ended: sign in again."


class TokenProofInvalid(AccessTokenError):
    """A DPoP-bound access token came with a proof that is missing or not valid."""

    code = "invalid_dpop_proof"
    message = "The DPoP proof is not valid."


class TokenNonceNeeded(AccessTokenError):
    """The proof beside a DPoP-bound access token needs the current `nonce`."""

    code = "use_dpop_nonce"
    message = "The DPoP proof needs the nonce of the DPoP-Nonce header."

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce


class InsufficientAuthentication(AccessTokenError):
    """A genuine token of a sign-in that is too old or too weak (RFC 9470 §3).

    `acr_values` and `max_age` (seconds) are what is needed; None where any will do.
    """

    code = "insufficient_user_authentication"
    message = "A more recent or a stronger sign-in is needed: sign in again."

    def __init__(self, *, acr_values: str | None, max_age: int | None) -> None:
        super().__init__()
        self.acr_values = acr_values
        self.max_age = max_age


class RefreshError(AuthenticationError):
    """A refresh token was not accepted."""


class RefreshInvalid(RefreshError):
    """Not a refresh token of this server, or not this client's, or not sent this way.

    Nothing was revoked and nothing was spent.
    """

    code = "refresh_invalid"
    message = "The refresh token is not valid."


class RefreshReused(RefreshError):
    """A spent refresh token came back without proof of a retry.

    It may have been stolen, so its session was ended.
    """

    code = "refresh_reused"
    message = (
        "This refresh token was used before: it may have been copied. "
        "The session has been ended; sign in again."
    )


class SessionExpired(RefreshError):
    """The session's idle or absolute lifetime is over."""

    code = "session_expired"
    message = "The session has expired: sign in again."


class SessionRevoked(RefreshError):
    """The session was ended before its time."""

    code = "session_revoked"
    message = "The session has ended: sign in again."


class SignedOut(RefreshError):
    """A Watchword client holds no session: there was no sign-in, or it is over."""

    code = "signed_out"
    message = "There is no session here: sign in."


class TryAgain(WatchwordError):
    """Not now; the same request may be sent again after ``retry_after`` seconds.

    Nothing was spent, with one exception. A StoreUnavailable may mean that it is not
    known how a commit ended. If the refresh carried a retry key, sending it again then
    finds its own rotation.
    """

    def __init__(self, message: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(TryAgain):
    """Too many failed sign-ins, failures of a client, or retries of one refresh."""

    code = "throttled"
    message = "Too many failed sign-ins: wait before trying again."


class Overloaded(TryAgain):
    """A bounded queue is full."""

    code = "overloaded"
    message = "The server is busy: try again shortly."


class StoreUnavailable(TryAgain):
    """The store did not answer, or did not say how a commit ended."""

    code = "store_unavailable"
    message = "The store is not available: try again shortly."


class Unreachable(TryAgain):
    """No answer from the server, or an answer that is not from a Watchword."""

    code = "unreachable"
    message = "The server did not answer: try again shortly."


class MailNotSent(WatchwordError):
    """The mail server took no message, or could not be reached; it is tried again.

    `reason` is the mail server's reply code, or says why there was no reply. Unlike the
    message it never repeats an address.
    """

    code = "mail_not_sent"

    def __init__(self, reason: str, said: str = "") -> None:
        super().__init__(f"The mail was not sent: {reason}{said and f' ({said})'}.")
        self.reason = reason


class ConfigurationError(WatchwordError):
    """The process cannot start, or must not start, with this configuration."""


class SettingsError(ConfigurationError):
    """One or more settings are wrong; ``faults`` has a sentence for each."""

    code = "settings_invalid"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class SchemaError(ConfigurationError):
    """The store's schema is newer than this program, or was altered."""

    code = "schema_mismatch"


class KeyRingError(ConfigurationError):
    """Signing keys cannot be unsealed, or a key operation is not possible now."""

    code = "key_ring"


class TokenFileError(ConfigurationError):
    """A client's token file is unreadable, another user's, or open to other users."""

    code = "token_file"


# Every class above is public: a list by hand would be one more thing to forget.
__all__ = [
    name
    for name, thing in sorted(globals().items())
    if isinstance(thing, type) and issubclass(thing, WatchwordError)
]
