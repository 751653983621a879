"""The key ring: which key signs access tokens, which are published, how that changes.

A key is `next` (published, not yet signing), `active` (signs) or `retired` (published
until the last token that it signed has expired). There is always a `next`, so that a
rotation needs no waiting: verifiers have long had it in their caches. Keys are stored
sealed under the server secret. The JWKS is made from the unsealed keys, never from a
column of the database, into which an intruder could have written a key.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import APP, SYSTEM, By
from watchword.errors import KeyRingError, NotFound, StoreUnavailable
from watchword.keys.signing import Algorithm, SigningKey, generate
from watchword.keys.vault import Vault
from watchword.ports.audit import Event, EventType
from watchword.ports.keys import KeyState, KeyStore, SealedKey
from watchword.tokens.jose import PublicKey

_log = logging.getLogger("watchword.keys")


class KeyChange(StrEnum):
    """The `change` in the audit event `signing_key_updated`."""

    CREATED = "created"
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
        self._active: SigningKey | None = None
        self.jwks: bytes = b'{"keys":[]}'

    @property
    def active(self) -> SigningKey:
        """The key that signs now."""
        if self._active is None:
            raise StoreUnavailable
        return self._active

    @property
    def algorithms(self) -> list[str]:
        """The algorithms of the published keys, each once, the signing one first."""
        return list(dict.fromkeys([self.active.alg, *(row.alg for row in self._rows)]))

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
        """The published key of that id, or None."""
        key = self._opened.get(kid)
        return None if key is None else key.public

    async def refresh(self) -> None:
        """Read the ring if it changed.

        Raises StoreUnavailable or KeyRingError; the ring in use then stays.
        """
        revision, rows = await self._keys.load()
        if revision == self._revision:
            return
        found = [self._vault.open(row) for row in rows]
        opened = {key.kid: key for key, _ in found}
        active = [row.kid for row in rows if row.state == KeyState.ACTIVE]
        self._revision, self._rows, self._opened = revision, rows, opened
        self._sealed_under = [position for _, position in found]
        self._active = opened[active[0]]
        keys = [opened[row.kid].jwk() for row in rows]
        self.jwks = msgspec.json.encode({"keys": keys})

    async def start(self, *, reseal: bool = True) -> None:
        """Make the first keys of a new store, or seal those of an older secret again.

        If two processes have the same secrets in a different order, each of them seals
        the keys anew when it starts; both can still read them. A command that only
        reads passes `reseal=False`. Raises KeyRingError where a key cannot be unsealed.
        """
        revision, rows = await self._keys.load()
        now = self._clock()
        if not rows:
            # No verifier can have cached a JWKS of a store without keys, so the first
            # key may sign at once.
            fresh = [
                self._vault.seal(generate(self._alg), state, now)
                for state in (KeyState.ACTIVE, KeyState.NEXT)
            ]
            await self._swap(revision, fresh, KeyChange.CREATED, SYSTEM)
        else:
            opened = [self._vault.open(row) for row in rows]
            if reseal and any(position for _, position in opened):
                again = [
                    self._vault.seal(key, row.state, row.changed_at)
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
        gone = now - limits.ACCESS_TTL_MAX
        over = [
            r
            for r in self._rows
            if r.state == KeyState.RETIRED and r.changed_at <= gone
        ]
        if over:
            kept = [row for row in self._rows if row not in over]
            await self._swap(self._revision, kept, KeyChange.REMOVED, SYSTEM)
        active, following = self._active_and_next()
        if following.alg != self._alg:
            fresh = self._vault.seal(generate(self._alg), KeyState.NEXT, now)
            kept = [row for row in self._rows if row.state != KeyState.NEXT]
            ring = [*kept, fresh]
            await self._swap(self._revision, ring, KeyChange.ALGORITHM_CHANGED, SYSTEM)
        elif (
            now - active.changed_at >= limits.KEY_ROTATION or active.alg != self._alg
        ) and now - following.changed_at >= limits.JWKS_MAX_AGE:
            await self.rotate(by=SYSTEM)

    async def rotate(self, *, by: By = APP) -> str:
        """Sign with the next key from now on; returns its id.

        Raises KeyRingError while verifiers may not have seen that key yet.
        """
        await self.refresh()
        now = self._clock()
        active, following = self._active_and_next()
        wait = following.changed_at + limits.JWKS_MAX_AGE - now
        if wait > 0:
            message = (
                f"the next key {following.kid} was published less than "
                f"{limits.JWKS_MAX_AGE // 1000} s ago and verifiers may not know it "
                f"yet: try again in {wait // 1000 + 1} s"
            )
            raise KeyRingError(message)
        replace = msgspec.structs.replace
        kept = [row for row in self._rows if row not in (active, following)]
        ring = [
            *kept,
            replace(active, state=KeyState.RETIRED, changed_at=now),
            replace(following, state=KeyState.ACTIVE, changed_at=now),
            self._vault.seal(generate(self._alg), KeyState.NEXT, now),
        ]
        if not await self._swap(self._revision, ring, KeyChange.ROTATED, by):
            raise KeyRingError("another process changed the keys just now: look again")
        return following.kid

    async def retire(self, kid: str, *, by: By = APP) -> None:
        """Drop a key at once, for an emergency: its tokens are refused from now on.

        If it is the active key, the next one takes its place, even if that was not
        published for long enough. Raises NotFound for an unknown id.
        """
        await self.refresh()
        now = self._clock()
        if kid not in self._opened:
            message = f"no key has the id {kid}"
            raise NotFound(message)
        left = [row for row in self._rows if row.kid != kid]
        replace = msgspec.structs.replace
        if not any(row.state == KeyState.ACTIVE for row in left):
            left = [
                replace(row, state=KeyState.ACTIVE, changed_at=now)
                if row.state == KeyState.NEXT
                else row
                for row in left
            ]
        if not any(row.state == KeyState.NEXT for row in left):
            left.append(self._vault.seal(generate(self._alg), KeyState.NEXT, now))
        if not await self._swap(self._revision, left, KeyChange.RETIRED, by):
            # Another process has changed the ring: look at it as it is now.
            await self.retire(kid, by=by)

    def _active_and_next(self) -> tuple[SealedKey, SealedKey]:
        of_state = {row.state: row for row in self._rows}
        return of_state[KeyState.ACTIVE], of_state[KeyState.NEXT]

    async def _swap(
        self, revision: int, keys: Sequence[SealedKey], change: KeyChange, by: By
    ) -> bool:
        """Write the ring. False where another process was first: its ring counts."""
        active = next(row.kid for row in keys if row.state == KeyState.ACTIVE)
        event = Event(
            type=EventType.KEY_CHANGED,
            at=self._clock(),
            address=by.address,
            detail=by.detail(
                change=change, active=active, secret=self._vault.fingerprints[0]
            ),
        )
        done = await self._keys.swap(revision, keys, event)
        if done:
            _log.info("signing keys %s, active %s", change, active)
        await self.refresh()
        return done
