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

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec

from watchword.client.answers import (
    Answer,
    Outcome,
    Tokens,
    fault_in,
    oauth_tokens_in,
    problem_code,
    tokens_in,
)
from watchword.client.clock import Clocks, Random
from watchword.client.proof import Prover
from watchword.client.stored import StoredSession
from watchword.errors import (
    InvalidRequest,
    NonceNeeded,
    RefreshError,
    RetryKeyReused,
    TryAgain,
    Unreachable,
    WatchwordError,
)

Result = TypeVar("Result")

FIRST_PARTY: Final = "first-party"
"""The client that is built in: a program that has none of its own."""
_FORM: Final = "application/x-www-form-urlencoded"

ATTEMPTS: Final = 6
"""How many times one refresh is sent at most, while the caller waits for it."""
BACKOFF, BACKOFF_MAX = 0.2, 5.0
# Seconds. If the server asks for a longer wait, the error goes to the caller, which can
# decide how to wait.
RETRY_AFTER_MAX: Final = 10

# The share to wait after a failed refresh while the access token still works.
POSTPONED: Final = 0.05


# The steps that a runner takes


class Request(NamedTuple):
    """A call to the issuer: JSON."""

    url: str
    body: bytes
    headers: dict[str, str]
    method: str = "POST"

    def __repr__(self) -> str:
        return f"Request({self.url!r})"


class Send(NamedTuple):
    """A step: send the request. Its result is an `Outcome`."""

    request: Request


class Keep(NamedTuple):
    """A step: store the session durably before the next step; None deletes it."""

    stored: StoredSession | None


class Wait(NamedTuple):
    """A step: do nothing for so many seconds."""

    seconds: float


class Call(NamedTuple):
    """A call below `/api/auth`, and its JSON. What is None is left out."""

    path: str
    body: Mapping[str, str | None] = {}

    def with_(self, **members: str) -> Call:
        """The same call with more members in its JSON."""
        return self._replace(body={**self.body, **members})

    def __repr__(self) -> str:
        return f"Call({self.path!r})"


class CodeCall(NamedTuple):
    """The exchange of an authorization code at `/oauth/token`, and its form.

    It is sent again with the same key where the answer was lost.
    """

    form: Mapping[str, str]
    retry_key: str

    def __repr__(self) -> str:
        return "CodeCall()"


REFRESH: Final = Call("refresh")

Conversation = Generator[Send | Keep | Wait, Any, Result]


class Begun(NamedTuple):
    """A session as a call has begun or rotated it, and what came beside its tokens.

    `codes` are recovery codes. They come once, and an answer that is asked for again
    has none.
    """

    stored: StoredSession
    codes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Begun({self.stored!r})"


# The conversations


class Issuer:
    """The conversations with one issuer. `url` has no slash at its end.

    `client_id` is the client that the program is.
    """

    def __init__(
        self, url: str, clocks: Clocks, random: Random, client_id: str = FIRST_PARTY
    ) -> None:
        self.url = url
        self.client_id = client_id
        self._clocks = clocks
        self._random = random

    def begin(
        self, call: Call | CodeCall, prover: Prover | None, key: str | None
    ) -> Conversation[Begun]:
        """Sign in by that call, store the new session and return it.

        Raises the error that the server answered with. Raises InvalidRequest, without
        asking the server, for text that UTF-8 cannot encode.
        """
        if isinstance(call, CodeCall):
            begun = yield from self._patiently(lambda: self._redeem(call, prover, key))
        else:
            begun = yield from self._sign_in(call, prover, key)
        if isinstance(begun, WatchwordError):
            raise begun
        yield Keep(begun.stored)
        return begun

    def ask(
        self, call: Call, prover: Prover | None = None
    ) -> Generator[Send, Any, Outcome]:
        """Make a call that needs no session, once. Raises InvalidRequest as `begin`."""
        return (yield from self._call(call, {}, prover))

    def refresh(
        self,
        stored: StoredSession,
        prover: Prover | None,
        attempts: int = ATTEMPTS,
        call: Call = REFRESH,
    ) -> Conversation[Begun]:
        """Refresh the session, store it with its new tokens and return it.

        `call` may be another one that rotates the session as a refresh does. It may be
        sent again too: the server does the rest of what it has done before.

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
            result = yield from self._rotate(stored, prover, call)
            if isinstance(result, RetryKeyReused):
                stored = yield from self._with_new_key(stored)
                result = yield from self._rotate(stored, prover, call)
            if isinstance(result, Begun):
                yield Keep(result.stored)
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
        fault = yield from self._patiently(lambda: self.end(stored))
        if fault is not None:
            raise fault
        yield Keep(None)

    def end(self, stored: StoredSession) -> Conversation[WatchwordError | None]:
        """Ask once to end a session. Returns the error, or None where it was ended."""
        call = Call("logout", {"refreshToken": stored.refresh_token})
        answer = yield from self._call(call, {}, None)
        done = isinstance(answer, Answer) and answer.status == 200  # noqa: PLR2004 - OK
        return None if done else fault_in(answer)

    def _patiently(
        self, ask: Callable[[], Conversation[Result | WatchwordError]]
    ) -> Conversation[Result | WatchwordError]:
        """What `ask` returns, asked again while that may help."""
        result: Result | WatchwordError = Unreachable()
        for attempt in range(ATTEMPTS):
            if attempt and isinstance(result, TryAgain):
                yield Wait(self._pause(attempt, result))
            result = yield from ask()
            if not isinstance(result, TryAgain) or result.retry_after > RETRY_AFTER_MAX:
                break
        return result

    def _sign_in(
        self, call: Call, prover: Prover | None, key: str | None
    ) -> Conversation[Begun | WatchwordError]:
        """Ask once for a session: what began, not stored yet, or the error."""
        started = self._clocks.wall()
        answer = yield from self._call(call, {}, prover)
        tokens = tokens_in(answer)
        if isinstance(tokens, WatchwordError):
            return tokens
        stored = _to_store(tokens, self.url, started, key)
        return Begun(stored, tokens.recovery_codes)

    def _redeem(
        self, call: CodeCall, prover: Prover | None, key: str | None
    ) -> Conversation[Begun | WatchwordError]:
        """Ask once for the session of a code."""
        started = self._clocks.wall()
        headers = {"Content-Type": _FORM, "Idempotency-Key": call.retry_key}
        body = urlencode(call.form).encode()
        url = f"{self.url}/oauth/token"
        answer = yield from self._send(url, body, headers, prover)
        tokens = oauth_tokens_in(answer)
        if isinstance(tokens, WatchwordError):
            return tokens
        return Begun(_to_store(tokens, self.url, started, key))

    def _rotate(
        self, stored: StoredSession, prover: Prover | None, call: Call
    ) -> Conversation[Begun | WatchwordError]:
        """Ask once for a rotation: the new session, not stored yet, or the error."""
        started = self._clocks.wall()
        body = {**call.body, "refreshToken": stored.refresh_token}
        headers = {"Idempotency-Key": str(stored.retry_key)}
        answer = yield from self._call(call._replace(body=body), headers, prover)
        tokens = tokens_in(answer)
        if isinstance(tokens, WatchwordError):
            return tokens
        rotated = _to_store(tokens, stored.issuer, started, stored.key)
        return Begun(rotated, tokens.recovery_codes)

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
        self, call: Call, headers: dict[str, str], prover: Prover | None
    ) -> Generator[Send, Any, Outcome]:
        """Call the issuer, in JSON."""
        if self.client_id != FIRST_PARTY:
            call = call.with_(clientId=self.client_id)
        given = {name: text for name, text in call.body.items() if text is not None}
        if any("\ud800" <= char <= "\udfff" for char in "".join(given.values())):
            raise InvalidRequest("A name, address or password is not Unicode text.")
        url = f"{self.url}/api/auth/{call.path}"
        sent = {"Content-Type": "application/json", **headers}
        body = msgspec.json.encode(given)
        return (yield from self._send(url, body, sent, prover))

    def _send(
        self, url: str, body: bytes, headers: dict[str, str], prover: Prover | None
    ) -> Generator[Send, Any, Outcome]:
        """Send that; once more with a new proof where the issuer asks for its nonce."""
        answer: Outcome = None
        for _ in range(1 if prover is None else 2):
            proof = {} if prover is None else prover.headers("POST", url)
            request = Request(url, body, {**headers, **proof})
            answer = yield Send(request)
            if prover is None or not isinstance(answer, Answer):
                break
            prover.note(answer.headers.get("dpop-nonce"))
            if problem_code(answer.body) != NonceNeeded.code:
                break
        return answer


def _to_store(
    tokens: Tokens, issuer: str, started: float, key: str | None
) -> StoredSession:
    return StoredSession(
        issuer=issuer,
        session_id=tokens.session_id,
        scheme=tokens.token_type,
        access_token=tokens.access_token,
        # Counted from before the request, because the answer may have been slow.
        life=tokens.expires_in,
        fetched_at=started,
        refresh_token=tokens.refresh_token,
        key=key,
    )
