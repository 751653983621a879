"""The keeper of one session: who refreshes, when, and who waits for whom.

    the token's time has come: one of all tasks and threads refreshes, under the lock
    that processes share. With the lock it reads the file again, since somebody else may
    have refreshed meanwhile. The others go on with the token that they have; only when
    that is over, or was refused, do they wait.

Like `session.py` this yields steps and does no I/O: reading and writing the file is a
step. What one look at the lock costs is a system call, and done here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from watchword.client import proof, session
from watchword.client.driving import Disk, Flight, Follow, Steps
from watchword.client.file import Memory, TokenFile
from watchword.client.outside import Clocks, Draws, Instant
from watchword.client.proof import Prover
from watchword.client.session import Due, Held, Issuer, Keep, Send, Talk, Wait
from watchword.errors import (
    SettingsError,
    SignedOut,
    TokenFileError,
    TryAgain,
    Unreachable,
    WatchwordError,
)

Result = TypeVar("Result")

# Longer than anybody talks to the server, with all attempts.
PATIENCE: Final = 120.0
LOOK_FROM, LOOK_TO = 0.005, 0.03


class Keeper:
    """Shared by all tasks and threads that use one session."""

    def __init__(
        self,
        issuer: Issuer,
        store: Memory | TokenFile,
        *,
        dpop: bool | proof.Key,
        clocks: Clocks,
        draws: Draws,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._dpop = dpop
        self._clocks = clocks
        self._draws = draws
        self._held: Held | None = None
        self._due = Due(Instant(0, 0), 0, 0)
        self._prover: tuple[str | None, Prover] | None = None
        self._guard = threading.Lock()
        self._flight: tuple[int, Flight] | None = None
        self._told_to_wait: tuple[Instant, TryAgain] | None = None

    def fresh(self, refused: str | None = None) -> Steps[Held]:
        """The session, with an access token that works and is not the `refused` one.

        Raises SignedOut, and the other RefreshErrors once, when the session ends;
        TryAgain where no token that works can be had now; TokenFileError.
        """
        while True:
            if self._held and self._is_fresh(refused):
                return self._held
            mine, flight = self._take_off()
            if mine:
                yield from self._fly(flight, self._renew(refused), shared=True)
                # Though it may be due again: the network may be that slow.
                if self._held is None:
                    raise SignedOut
                return self._held
            if not self._works(refused):
                error = yield from self._follow(flight)
                if error is not None:
                    raise error
            if self._held and self._works(refused):
                return self._held

    def sign_in(self, username: str, password: str) -> Steps[None]:
        """A new session in place of what is held, which is ended.

        Raises what the server answers; TokenFileError.
        """
        yield from self._alone(self._sign_in(username, password))

    def sign_out(self) -> Steps[None]:
        """End the session. Raises TryAgain, and then it is still held."""
        yield from self._alone(self._sign_out())

    def age(self) -> float:
        """For how many seconds the access token has been held."""
        return self._clocks.since(self._due.since)

    def prover_of(self, held: Held) -> Prover | None:
        """Of the key that a session is bound to. Raises SettingsError without it."""
        if held.scheme == "Bearer":
            return None
        if self._prover is None or self._prover[0] != held.key:
            self._prover = held.key, self._new_prover(held.key)
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
        return Prover(key, self._clocks, self._draws)

    def _renew(self, refused: str | None) -> Steps[None]:
        yield from self._look()
        if self._is_fresh(refused):
            return
        works = partial(self._works, refused)
        # Not one task after the other, each with all its attempts.
        if self._told_to_wait is not None and not works():
            told, fault = self._told_to_wait
            if self._clocks.since(told) < fault.retry_after:
                raise fault
        yield from self._locked(self._renew_alone(refused), unless=works)

    def _look(self) -> Steps[Held]:
        """What the file says now. Raises SignedOut."""
        found = yield from self._read()
        if found is None:
            self._held = None
            raise SignedOut
        self._hold(found, self._clocks.wall() - found.fetched_at)
        return found

    # What is done under the lock

    def _renew_alone(self, refused: str | None) -> Steps[None]:
        found = yield from self._look()
        if self._is_fresh(refused):
            return
        if self._works(refused):
            # Ahead of time there is time: if this fails, the token in hand does.
            try:
                yield from self._refresh(found, attempts=1)
            except TryAgain as fault:
                self._postpone(fault.retry_after)
            if self._works(refused):
                return
        try:
            # What is held now, with the key that may have been sent.
            yield from self._refresh(self._held or found, session.ATTEMPTS)
        except TryAgain as fault:
            self._told_to_wait = self._clocks.now(), fault
            raise

    def _refresh(self, held: Held, attempts: int) -> Steps[Held]:
        prover = self.prover_of(held)
        return (yield from self._talk(self._issuer.refresh(held, prover, attempts)))

    def _sign_in(self, username: str, password: str) -> Steps[None]:
        old: Held | None = None
        # What cannot be read is replaced: that is what its error tells people to do.
        with suppress(WatchwordError):
            old = yield from self._read()
        prover = pem = None
        if self._dpop is True:
            pem = proof.to_pem(proof.new_key())
        if self._dpop:
            prover = self._new_prover(pem)
            self._prover = pem, prover
        yield from self._talk(self._issuer.sign_in(username, password, prover, pem))
        if old is not None:
            # Nobody holds it any more. If that fails it ends when it has been idle.
            yield from self._talk(self._issuer.end(old))

    def _sign_out(self) -> Steps[None]:
        held = yield from self._read()
        if held is not None:
            yield from self._talk(self._issuer.sign_out(held))
        self._held = None

    def _read(self) -> Steps[Held | None]:
        held: Held | None = yield from self._disk(self._store.read)
        if held is not None:
            session.check_issuer(held, self._issuer.url)
        return held

    def _disk(self, work: Callable[[], Any]) -> Steps[Any]:
        if not self._store.on_disk:
            return work()
        done, error = yield Disk(partial(_outcome, work))
        if error is not None:
            raise error
        return done

    def _talk(self, talk: Talk[Result]) -> Steps[Result]:
        """A conversation with the issuer; what it wants kept is kept."""
        sent = self._clocks.now()
        outcome: Any = None
        try:
            while True:
                step = talk.send(outcome)
                if isinstance(step, Keep):
                    write = partial(self._store.write, step.held)
                    outcome = yield from self._disk(write)
                    self._hold(step.held, self._clocks.since(sent))
                    continue
                if isinstance(step, Send):
                    sent = self._clocks.now()
                outcome = yield step
        except StopIteration as done:
            result: Result = done.value
            return result
        finally:
            talk.close()

    # What is in hand

    def _hold(self, held: Held | None, age: float) -> None:
        known = self._held
        self._held = held
        if held is None or (known and known.access_token == held.access_token):
            return
        self._due = Due.of(held, age, self._clocks.now(), self._draws)

    def _is_fresh(self, refused: str | None) -> bool:
        """Whether it works, and its time has not come yet."""
        return self._works(refused) and self.age() < self._due.refresh

    def _works(self, refused: str | None) -> bool:
        held = self._held
        return (
            held is not None
            and held.access_token != refused
            and self.age() < self._due.stale
        )

    def _postpone(self, seconds: float = 0) -> None:
        if self._held is not None:
            pause = max(seconds, session.POSTPONED * self._held.life)
            self._due = self._due._replace(refresh=self.age() + pause)

    # Who goes first

    def _take_off(self) -> tuple[bool, Flight]:
        """Whether it is ours to refresh, and what others wait for meanwhile."""
        with self._guard:
            # What was under way when this process was forked goes on in the other one.
            if self._flight is not None and self._flight[0] == os.getpid():
                return False, self._flight[1]
            flight: Flight = Flight()
            flight.set_running_or_notify_cancel()  # who waits must not cancel it
            self._flight = os.getpid(), flight
            return True, flight

    def _fly(self, flight: Flight, steps: Steps[None], *, shared: bool) -> Steps[None]:
        """Our turn; an error of ours is that of all who wait, where it is `shared`."""
        error: WatchwordError | None = None
        try:
            yield from steps
        except WatchwordError as raised:
            error = raised if shared else None
            raise
        finally:
            with self._guard:
                self._flight = None
            flight.set_result(error)

    def _follow(self, flight: Flight) -> Steps[WatchwordError | None]:
        """What went wrong there. Raises Unreachable where it does not end."""
        yield Follow(flight, PATIENCE)
        if not flight.done():
            raise Unreachable("A refresh in this process does not end.")
        return flight.result()

    def _alone(self, steps: Steps[None]) -> Steps[None]:
        """After whatever is under way, under the lock."""
        while True:
            mine, flight = self._take_off()
            if mine:
                yield from self._fly(flight, self._locked(steps), shared=False)
                return
            yield from self._follow(flight)  # what went wrong there was its own

    def _locked(
        self, steps: Steps[None], unless: Callable[[], bool] = lambda: False
    ) -> Steps[None]:
        """Under the lock of the file; not at all `unless` waiting for it is of use."""
        began = self._clocks.now()
        while not self._store.try_lock():
            if unless():
                self._postpone()
                return
            if self._clocks.since(began) > PATIENCE:
                raise TokenFileError("Another process holds the token file's lock.")
            yield Wait(self._draws.between(LOOK_FROM, LOOK_TO))
        try:
            yield from steps
        finally:
            self._store.unlock()


def _outcome(work: Callable[[], Any]) -> tuple[Any, TokenFileError | None]:
    """What came of it, for a generator: a driver raises nothing into one."""
    try:
        return work(), None
    except TokenFileError as error:
        return None, error
