"""What the issuer's answers mean: tokens, a registration's handle, errors. Pure."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Final, NamedTuple, TypedDict, TypeVar

import msgspec

from watchword import errors
from watchword.errors import TryAgain, Unreachable, WatchwordError
from watchword.tokens.headers import Scheme

Content = TypeVar("Content")

DETAIL_MAX: Final = 500
_OK: Final = frozenset({200, 201})
_ACCEPTED: Final = frozenset({202, 204})


class Answer(NamedTuple):
    """An answer of the issuer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status})"


Outcome = Answer | Unreachable | None
"""An answer; None where none came; or Unreachable, which says why none can come."""


class Tokens(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a sign-in, or to a call that rotates the session.

    Recovery codes are in it where it has added the first factor.
    """

    access_token: str
    expires_in: int
    refresh_token: str
    session_id: str
    token_type: Scheme
    recovery_codes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Tokens(session_id={self.session_id!r})"


class _OAuthTokens(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1. A client without a refresh token could not keep its session."""

    access_token: str
    token_type: Scheme
    expires_in: int
    refresh_token: str


class _Sid(msgspec.Struct, frozen=True):
    sid: str


class _Registration(msgspec.Struct, frozen=True):
    registration: str


class _Problem(msgspec.Struct, frozen=True, rename="camel"):
    """Problem details (RFC 9457), or the error of an OAuth endpoint (RFC 6749 §5.2)."""

    code: str = ""
    error: str = ""
    error_description: str = msgspec.field(default="", name="error_description")
    detail: str = ""
    continuation: str = ""
    methods: tuple[str, ...] = ()
    expires_in: int = 0


_ACR_VALUES: Final = re.compile(r'\bacr_values="([^"]+)"')
_MAX_AGE: Final = re.compile(r'\bmax_age="?([0-9]{1,9})\b')
_STRANGER: Final = "The server's answer was not one of Watchword's."
_TOKENS: Final = msgspec.json.Decoder(Tokens)
_OAUTH_TOKENS: Final = msgspec.json.Decoder(_OAuthTokens)
_SID: Final = msgspec.json.Decoder(_Sid)
_REGISTRATION: Final = msgspec.json.Decoder(_Registration)
_PROBLEM: Final = msgspec.json.Decoder(_Problem)

_KNOWN: Final[dict[str, type[WatchwordError]]] = {
    kind.code: kind
    for kind in (
        *(errors.InvalidRequest, errors.InvalidProof, errors.UnauthorizedClient),
        *(errors.InvalidCredentials, errors.InvalidClient, errors.RetryKeyReused),
        *(errors.InvalidScope, errors.InvalidTarget),
        *(errors.EmailInvalid, errors.EmailTaken, errors.NameTaken, errors.NotFound),
        *(errors.NameInvalid, errors.ConfirmationInvalid, errors.PasswordRejected),
        errors.RegistrationRefused,
        *(errors.SecondFactorInvalid, errors.ContinuationExpired, errors.LastFactor),
        *(errors.TokenExpired, errors.TokenRevoked),
        *(errors.RefreshInvalid, errors.RefreshReused),
        *(errors.SessionExpired, errors.SessionRevoked),
        *(errors.Throttled, errors.Overloaded, errors.StoreUnavailable),
    )
}

_STOPPED: Final = {
    kind.code: kind
    for kind in (errors.SecondFactorRequired, errors.SecondFactorEnrolmentRequired)
}


def tokens_in(answer: Outcome) -> Tokens | WatchwordError:
    """The tokens in an answer, or the error.

    A body that Watchword would not write counts as no answer. A network with a sign-in
    page of its own answers 200 to every request, and the session must survive that.
    """
    if not isinstance(answer, Answer) or answer.status not in _OK:
        return fault_in(answer)
    try:
        return _plain(_TOKENS.decode(answer.body))
    except msgspec.MsgspecError:
        return Unreachable(_STRANGER)


def oauth_tokens_in(answer: Outcome) -> Tokens | WatchwordError:
    """The same for an answer of `/oauth/token`."""
    if not isinstance(answer, Answer) or answer.status not in _OK:
        return _oauth_fault(answer)
    try:
        found = _OAUTH_TOKENS.decode(answer.body)
        payload = found.access_token.split(".")[1].encode()
        sid = _SID.decode(urlsafe_b64decode(payload + b"=="[: -len(payload) % 4])).sid
    except (msgspec.MsgspecError, ValueError, IndexError):
        return Unreachable(_STRANGER)
    return _plain(
        Tokens(
            found.access_token,
            found.expires_in,
            found.refresh_token,
            sid,
            found.token_type,
        )
    )


def _plain(tokens: Tokens) -> Tokens | WatchwordError:
    # Tokens go into headers, so other characters would make a request fail or worse.
    plain = [tokens.access_token, tokens.refresh_token]
    if tokens.expires_in <= 0 or not all(
        t.isascii() and t.isprintable() for t in plain
    ):
        return Unreachable(_STRANGER)
    return tokens


def content_in(answer: Outcome, kind: type[Content]) -> Content | WatchwordError:
    """What a call answers beside tokens, or the error."""
    if not isinstance(answer, Answer) or answer.status not in _OK:
        return fault_in(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError:
        return Unreachable(_STRANGER)


def handle_in(answer: Outcome) -> str | WatchwordError:
    """The handle of a registration in an answer, or the error."""
    if not isinstance(answer, Answer) or answer.status not in _ACCEPTED:
        return fault_in(answer)
    try:
        return _REGISTRATION.decode(answer.body).registration
    except msgspec.MsgspecError:
        return Unreachable(_STRANGER)


def refusal_in(answer: Outcome) -> WatchwordError | None:
    """The error, or None where a call that has no other answer was carried out."""
    if isinstance(answer, Answer) and answer.status in _ACCEPTED:
        return None
    return fault_in(answer)


def fault_in(answer: Outcome) -> WatchwordError:
    """The error that an answer stands for, by its code."""
    if not isinstance(answer, Answer):
        return answer or Unreachable()
    problem = _problem(answer.body)
    stopped = _STOPPED.get(problem.code)
    if stopped is not None and problem.continuation:
        return stopped(
            problem.continuation, problem.methods, expires_in=problem.expires_in
        )
    if problem.code == errors.InsufficientAuthentication.code:
        needed = needed_in(answer.headers.get("www-authenticate", ""))
        return errors.InsufficientAuthentication(**needed)
    kind = _KNOWN.get(problem.code)
    message = problem.detail[:DETAIL_MAX] or None
    if kind is None:
        return _strange(answer.status, problem)
    if issubclass(kind, TryAgain):
        return kind(message, retry_after=_retry_after(answer))
    return kind(message)


def _oauth_fault(answer: Outcome) -> WatchwordError:
    """The error of an OAuth endpoint, whose codes are those of its standards."""
    if not isinstance(answer, Answer):
        return answer or Unreachable()
    problem = _problem(answer.body)
    if not problem.error:
        return fault_in(answer)
    message = problem.error_description[:DETAIL_MAX] or None
    by_status = {429: errors.Throttled, 503: errors.StoreUnavailable}
    later = by_status.get(answer.status)
    if later is not None:
        return later(message, retry_after=_retry_after(answer))
    if problem.error == "invalid_grant":
        return errors.CodeInvalid(message)
    kind = _KNOWN.get(problem.error)
    if kind is None:
        return WatchwordError(f"{problem.error}: {message or ''}")
    return kind(message)


def _strange(status: int, problem: _Problem) -> WatchwordError:
    if status >= 500 or not problem.code:  # noqa: PLR2004 - a server's, or a proxy's
        return Unreachable(f"The server answered {status}, and not as Watchword does.")
    return WatchwordError(f"{problem.code}: {problem.detail[:DETAIL_MAX]}")


class Needed(TypedDict):
    """What a sign-in has to be (RFC 9470 §3); None where any will do."""

    acr_values: str | None
    max_age: int | None


def needed_in(challenge: str) -> Needed:
    """What a challenge `insufficient_user_authentication` says is needed."""
    levels, age = _ACR_VALUES.search(challenge), _MAX_AGE.search(challenge)
    return {
        "acr_values": levels[1] if levels else None,
        "max_age": int(age[1]) if age else None,
    }


def problem_code(body: bytes) -> str:
    """The code of an error of Watchword; empty for other bodies."""
    problem = _problem(body)
    return problem.code or problem.error


def _problem(body: bytes) -> _Problem:
    try:
        return _PROBLEM.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Problem()


def _retry_after(answer: Answer) -> int:
    """`Retry-After` in seconds; 1 for a date (RFC 9110 §10.2.3) and anything else."""
    text = answer.headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1  # noqa: PLR2004
