"""A session as its client keeps it: what is sent, and what the answers mean. Pure.

    drawn, stored ........ a retry key, before anything is sent
    sent ................. the refresh token with that key
      tokens ............. the successor is stored, the key is gone with its rotation
      no answer, 5xx ..... the same token with the same key, again
      retry_key_reused ... another key
      429, 503 ........... when Retry-After says so; nobody is signed out
      any RefreshError ... it is over: what is held is forgotten

Nothing here does any I/O. Each conversation is a generator: it yields the steps that a
driver must take (`driving.py`) and is sent what came of them. A program that dies at a
step leaves behind what the steps before it stored, and the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from watchword import errors
from watchword.client.outside import Clocks, Draws, Instant
from watchword.client.proof import Prover
from watchword.errors import (
    InvalidRequest,
    RefreshError,
    RetryKeyReused,
    SignedOut,
    TryAgain,
    Unreachable,
    WatchwordError,
)

Result = TypeVar("Result")

ATTEMPTS: Final = 6
"""How often one refresh is sent at most, where the caller has to wait for it."""
BACKOFF, BACKOFF_MAX = 0.2, 5.0
# A server that is away for longer is for the caller to wait for.
RETRY_AFTER_MAX: Final = 10

# Shares of an access token's life. When to refresh is drawn anew for each token, so
# that clients which signed in together do not all come back together.
REFRESH_FROM, REFRESH_TO = 0.8, 0.9
# From here on it is not sent any more: it might expire on its way.
STALE: Final = 0.95
# After a refresh that did not work, while the access token still does.
POSTPONED: Final = 0.05

DETAIL_MAX: Final = 500


class Held(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a client holds of its session; what the token file is made of.

    `life` is how many seconds the access token lives, `fetched_at` the second of the
    wall clock at which it was asked for. `retry_key` is there while a refresh is under
    way, `key` (PKCS #8 in PEM) where the session is bound to a key that is kept here.
    """

    version: Literal[1] = 1
    issuer: str
    session_id: str
    scheme: Literal["Bearer", "DPoP"]
    access_token: str
    life: float
    fetched_at: float
    refresh_token: str
    retry_key: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return f"Held(issuer={self.issuer!r}, session_id={self.session_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For `rich`, which would print the members otherwise: no token here either."""
        return [("issuer", self.issuer), ("session_id", self.session_id)]


class Due(NamedTuple):
    """Since when a token is there, and the ages at which to refresh and to drop it."""

    since: Instant
    refresh: float
    stale: float

    @classmethod
    def of(cls, held: Held, age: float, now: Instant, draws: Draws) -> Due:
        """For a token of that age; one from the future is as good as expired."""
        if not 0 <= age < held.life:
            age = held.life
        share = draws.between(REFRESH_FROM, REFRESH_TO)
        # What was under way when a process died is brought to its end soon: the retry
        # key is good for a day only.
        refresh = 0 if held.retry_key else share * held.life
        since = Instant(now.steady - age, now.wall - age)
        return cls(since, refresh, STALE * held.life)


# What a driver does


class Request(NamedTuple):
    """A call of the issuer's: JSON by POST."""

    url: str
    body: bytes
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Request({self.url!r})"


class Answer(NamedTuple):
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status})"


class Send(NamedTuple):
    """Send it; what comes of it is an Answer, or None where none came."""

    request: Request


class Keep(NamedTuple):
    """Store it, durably, before the next step; None: nothing is held any more."""

    held: Held | None


class Wait(NamedTuple):
    """Do nothing for so many seconds."""

    seconds: float


Talk = Generator[Send | Keep | Wait, Any, Result]


# The conversations


class Issuer:
    """Talks to one issuer; `url` has no slash at its end."""

    def __init__(self, url: str, clocks: Clocks, draws: Draws) -> None:
        self.url = url
        self._clocks = clocks
        self._draws = draws

    def sign_in(
        self, username: str, password: str, prover: Prover | None, key: str | None
    ) -> Talk[Held]:
        """A new session, stored. Raises the error that the server answered with."""
        body = {"username": username, "password": password}
        if any("\ud800" <= char <= "\udfff" for char in username + password):
            raise InvalidRequest("The name or the password is not Unicode text.")
        started = self._clocks.wall()
        answer = yield from self._call("login", body, {}, prover)
        tokens = _tokens(answer)
        if isinstance(tokens, WatchwordError):
            raise tokens
        held = tokens.held(self.url, started, key)
        yield Keep(held)
        return held

    def refresh(
        self, held: Held, prover: Prover | None, attempts: int = ATTEMPTS
    ) -> Talk[Held]:
        """The successor, stored.

        Raises RefreshError, with nothing held any more; TryAgain, with everything kept
        that it takes to ask again; what else the server answered with.
        """
        if held.retry_key is None:
            held = yield from self._with_new_key(held)
        fault: WatchwordError = Unreachable()
        for attempt in range(attempts):
            if attempt and isinstance(fault, TryAgain):
                yield Wait(self._pause(attempt, fault))
            result = yield from self._ask(held, prover)
            if isinstance(result, RetryKeyReused):
                held = yield from self._with_new_key(held)
                result = yield from self._ask(held, prover)
            if isinstance(result, Held):
                yield Keep(result)
                return result
            fault = result
            if not isinstance(fault, TryAgain) or fault.retry_after > RETRY_AFTER_MAX:
                break
        if isinstance(fault, RefreshError):
            yield Keep(None)
        raise fault

    def sign_out(self, held: Held) -> Talk[None]:
        """End the session. It is held until the server has said that it is over.

        Raises what the server answered with, TryAgain in particular.
        """
        fault: WatchwordError | None = Unreachable()
        for attempt in range(ATTEMPTS):
            if attempt and isinstance(fault, TryAgain):
                yield Wait(self._pause(attempt, fault))
            fault = yield from self.end(held)
            if not isinstance(fault, TryAgain) or fault.retry_after > RETRY_AFTER_MAX:
                break
        if fault is not None:
            raise fault
        yield Keep(None)

    def end(self, held: Held) -> Talk[WatchwordError | None]:
        """End a session, asking once: what was wrong."""
        body = {"refreshToken": held.refresh_token}
        answer = yield from self._call("logout", body, {}, None)
        return None if answer is not None and answer.status == 200 else _fault(answer)  # noqa: PLR2004

    def _ask(self, held: Held, prover: Prover | None) -> Talk[Held | WatchwordError]:
        """The successor, not stored yet, or what is wrong."""
        started = self._clocks.wall()
        body = {"refreshToken": held.refresh_token}
        headers = {"Idempotency-Key": str(held.retry_key)}
        answer = yield from self._call("refresh", body, headers, prover)
        tokens = _tokens(answer)
        if isinstance(tokens, WatchwordError):
            return tokens
        return tokens.held(held.issuer, started, held.key)

    def _with_new_key(self, held: Held) -> Talk[Held]:
        held = msgspec.structs.replace(held, retry_key=self._draws.text())
        yield Keep(held)
        return held

    def _pause(self, attempt: int, fault: TryAgain) -> float:
        """Between half and all of a wait that doubles, and what the server asks for."""
        doubled = min(BACKOFF * 2 ** (attempt - 1), BACKOFF_MAX)
        drawn = self._draws.between(doubled / 2, doubled)
        return drawn if isinstance(fault, Unreachable) else fault.retry_after + drawn

    def _call(
        self,
        call: str,
        body: dict[str, str],
        headers: dict[str, str],
        prover: Prover | None,
    ) -> Talk[Answer | None]:
        """One call, with a new proof where the server wants its nonce in it."""
        url = f"{self.url}/api/auth/{call}"
        sent = {"Content-Type": "application/json", **headers}
        answer: Answer | None = None
        for _ in range(1 if prover is None else 2):
            proof = {} if prover is None else prover.headers("POST", url)
            request = Request(url, msgspec.json.encode(body), {**sent, **proof})
            answer = yield Send(request)
            if prover is None or answer is None:
                break
            prover.note(answer.headers.get("dpop-nonce"))
            if problem_code(answer.body) != errors.NonceNeeded.code:
                break
        return answer


class _Tokens(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a sign-in or a refresh."""

    access_token: str
    expires_in: int
    refresh_token: str
    session_id: str
    token_type: Literal["Bearer", "DPoP"]

    def __repr__(self) -> str:
        return f"_Tokens(session_id={self.session_id!r})"

    def held(self, issuer: str, started: float, key: str | None) -> Held:
        return Held(
            issuer=issuer,
            session_id=self.session_id,
            scheme=self.token_type,
            access_token=self.access_token,
            # Counted from before the request: it may have taken its time.
            life=self.expires_in,
            fetched_at=started,
            refresh_token=self.refresh_token,
            key=key,
        )


class _Problem(msgspec.Struct, frozen=True):
    code: str = ""
    detail: str = ""


_TOKENS: Final = msgspec.json.Decoder(_Tokens)
_PROBLEM: Final = msgspec.json.Decoder(_Problem)

_KNOWN: Final[dict[str, type[WatchwordError]]] = {
    kind.code: kind
    for kind in (
        *(errors.InvalidRequest, errors.InvalidProof, errors.UnauthorizedClient),
        *(errors.InvalidCredentials, errors.InvalidClient, errors.RetryKeyReused),
        *(errors.RefreshInvalid, errors.RefreshReused),
        *(errors.SessionExpired, errors.SessionRevoked),
        *(errors.Throttled, errors.Overloaded, errors.StoreUnavailable),
    )
}


def _tokens(answer: Answer | None) -> _Tokens | WatchwordError:
    """The tokens, or what is wrong.

    What does not look as Watchword writes it is no answer: a network that wants a
    sign-in of its own answers 200 to everything, and nobody is signed out for that.
    """
    if answer is None or answer.status != 200:  # noqa: PLR2004 - OK
        return _fault(answer)
    try:
        tokens = _TOKENS.decode(answer.body)
    except msgspec.MsgspecError:
        return Unreachable("The server's answer was not one of Watchword's.")
    # They go into headers.
    plain = [tokens.access_token, tokens.refresh_token]
    if tokens.expires_in <= 0 or not all(
        t.isascii() and t.isprintable() for t in plain
    ):
        return Unreachable("The server's answer was not one of Watchword's.")
    return tokens


def _fault(answer: Answer | None) -> WatchwordError:
    """The error that an answer stands for, by its code."""
    if answer is None:
        return Unreachable()
    problem = _problem(answer.body)
    kind = _KNOWN.get(problem.code)
    message = problem.detail[:DETAIL_MAX] or None
    if kind is None:
        return _strange(answer.status, problem)
    if issubclass(kind, TryAgain):
        return kind(message, retry_after=_retry_after(answer))
    return kind(message)


def _strange(status: int, problem: _Problem) -> WatchwordError:
    if status >= 500 or not problem.code:  # noqa: PLR2004 - theirs, or a proxy's
        return Unreachable(f"The server answered {status}, and not as Watchword does.")
    return WatchwordError(f"{problem.code}: {problem.detail[:DETAIL_MAX]}")


def problem_code(body: bytes) -> str:
    """The code in problem details (RFC 9457) of Watchword's; empty for other bodies."""
    return _problem(body).code


def _problem(body: bytes) -> _Problem:
    try:
        return _PROBLEM.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Problem()


def _retry_after(answer: Answer) -> int:
    """In seconds; a proxy's date (RFC 9110 §10.2.3) counts as one."""
    text = answer.headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1  # noqa: PLR2004


def check_issuer(held: Held, issuer: str) -> None:
    """Raises SignedOut where what is held is of another server."""
    if held.issuer != issuer:
        raise SignedOut(f"The session that is kept here is one of {held.issuer}.")
