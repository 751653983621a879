"""The refreshes of one session: which task does one, when, and which tasks wait for it.

When a token is due, one of all tasks and threads refreshes it, under the lock that
processes share. Once it has the lock it reads the file again, because another process
may have refreshed meanwhile. The other tasks go on with the token that they have. They
wait only when that token has expired or was refused.

Like `session.py` this module yields steps and does no I/O: reading and writing the file
is a step. Only the lock is tried here, since that costs no more than a system call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from watchword.client import proof, session
from watchword.client.answers import Outcome
from watchword.client.clock import Clocks, Instant, Random
from watchword.client.file import Memory, TokenFile
from watchword.client.flights import Flights, follow
from watchword.client.keeping import read, write
from watchword.client.proof import Prover
from watchword.client.runners import Exchange
from watchword.client.session import (
    Begun,
    Call,
    CodeCall,
    Conversation,
    Issuer,
    Keep,
    Send,
    Wait,
)
from watchword.client.stored import RefreshSchedule, StoredSession
from watchword.errors import (
    ContinuationExpired,
    SecondFactorRequired,
    SettingsError,
    SignedOut,
    TokenFileError,
    TryAgain,
    WatchwordError,
)

Result = TypeVar("Result")

# Seconds: longer than any task talks to the server, with all its attempts.
EXCHANGE_TIMEOUT: Final = 120.0
# Seconds between two looks at a lock that another process holds, drawn at random.
LOOK_FROM, LOOK_TO = 0.005, 0.03


class Refresher:
    """One session and its refreshes. All tasks and threads that use it share it."""

    def __init__(
        self,
        issuer: Issuer,
        store: Memory[StoredSession] | TokenFile[StoredSession],
        *,
        dpop: bool | proof.Key,
        clocks: Clocks,
        random: Random,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._dpop = dpop
        self._clocks = clocks
        self._random = random
        self._stored: StoredSession | None = None
        self._schedule = RefreshSchedule(Instant(0, 0), 0, 0)
        self._prover: tuple[str | None, Prover] | None = None
        self._flights = Flights()
        self._told_to_wait: tuple[Instant, TryAgain] | None = None
        # The continuation of a sign-in that wants a second factor, and the key that the
        # server has bound it to.
        self._continuation: tuple[str, str | None] | None = None

    def fresh(self, refused: str | None = None) -> Exchange[StoredSession]:
        """The session, with an access token that works and is not the `refused` one.

        Raises SignedOut where there is no session, and another RefreshError in the call
        that finds out that the session has ended. Raises TryAgain where no token that
        works can be had now, and TokenFileError.
        """
        while True:
            if self._stored and self._is_fresh(refused):
                return self._stored
            mine, flight = self._flights.join()
            if mine:
                renewal = self._renew(refused)
                yield from self._flights.run(flight, renewal, shared=True)
                # Returned even if it is due again already: the network may be that
                # slow.
                if self._stored is None:
                    raise SignedOut
                return self._stored
            if not self._works(refused):
                error = yield from follow(flight, EXCHANGE_TIMEOUT)
                if error is not None:
                    raise error
            if self._stored and self._works(refused):
                return self._stored

    def begin(self, call: Call) -> Exchange[None]:
        """Make a new session by a call, in place of the one that is held; end that one.

        After SecondFactorRequired was raised `resume` goes on. Raises the error that
        the server answers with, and TokenFileError.
        """
        yield from self.alone(self._begin(call, self._new_pem()))

    def key_for_code(self) -> tuple[str | None, str | None]:
        """The key for a session that begins by a code, if it is to be kept; its name.

        The name is the thumbprint that a code is bound to. Both are None without DPoP.
        """
        pem = self._new_pem()
        prover = self._new_prover(pem) if self._dpop else None
        return pem, None if prover is None else prover.thumbprint

    def redeem(self, call: CodeCall, pem: str | None) -> Exchange[None]:
        """Make a new session by a code, with the key of `key_for_code`, as `begin`."""
        yield from self.alone(self._begin(call, pem))

    def _new_pem(self) -> str | None:
        return proof.to_pem(proof.new_key()) if self._dpop is True else None

    def resume(self, call: Call) -> Exchange[tuple[str, ...]]:
        """Make a new session, by a call that goes on where `begin` was stopped.

        Returns the recovery codes that came with it. Raises as `begin`, and
        ContinuationExpired where no sign-in was stopped here.
        """
        continuation, pem = self._need_continuation()
        call = call.with_(continuation=continuation)
        codes = yield from self.alone(self._begin(call, pem))
        self._continuation = None
        return codes

    def ask(self, call: Call) -> Generator[Send, Any, Outcome]:
        """Make a call, once, between `begin` and `resume`. Raises as `resume`."""
        continuation, pem = self._need_continuation()
        prover = self._new_prover(pem) if self._dpop else None
        call = call.with_(continuation=continuation)
        return (yield from self._issuer.ask(call, prover))

    def _need_continuation(self) -> tuple[str, str | None]:
        if self._continuation is None:
            raise ContinuationExpired("No sign-in waits for a second factor here.")
        return self._continuation

    def keep_continuation(self, error: WatchwordError, pem: str | None = None) -> None:
        """Keep what goes on with a call that wants a second factor, if it is one.

        `pem` is the key that the call was made with, if there was one.
        """
        if isinstance(error, SecondFactorRequired):
            self._continuation = error.continuation, pem

    def prove(self, call: Call) -> Exchange[tuple[str, ...]]:
        """Rotate the session by a call that proves the user, as a refresh does.

        Returns the recovery codes that came with it. Raises what `fresh` and `begin`
        raise.
        """
        return (yield from self.alone(self._prove(call)))

    def sign_out(self) -> Exchange[None]:
        """End the session. After TryAgain was raised it is still held."""
        yield from self.alone(self._sign_out())

    def age(self) -> float:
        """For how many seconds the access token has been held."""
        return self._clocks.since(self._schedule.since)

    def prover_of(self, stored: StoredSession) -> Prover | None:
        """The prover of the key that a session is bound to; None for a Bearer session.

        Raises SettingsError where the key was not given, and TokenFileError where the
        one in the file is damaged.
        """
        if stored.scheme == "Bearer":
            return None
        if self._prover is None or self._prover[0] != stored.key:
            self._prover = stored.key, self._new_prover(stored.key)
        return self._prover[1]

    def _new_prover(self, pem: str | None) -> Prover:
        if pem is not None:
            try:
                key = proof.from_pem(pem)
            except ValueError:
                raise TokenFileError("The key in the token file is damaged.") from None
        elif isinstance(self._dpop, bool):
            message = "dpop: the session is bound to a key that was handed in: give it"
            raise SettingsError([message])
        else:
            key = self._dpop
        return Prover(key, self._clocks, self._random)

    def _renew(self, refused: str | None) -> Exchange[None]:
        yield from self._look()
        if self._is_fresh(refused):
            return
        works = partial(self._works, refused)
        # The server has asked to wait. Without this check the waiting tasks would ask
        # it one after the other, each with all its attempts.
        if self._told_to_wait is not None and not works():
            told, fault = self._told_to_wait
            if self._clocks.since(told) < fault.retry_after:
                raise fault
        if not (yield from self._lock(unless=works)):
            self._postpone()
            return
        try:
            yield from self._renew_alone(refused)
        finally:
            self._store.unlock()

    def _look(self) -> Exchange[StoredSession]:
        """Read the session from the file and hold it. Raises SignedOut."""
        found = yield from self._read()
        if found is None:
            self._stored = None
            raise SignedOut
        self._remember(found, self._clocks.wall() - found.fetched_at)
        return found

    # What is done with the lock

    def _renew_alone(self, refused: str | None) -> Exchange[None]:
        found = yield from self._look()
        if self._is_fresh(refused):
            return
        if self._works(refused):
            # The refresh comes ahead of time: if it fails, the present token still
            # works and the next attempt comes later.
            try:
                yield from self._refresh(found, attempts=1)
            except TryAgain as fault:
                self._postpone(fault.retry_after)
            if self._works(refused):
                return
        try:
            # `self._stored`: it has the retry key that may have been sent already.
            yield from self._refresh(self._stored or found, session.ATTEMPTS)
        except TryAgain as fault:
            self._told_to_wait = self._clocks.now(), fault
            raise

    def _refresh(
        self, stored: StoredSession, attempts: int, call: Call = session.REFRESH
    ) -> Exchange[Begun]:
        prover = self.prover_of(stored)
        conversation = self._issuer.refresh(stored, prover, attempts, call)
        return (yield from self._converse(conversation))

    def _prove(self, call: Call) -> Exchange[tuple[str, ...]]:
        stored = yield from self._look()
        return (yield from self._refresh(stored, session.ATTEMPTS, call)).codes

    def _begin(
        self, call: Call | CodeCall, pem: str | None
    ) -> Exchange[tuple[str, ...]]:
        old: StoredSession | None = None
        # A file that cannot be read is replaced: its error message advises to sign in
        # again.
        with suppress(WatchwordError):
            old = yield from self._read()
        prover = None
        if self._dpop:
            prover = self._new_prover(pem)
            self._prover = pem, prover
        try:
            begun = yield from self._converse(self._issuer.begin(call, prover, pem))
        except SecondFactorRequired as error:
            self.keep_continuation(error, pem)
            raise
        if old is not None:
            # No process holds the old session any more. If ending it fails, it expires
            # after it has been idle for long enough.
            yield from self._converse(self._issuer.end(old))
        return begun.codes

    def _sign_out(self) -> Exchange[None]:
        stored = yield from self._read()
        if stored is not None:
            yield from self._converse(self._issuer.sign_out(stored))
        self._stored = None

    def _read(self) -> Exchange[StoredSession | None]:
        stored: StoredSession | None = yield from read(self._store)
        if stored is not None:
            _check_issuer(stored, self._issuer.url)
        return stored

    def _converse(self, conversation: Conversation[Result]) -> Exchange[Result]:
        """Run a conversation with the issuer, and store what it says must be kept."""
        sent = self._clocks.now()
        outcome: Any = None
        try:
            while True:
                step = conversation.send(outcome)
                if isinstance(step, Keep):
                    yield from write(self._store, step.stored)
                    outcome = None
                    self._remember(step.stored, self._clocks.since(sent))
                    continue
                if isinstance(step, Send):
                    sent = self._clocks.now()
                outcome = yield step
        except StopIteration as done:
            result: Result = done.value
            return result
        finally:
            conversation.close()

    # The session in memory

    def _remember(self, stored: StoredSession | None, age: float) -> None:
        known = self._stored
        self._stored = stored
        if stored is None or (known and known.access_token == stored.access_token):
            return
        self._schedule = RefreshSchedule.of(
            stored, age, self._clocks.now(), self._random
        )

    def _is_fresh(self, refused: str | None) -> bool:
        """Whether the token works and is not due for a refresh yet."""
        return self._works(refused) and self.age() < self._schedule.refresh

    def _works(self, refused: str | None) -> bool:
        stored = self._stored
        return (
            stored is not None
            and stored.access_token != refused
            and self.age() < self._schedule.stale
        )

    def _postpone(self, seconds: float = 0) -> None:
        if self._stored is not None:
            pause = max(seconds, session.POSTPONED * self._stored.life)
            self._schedule = self._schedule._replace(refresh=self.age() + pause)

    # Which task goes first

    def alone(self, exchange: Exchange[Result]) -> Exchange[Result]:
        """Run the exchange with the lock, after any flight that is under way."""
        while True:
            mine, flight = self._flights.join()
            if mine:
                locked = self._locked(exchange)
                return (yield from self._flights.run(flight, locked, shared=False))
            # Its error belongs to that flight only.
            yield from follow(flight, EXCHANGE_TIMEOUT)

    def _locked(self, exchange: Exchange[Result]) -> Exchange[Result]:
        """Run the exchange with the lock of the file."""
        yield from self._lock(unless=lambda: False)
        try:
            return (yield from exchange)
        finally:
            self._store.unlock()

    def _lock(self, unless: Callable[[], bool]) -> Exchange[bool]:
        """Take the lock of the file, and return whether it was taken.

        While another process has it, `unless` says whether to give up instead of
        waiting. Raises TokenFileError where the lock is not released within
        EXCHANGE_TIMEOUT.
        """
        began = self._clocks.now()
        while not self._store.try_lock():
            if unless():
                return False
            if self._clocks.since(began) > EXCHANGE_TIMEOUT:
                raise TokenFileError("Another process holds the token file's lock.")
            yield Wait(self._random.between(LOOK_FROM, LOOK_TO))
        return True


def _check_issuer(stored: StoredSession, issuer: str) -> None:
    if stored.issuer != issuer:
        raise SignedOut(f"The session that is kept here is one of {stored.issuer}.")
