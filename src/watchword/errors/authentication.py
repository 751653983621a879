"""Errors of identity: of a sign-in, an access token, a refresh token."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.errors.root import WatchwordError


class AuthenticationError(WatchwordError):
    """The caller did not prove its identity."""


class InvalidCredentials(AuthenticationError):
    """Unknown name, wrong password or disabled account: the error never says which."""

    code = "invalid_credentials"
    message = "The user name or the password is wrong."


class SecondFactorRequired(AuthenticationError):
    """The first factor was right, and the user has a second one to prove.

    `continuation` is a ticket for the second step, `methods` are those that the user
    has, `expires_in` is in seconds. No token of any kind exists yet.
    """

    code = "second_factor_required"
    message = "The sign-in needs a second factor: go on at /login/continue."

    def __init__(
        self, continuation: str, methods: Sequence[str], *, expires_in: int
    ) -> None:
        super().__init__()
        self.continuation = continuation
        self.methods = tuple(methods)
        self.expires_in = expires_in


class SecondFactorEnrolmentRequired(SecondFactorRequired):
    """The policy demands a second factor, and the user has none yet.

    `methods` are those that may be enrolled.
    """

    code = "second_factor_enrolment_required"
    message = "The sign-in needs a second factor, and there is none: enrol one."


class SecondFactorInvalid(AuthenticationError):
    """A wrong code, a used one, or a disabled account: the error never says which."""

    code = "second_factor_invalid"
    message = "The second factor is wrong, or was used before."


class ContinuationExpired(AuthenticationError):
    """A continuation or challenge that has run out, was used, or is another client's.

    The error never says which. The sign-in has to begin again.
    """

    code = "continuation_expired"
    message = "This took too long, or was finished before: begin again."


class InteractionExpired(AuthenticationError):
    """The request of a client has run out, was granted, or began in another browser.

    The error never says which. The user has to begin again at the client.
    """

    code = "interaction_expired"
    message = "This took too long, or began in another browser: begin again at the app."


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
    message = "A more recent or stronger sign-in is needed: step up, or sign in again."

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


class CodeInvalid(RefreshError):
    """Not an authorization code that this client may redeem, or no longer.

    Nothing was ended and nothing was spent.
    """

    code = "code_invalid"
    message = "The authorization code is not valid: sign in again."


class CodeReused(RefreshError):
    """An authorization code came a second time without proof of a retry.

    It may have been stolen, so its session was ended (RFC 6749 §4.1.2).
    """

    code = "code_reused"
    message = (
        "This authorization code was used before: it may have been copied. "
        "The session has been ended; sign in again."
    )


class SignedOut(RefreshError):
    """A Watchword client holds no session: there was no sign-in, or it is over."""

    code = "signed_out"
    message = "There is no session here: sign in."
