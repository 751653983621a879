"""The key ring: which key signs what, which are published, how that changes.

A key is `next` (published, not yet signing), `active` (signs) or `retired` (published
until the last token that it signed has expired). There is always a `next`, so that a
rotation needs no waiting: verifiers have long had it in their caches. Keys are stored
sealed under the server secret. The JWKS is made from the unsealed keys, never from a
column of the database, into which an intruder could have written a key.

Each use has keys of its own. Those that sign access tokens are there from the first
start. Those that sign ID tokens by an algorithm are made when the first client needs
them: the active one by `ensure`, and its `next` by the following `maintain`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, cast

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import APP, SYSTEM, By
from watchword.errors import KeyNotReady, KeyRingError, NotFound, StoreUnavailable
from watchword.keys.signing import Algorithm, SigningKey, generate
from watchword.keys.vault import Vault
from watchword.ports.audit import Event, EventType
from watchword.ports.keys import (
    ID_TOKEN_USES,
    KeyState,
    KeyStore,
    KeyUse,
    SealedKey,
)
from watchword.tokens.jose import PublicKey

_ACCESS: Final = KeyUse.ACCESS_TOKEN
_ALGORITHMS: Final = {use: alg for alg, use in ID_TOKEN_USES.items()}
_log = logging.getLogger("watchword.keys")


class KeyChange(StrEnum):
    """The `change` in the audit event `signing_key_updated`."""

    CREATED = "created"
    PUBLISHED = "next one published"
    ROTATED = "rotated"
    RETIRED = "retired"
    REMOVED = "removed"
    ALGORITHM_CHANGED = "algorithm changed"
    RESEALED = "sealed again"
    """Under another server secret: the event's `secret` is its fingerprint."""


class KeyRing:
    """The ring as this process last read it. `refresh` follows the store."""

    def __init__(
        self,
        *,
        keys: KeyStore,
        secrets: Sequence[bytes],
        alg: Algorithm,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._keys = keys
        self._vault = Vault(secrets, entropy)
        self._alg = alg
        self._clock = clock
        self._revision = 0
        self._rows: list[SealedKey] = []
        self._opened: dict[str, SigningKey] = {}
        self._sealed_under: list[int] = []
        self._uses: dict[str, KeyUse] = {}
        self._active: dict[KeyUse, SigningKey] = {}
        self._making = asyncio.Lock()
        self.jwks: bytes = b'{"keys":[]}'

    @property
    def active(self) -> SigningKey:
        """The key that signs access tokens now."""
        active = self._active.get(_ACCESS)
        if active is None:
            raise StoreUnavailable
        return active

    @property
    def algorithms(self) -> list[str]:
        """The algorithms of the published keys of access tokens, each once.

        The one that signs now is the first.
        """
        published = (row.alg for row in self._rows if row.use == _ACCESS)
        return list(dict.fromkeys([self.active.alg, *published]))

    @property
    def rows(self) -> Sequence[SealedKey]:
        """The keys and their states, to be shown to an operator."""
        return self._rows

    @property
    def secrets(self) -> Sequence[tuple[str, int]]:
        """For each server secret its fingerprint and the number of keys under it."""
        count = self._sealed_under.count
        return [(name, count(n)) for n, name in enumerate(self._vault.fingerprints)]

    def public_key(self, kid: str) -> PublicKey | None:
        """The published key of access tokens of that id, or None."""
        return self._opened[kid].public if self._uses.get(kid) == _ACCESS else None

    def id_token_key(self, kid: str) -> PublicKey | None:
        """The published key of ID tokens of that id, or None."""
        is_known = self._uses.get(kid, _ACCESS) != _ACCESS
        return self._opened[kid].public if is_known else None

    async def ensure(self, use: KeyUse) -> SigningKey:
        """The key that signs for this use now; made where there is none yet.

        Raises StoreUnavailable or KeyRingError.
        """
        if (active := self._active.get(use)) is not None:
            return active
        # One task makes it and the others wait: a pair by RSA takes a moment.
        async with self._making:
            await self._create(use)
        return self._active[use]

    async def _create(self, use: KeyUse) -> None:
        fresh: SealedKey | None = None
        for _ in range(limits.SWAP_ATTEMPTS):
            await self.refresh()
            if use in self._active:
                return
            # No token of this use has been signed yet, and a verifier that does not
            # know its key id asks for the JWKS: so the first key may sign at once.
            fresh = fresh or await self._made(use, KeyState.ACTIVE)
            ring = [*self._rows, fresh]
            await self._swap(self._revision, ring, KeyChange.CREATED, SYSTEM, use)
        if use not in self._active:
            raise StoreUnavailable

    async def _made(self, use: KeyUse, state: KeyState) -> SealedKey:
        """A new key, sealed. The event loop does not wait for its pair."""
        alg = self._algorithm_of(use)
        key = await asyncio.to_thread(generate, alg)
        return self._vault.seal(key, state, self._clock(), use)

    def _algorithm_of(self, use: KeyUse) -> Algorithm:
        return cast("Algorithm", _ALGORITHMS.get(use, self._alg))

    async def refresh(self) -> None:
        """Read the ring if it changed.

        Raises StoreUnavailable or KeyRingError; the ring in use then stays.
        """
        revision, rows = await self._keys.load()
        if revision == self._revision:
            return
        found = [self._vault.open(row) for row in rows]
        opened = {key.kid: key for key, _ in found}
        self._revision, self._rows, self._opened = revision, rows, opened
        self._sealed_under = [position for _, position in found]
        self._uses = {row.kid: row.use for row in rows}
        self._active = {
            row.use: opened[row.kid] for row in rows if row.state == KeyState.ACTIVE
        }
        keys = [opened[row.kid].jwk() for row in rows]
        self.jwks = msgspec.json.encode({"keys": keys})

    async def start(self, *, reseal: bool = True) -> None:
        """Make the first keys of a new store, or seal those of an older secret again.

        If two processes have the same secrets in a different order, each of them seals
        the keys anew when it starts; both can still read them. A command that only
        reads passes `reseal=False`. Raises KeyRingError where a key cannot be unsealed.
        """
        revision, rows = await self._keys.load()
        if not rows:
            # No verifier can have cached a JWKS of a store without keys, so the first
            # key may sign at once.
            fresh = [
                await self._made(_ACCESS, state)
                for state in (KeyState.ACTIVE, KeyState.NEXT)
            ]
            await self._swap(revision, fresh, KeyChange.CREATED, SYSTEM)
        else:
            opened = [self._vault.open(row) for row in rows]
            if reseal and any(position for _, position in opened):
                again = [
                    self._vault.seal(key, row.state, row.changed_at, row.use)
                    for (key, _), row in zip(opened, rows, strict=True)
                ]
                await self._swap(revision, again, KeyChange.RESEALED, SYSTEM)
        await self.refresh()

    async def maintain(self) -> None:
        """Rotate when due, and drop retired keys after their last token has expired.

        Does nothing while the ring is sealed under a secret that this process does not
        have. The process goes on with the ring that it has, and a caller of `refresh`
        gets the KeyRingError.
        """
        with contextlib.suppress(KeyRingError):
            await self.refresh()
            await self._maintain()

    async def _maintain(self) -> None:
        now = self._clock()
        kept = [row for row in self._rows if not _is_over(row, now)]
        if len(kept) < len(self._rows):
            await self._swap(self._revision, kept, KeyChange.REMOVED, SYSTEM)
        for use in tuple(self._active):
            await self._maintain_one(use)

    async def _maintain_one(self, use: KeyUse) -> None:
        revision, rows, now = self._revision, self._rows, self._clock()
        active, following = self._active_and_next(use)
        alg = self._algorithm_of(use)
        if following is None or following.alg != alg:
            kept = [row for row in rows if row is not following]
            ring = [*kept, await self._made(use, KeyState.NEXT)]
            change = KeyChange.ALGORITHM_CHANGED if following else KeyChange.PUBLISHED
            await self._swap(revision, ring, change, SYSTEM, use)
        elif (
            now - active.changed_at >= limits.KEY_ROTATION or active.alg != alg
        ) and now - following.changed_at >= limits.JWKS_MAX_AGE:
            await self.rotate(use, by=SYSTEM)

    async def rotate(self, use: KeyUse = _ACCESS, *, by: By = APP) -> str:
        """Sign with the next key of this use from now on; returns its id.

        Raises NotFound where the use has no keys, and KeyNotReady while verifiers may
        not have seen that key yet.
        """
        await self.refresh()
        revision, rows, now = self._revision, self._rows, self._clock()
        if use not in self._active:
            message = f"there are no keys of the use {use}: no client has needed one"
            raise NotFound(message)
        active, following = self._active_and_next(use)
        if following is None:
            message = (
                "the next key is not published yet: a running server does so within "
                f"{limits.SWEEP_EVERY // limits.SECOND} s"
            )
            raise KeyNotReady(message)
        wait = following.changed_at + limits.JWKS_MAX_AGE - now
        if wait > 0:
            message = (
                f"the next key {following.kid} was published less than "
                f"{limits.JWKS_MAX_AGE // 1000} s ago and verifiers may not know it "
                f"yet: try again in {wait // 1000 + 1} s"
            )
            raise KeyNotReady(message)
        ring = [
            *(row for row in rows if row not in (active, following)),
            _changed(active, KeyState.RETIRED, now),
            _changed(following, KeyState.ACTIVE, now),
            await self._made(use, KeyState.NEXT),
        ]
        if not await self._swap(revision, ring, KeyChange.ROTATED, by, use):
            raise KeyNotReady("another process changed the keys just now: look again")
        return following.kid

    async def retire(self, kid: str, *, by: By = APP) -> None:
        """Drop a key at once, for an emergency: its tokens are refused from now on.

        If it is the active key of its use, the next one takes its place, even if that
        was not published for long enough. Raises NotFound for an unknown id.
        """
        await self.refresh()
        revision, rows, now = self._revision, self._rows, self._clock()
        if kid not in self._opened:
            message = f"no key has the id {kid}"
            raise NotFound(message)
        use = self._uses[kid]
        active, following = (
            None if row is None or row.kid == kid else row
            for row in self._active_and_next(use)
        )
        left = [row for row in rows if row.kid != kid and row is not following]
        if active is None:
            left.append(
                _changed(following, KeyState.ACTIVE, now)
                if following
                else await self._made(use, KeyState.ACTIVE)
            )
            following = None
        left.append(following or await self._made(use, KeyState.NEXT))
        if not await self._swap(revision, left, KeyChange.RETIRED, by, use):
            # Another process has changed the ring: look at it as it is now.
            await self.retire(kid, by=by)

    def _active_and_next(self, use: KeyUse) -> tuple[SealedKey, SealedKey | None]:
        of_state = {row.state: row for row in self._rows if row.use == use}
        return of_state[KeyState.ACTIVE], of_state.get(KeyState.NEXT)

    async def _swap(
        self,
        revision: int,
        keys: Sequence[SealedKey],
        change: KeyChange,
        by: By,
        use: KeyUse = _ACCESS,
    ) -> bool:
        """Write the ring. False where another process was first: its ring counts."""
        active = next(
            row.kid for row in keys if (row.use, row.state) == (use, KeyState.ACTIVE)
        )
        event = Event(
            type=EventType.KEY_CHANGED,
            at=self._clock(),
            address=by.address,
            detail=by.detail(
                change=change,
                use=use,
                active=active,
                secret=self._vault.fingerprints[0],
            ),
        )
        done = await self._keys.swap(revision, keys, event)
        if done:
            _log.info("signing keys (%s) %s, active %s", use, change, active)
        await self.refresh()
        return done


def life_of(use: KeyUse) -> int:
    """How long a token of that use is of use, and its retired key published (ms)."""
    return limits.ACCESS_TTL_MAX if use == _ACCESS else limits.ID_TOKEN_HINT


def _is_over(row: SealedKey, now: int) -> bool:
    """Whether a key is retired, and no token that it signed is of use any more."""
    return row.state == KeyState.RETIRED and row.changed_at <= now - life_of(row.use)


def _changed(row: SealedKey, state: KeyState, now: int) -> SealedKey:
    return msgspec.structs.replace(row, state=state, changed_at=now)
