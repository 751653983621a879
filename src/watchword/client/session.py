"""A session as its client keeps it: what is sent, and what the answers mean. Pure.

    drawn, stored ........ a retry key, before anything is sent
    sent ................. the refresh token with that key
      tokens ............. the successor is stored, without the retry key
      no answer, 5xx ..... sent again: the same token with the same key
      retry_key_reused ... sent again with another key
      429, 503 ........... sent again after Retry-After; the session is kept
      any RefreshError ... the session is over and is forgotten

Nothing here does any I/O. Each conversation is a generator: it yields the steps that a
runner must take (`runners.py`) and is sent their results. If a program dies at a step,
what the earlier steps stored remains, and its next start goes on from there.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from watchword import errors
from watchword.client.clock import Clocks, Instant, Random
from watchword.client.proof import Prover
from watchword.errors import (
    InvalidRequest,
    RefreshError,
    RetryKeyReused,
    TryAgain,
    Unreachable,
    WatchwordError,
)
from watchword.tokens.headers import Scheme

Result = TypeVar("Result")

ATTEMPTS: Final = 6
"""How many times one refresh is sent at most, while the caller waits for it."""
BACKOFF, BACKOFF_MAX = 0.2, 5.0
# Seconds. If the server asks for a longer wait, the error goes to the caller, which can
# decide how to wait.
RETRY_AFTER_MAX: Final = 10

# Shares of an access token's life. When to refresh is drawn anew for each token, so
# that clients which signed in together do not all come back together.
REFRESH_FROM, REFRESH_TO = 0.8, 0.9
# From this share on the token is not sent any more: it might expire on its way.
STALE: Final = 0.95
# The share to wait after a failed refresh while the access token still works.
POSTPONED: Final = 0.05

DETAIL_MAX: Final = 500


class StoredSession(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """All that a client keeps of its session, and the content of the token file.

    `life` is how many seconds the access token lives. `fetched_at` is when it was asked
    for, in seconds since the epoch. `retry_key` is set while a refresh is under way.
    `key` (PKCS #8 in PEM) is set where the session is bound to a key that is kept here.
    """

    version: Literal[1] = 1
    issuer: str
    session_id: str
    scheme: Scheme
    access_token: str
    life: float
    fetched_at: float
    refresh_token: str
    retry_key: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return f"StoredSession(issuer={self.issuer!r}, session_id={self.session_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What `rich` prints. It would print all members otherwise, tokens included."""
        return [("issuer", self.issuer), ("session_id", self.session_id)]


class RefreshSchedule(NamedTuple):
    """When an access token was issued, and its ages (s) to refresh and to drop it."""

    since: Instant
    refresh: float
    stale: float

    @classmethod
    def of(
        cls, stored: StoredSession, age: float, now: Instant, random: Random
    ) -> RefreshSchedule:
        """The plan for a token of `age` seconds.

        A token that seems to come from the future is treated as expired.
        """
        if not 0 <= age < stored.life:
            age = stored.life
        share = random.between(REFRESH_FROM, REFRESH_TO)
        # A refresh that was under way when a process died is finished at once, because
        # its retry key is good for a day only.
        refresh = 0 if stored.retry_key else share * stored.life
        since = Instant(now.steady - age, now.wall - age)
        return cls(since, refresh, STALE * stored.life)


# The steps that a runner takes


class Request(NamedTuple):
    """A call to the issuer: JSON by POST."""

    url: str
    body: bytes
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Request({self.url!r})"


class Answer(NamedTuple):
    """An answer of the issuer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status})"


Outcome = Answer | Unreachable | None
"""An answer; None where none came; or Unreachable, which says why none can come."""


class Send(NamedTuple):
    """A step: send the request. Its result is an `Outcome`."""

    request: Request


class Keep(NamedTuple):
    """A step: store the session durably before the next step; None deletes it."""

    stored: StoredSession | None


class Wait(NamedTuple):
    """A step: do nothing for so many seconds."""

    seconds: float


Conversation = Generator[Send | Keep | Wait, Any, Result]


# The conversations


class Issuer:
    """The conversations with one issuer. `url` has no slash at its end."""

    def __init__(self, url: str, clocks: Clocks, random: Random) -> None:
        self.url = url
        self._clocks = clocks
        self._random = random

    def sign_in(
        self, username: str, password: str, prover: Prover | None, key: str | None
    ) -> Conversation[StoredSession]:
        """Sign in, store the new session and return it.

        Raises the error that the server answered with. Raises InvalidRequest, without
        asking the server, for text that UTF-8 cannot encode.
        """
        body = {"username": username, "password": password}
        if any("\ud800" <= char <= "\udfff" for char in username + password):
            raise InvalidRequest("The name or the password is not Unicode text.")
        started = self._clocks.wall()
        answer = yield from self._call("login", body, {}, prover)
        tokens = _tokens(answer)
        if isinstance(tokens, WatchwordError):
            raise tokens
        stored = tokens.to_store(self.url, started, key)
        yield Keep(stored)
        return stored

    def refresh(
        self, stored: StoredSession, prover: Prover | None, attempts: int = ATTEMPTS
    ) -> Conversation[StoredSession]:
        """Refresh the session, store it with its new tokens and return it.

        Raises RefreshError when the session is over; it has then been deleted. Raises
        TryAgain with everything kept that is needed to ask again. Raises any other
        error that the server answered with.
        """
        if stored.retry_key is None:
            stored = yield from self._with_new_key(stored)
        fault: WatchwordError = Unreachable()
        for attempt in range(attempts):
            if attempt and isinstance(fault, TryAgain):
                yield Wait(self._pause(attempt, fault))
            result = yield from self._ask(stored, prover)
            if isinstance(result, RetryKeyReused):
                stored = yield from self._with_new_key(stored)
                result = yield from self._ask(stored, prover)
            if isinstance(result, StoredSession):
                yield Keep(result)
                return result
            fault = result
            if not isinstance(fault, TryAgain) or fault.retry_after > RETRY_AFTER_MAX:
                break
        if isinstance(fault, RefreshError):
            yield Keep(None)
        raise fault

    def sign_out(self, stored: StoredSession) -> Conversation[None]:
        """End the session. It is kept until the server has confirmed that it is over.

        Raises the error that the server answered with, TryAgain in particular.
        """
        fault: WatchwordError | None = Unreachable()
        for attempt in range(ATTEMPTS):
            if attempt and isinstance(fault, TryAgain):
                yield Wait(self._pause(attempt, fault))
            fault = yield from self.end(stored)
            if not isinstance(fault, TryAgain) or fault.retry_after > RETRY_AFTER_MAX:
                break
        if fault is not None:
            raise fault
        yield Keep(None)

    def end(self, stored: StoredSession) -> Conversation[WatchwordError | None]:
        """Ask once to end a session. Returns the error, or None where it was ended."""
        body = {"refreshToken": stored.refresh_token}
        answer = yield from self._call("logout", body, {}, None)
        done = isinstance(answer, Answer) and answer.status == 200  # noqa: PLR2004 - OK
        return None if done else _fault(answer)

    def _ask(
        self, stored: StoredSession, prover: Prover | None
    ) -> Conversation[StoredSession | WatchwordError]:
        """Ask once for a refresh: the new session, not stored yet, or the error."""
        started = self._clocks.wall()
        body = {"refreshToken": stored.refresh_token}
        headers = {"Idempotency-Key": str(stored.retry_key)}
        answer = yield from self._call("refresh", body, headers, prover)
        tokens = _tokens(answer)
        if isinstance(tokens, WatchwordError):
            return tokens
        return tokens.to_store(stored.issuer, started, stored.key)

    def _with_new_key(self, stored: StoredSession) -> Conversation[StoredSession]:
        stored = msgspec.structs.replace(stored, retry_key=self._random.text())
        yield Keep(stored)
        return stored

    def _pause(self, attempt: int, fault: TryAgain) -> float:
        """Seconds to wait before that attempt.

        It is drawn between a half and the whole of a wait that doubles each time. What
        the server asked for is added.
        """
        doubled = min(BACKOFF * 2 ** (attempt - 1), BACKOFF_MAX)
        drawn = self._random.between(doubled / 2, doubled)
        return drawn if isinstance(fault, Unreachable) else fault.retry_after + drawn

    def _call(
        self,
        call: str,
        body: dict[str, str],
        headers: dict[str, str],
        prover: Prover | None,
    ) -> Conversation[Outcome]:
        """Call the issuer; once more with a new proof where it asks for its nonce."""
        url = f"{self.url}/api/auth/{call}"
        sent = {"Content-Type": "application/json", **headers}
        answer: Outcome = None
        for _ in range(1 if prover is None else 2):
            proof = {} if prover is None else prover.headers("POST", url)
            request = Request(url, msgspec.json.encode(body), {**sent, **proof})
            answer = yield Send(request)
            if prover is None or not isinstance(answer, Answer):
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
    token_type: Scheme

    def __repr__(self) -> str:
        return f"_Tokens(session_id={self.session_id!r})"

    def to_store(self, issuer: str, started: float, key: str | None) -> StoredSession:
        return StoredSession(
            issuer=issuer,
            session_id=self.session_id,
            scheme=self.token_type,
            access_token=self.access_token,
            # Counted from before the request, because the answer may have been slow.
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


def _tokens(answer: Outcome) -> _Tokens | WatchwordError:
    """The tokens in an answer, or the error.

    A body that Watchword would not write counts as no answer. A network with a sign-in
    page of its own answers 200 to every request, and the session must survive that.
    """
    if not isinstance(answer, Answer) or answer.status != 200:  # noqa: PLR2004 - OK
        return _fault(answer)
    try:
        tokens = _TOKENS.decode(answer.body)
    except msgspec.MsgspecError:
        return Unreachable("The server's answer was not one of Watchword's.")
    # Tokens go into headers, so other characters would make a request fail or worse.
    plain = [tokens.access_token, tokens.refresh_token]
    if tokens.expires_in <= 0 or not all(
        t.isascii() and t.isprintable() for t in plain
    ):
        return Unreachable("The server's answer was not one of Watchword's.")
    return tokens


def _fault(answer: Outcome) -> WatchwordError:
    """The error that an answer stands for, by its code."""
    if not isinstance(answer, Answer):
        return answer or Unreachable()
    problem = _problem(answer.body)
    kind = _KNOWN.get(problem.code)
    message = problem.detail[:DETAIL_MAX] or None
    if kind is None:
        return _strange(answer.status, problem)
    if issubclass(kind, TryAgain):
        return kind(message, retry_after=_retry_after(answer))
    return kind(message)


def _strange(status: int, problem: _Problem) -> WatchwordError:
    if status >= 500 or not problem.code:  # noqa: PLR2004 - a server's, or a proxy's
        return Unreachable(f"The server answered {status}, and not as Watchword does.")
    return WatchwordError(f"{problem.code}: {problem.detail[:DETAIL_MAX]}")


def problem_code(body: bytes) -> str:
    """The code of Watchword's problem details (RFC 9457); empty for other bodies."""
    return _problem(body).code


def _problem(body: bytes) -> _Problem:
    try:
        return _PROBLEM.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Problem()


def _retry_after(answer: Answer) -> int:
    """`Retry-After` in seconds; 1 for a date (RFC 9110 §10.2.3) and anything else."""
    text = answer.headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1  # noqa: PLR2004
