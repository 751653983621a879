"""The one place that names concrete classes: Settings -> Watchword.

The parent process calls `prepare` once: it makes folder, secret, schema, first keys and
first account. Each process that serves holds one `Watchword`. The clock and the source
of randomness enter here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from watchword.accounts.registry import Accounts
from watchword.background import Background
from watchword.batching import Batcher
from watchword.clients import Clients
from watchword.clocks import Clock, Entropy, monotonic, system_clock
from watchword.config import Settings
from watchword.core import limits
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import Policy
from watchword.core.steadiness import Steadiness
from watchword.errors import (
    KeyRingError,
)
from watchword.keys.ring import KeyRing
from watchword.keys.vault import derive
from watchword.passwords import (
    OWASP_FLOOR,
    HashParameters,
    PasswordHasher,
    cpus,
)
from watchword.ports import Store
from watchword.revocation.journal import RevocationLog
from watchword.revocation.revoked import RevocationTracker
from watchword.secret_files import (
    check_secret_files,
)
from watchword.server_secret import lacking_secret, open_secrets
from watchword.sessions import Sessions
from watchword.sessions.claims_hook import ClaimsHook
from watchword.sign_in.own_users import Authenticate, Subjects
from watchword.stores import open_store
from watchword.stores.health import Health
from watchword.tokens.dpop import Nonces, Proofs, Signed, Work
from watchword.verify import Checker

_SWEPT_TOLD: Final = 100_000
_log = logging.getLogger("watchword")


class Watchword:
    """All parts that a serving process needs, wired. Made by `open_watchword`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        server_secrets: Sequence[bytes],
        *,
        made_secret: Path | None,
        clock: Clock,
        entropy: Entropy,
        monotonic: Callable[[], int],
        hashing: HashParameters,
        claims_hook: ClaimsHook | None,
        authenticate: Authenticate | None,
    ) -> None:
        policy = policy_of(settings)
        self.settings = settings
        self.made_secret = made_secret
        self.issuer = settings.effective_issuer
        self.store = store
        self.clock = clock
        self._monotonic = monotonic
        self._steadiness = Steadiness(clock(), monotonic())
        self.keys = KeyRing(store, server_secrets, settings.signing_alg, clock, entropy)
        self.feed = RevocationLog(
            entropy(16).hex(), monotonic, lambda: self.revocations.complete_as_of
        )
        self.health = Health(store, clock, monotonic, entropy(16))
        self.revocations = RevocationTracker(store, clock, monotonic, self.feed.add)
        self.background = Background()
        self.proofs = _proofs("token", store, server_secrets, clock)
        self.resource_proofs = _proofs("resource", store, server_secrets, clock)
        self.sessions = Sessions(
            store=store,
            record=store.record,
            tokens=_refresh_tokens(server_secrets),
            keys=self.keys,
            revocations=self.revocations,
            background=self.background,
            policy=policy,
            issuer=self.issuer,
            clock=clock,
            entropy=entropy,
            claims_hook=claims_hook,
            proofs=self.proofs,
        )
        self.clients = self._clients(policy, entropy)
        self.hasher = PasswordHasher(hashing, workers=cpus() // settings.workers or 1)
        self.accounts = Accounts(
            store=store,
            sessions=self.sessions,
            hasher=self.hasher,
            background=self.background,
            clock=clock,
            entropy=entropy,
        )
        self.subjects = authenticate and self._subjects(authenticate)
        # An app with users of its own signs in those; otherwise accounts sign in.
        self.sign_in = (self.subjects or self.accounts).sign_in
        self.checker = self._checker()

    def _clients(self, policy: Policy, entropy: Entropy) -> Clients:
        return Clients(
            store=self.store,
            sessions=self.sessions,
            keys=self.keys,
            policy=policy,
            issuer=self.issuer,
            clock=self.clock,
            entropy=entropy,
            first_party_scope=self.settings.first_party_scope,
        )

    def _subjects(self, authenticate: Authenticate) -> Subjects:
        return Subjects(
            authenticate,
            store=self.store,
            sessions=self.sessions,
            background=self.background,
            clock=self.clock,
        )

    def _checker(self) -> Checker:
        return Checker(
            issuer=self.issuer,
            audience=self.settings.audience,
            key_of=self.keys.public_key,
            has_ended=self.revocations.has_ended,
            clock=self.clock,
            proofs=self.resource_proofs,
        )

    def issue_as(self, issuer: str) -> None:
        """Use that issuer from now on, for an app that learns where it is served."""
        self.settings = self.settings.model_copy(update={"issuer": issuer})
        self.issuer = self.clients.issuer = self.checker.issuer = issuer
        self.sessions.issue_as(issuer)

    async def start(self, *, reseal: bool) -> None:
        """Read keys and revocations. Nothing is accepted before that.

        With `reseal`, signing keys that an older secret sealed are sealed anew under
        the first one. Raises SettingsError, KeyRingError, StoreUnavailable.
        """
        try:
            await self.keys.start(reseal=reseal)
        except KeyRingError:
            if self.made_secret is None:
                raise
            # Another machine has made keys meanwhile, under a secret of its own.
            self.made_secret.unlink(missing_ok=True)
            raise lacking_secret(self.settings) from None
        await self.revocations.read()

    async def run(self) -> None:
        """Follow feed and keys, rotate keys and sweep, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(limits.FEED_POLL, self.revocations.follow, "feed"))
            group.create_task(_every(limits.KEY_POLL, self.keys.refresh, "keys"))
            group.create_task(
                _every(limits.SWEEP_EVERY, self.keys.maintain, "rotation")
            )
            group.create_task(_every(limits.SWEEP_EVERY, self.sweep, "sweep"))

    async def sweep(self) -> None:
        """Delete what is over, in small steps. One process does it per interval."""
        now = self.clock()
        self.revocations.forget_expired()
        self.feed.forget_expired(now)
        if not self._steadiness.is_steady(now, self._monotonic()):
            return  # this clock may be wrong: another process sweeps
        turn = b"sweep %d" % (now // limits.SWEEP_EVERY)
        # The first process to use this key sweeps. If it dies, another process sweeps
        # at the next interval.
        if not all(await self.store.use_once([(turn, now + limits.HOUR)])):
            return
        swept = told = 0
        while (step := await self.sessions.sweep()) >= limits.SWEEP_LIMIT:
            swept += step
            if swept - told >= _SWEPT_TOLD:
                told = swept
                _log.info("sweep: %d rows deleted so far", swept)
            await asyncio.sleep(0.05)  # lets refreshes pass

    async def check(self) -> None:
        """Raises StoreUnavailable unless requests can be answered at this moment."""
        await self.health.check()
        _ = self.keys.active
        self.revocations.has_ended("")

    async def close(self) -> None:
        """Finish what was accepted, then end the threads and close the files."""
        await self.background.close()
        await self.revocations.close()
        await self.hasher.close()
        if self.subjects is not None:
            await self.subjects.close()
        await self.store.close()


@contextlib.asynccontextmanager
async def open_watchword(
    settings: Settings,
    *,
    store: Store | None = None,
    clock: Clock = system_clock,
    entropy: Entropy = secrets.token_bytes,
    monotonic: Callable[[], int] = monotonic,
    hashing: HashParameters = OWASP_FLOOR,
    claims_hook: ClaimsHook | None = None,
    authenticate: Authenticate | None = None,
    background: bool = True,
) -> AsyncIterator[Watchword]:
    """A started Watchword on the settings' store, or on `store`.

    The server secret comes from the settings or from the data folder. For a store
    without keys it is made there. An app with users of its own gives `authenticate`,
    which is called at each sign-in.
    Raises SettingsError, SchemaError, KeyRingError, StoreUnavailable.
    """
    check_secret_files(settings)
    store = store or await open_store(
        settings.database_url,
        entropy,
        settings.session_store_url,
        settings.session_store_wait,
    )
    try:
        server_secrets, made = await open_secrets(settings, store)
    except BaseException:
        await store.close()
        raise
    watchword = Watchword(
        settings,
        store,
        server_secrets,
        made_secret=made,
        clock=clock,
        entropy=entropy,
        monotonic=monotonic,
        hashing=hashing,
        claims_hook=claims_hook,
        authenticate=authenticate,
    )
    try:
        # Only a process that serves seals keys anew: a command may have been given the
        # secrets in another order.
        await watchword.start(reseal=background)
        running = asyncio.create_task(watchword.run()) if background else None
        try:
            yield watchword
        finally:
            if running is not None:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
    finally:
        await watchword.close()


def policy_of(settings: Settings) -> Policy:
    """The policy of sessions that the settings ask for; durations in milliseconds."""
    return Policy(
        access_ttl=settings.access_ttl * limits.SECOND,
        refresh_idle=settings.refresh_idle * limits.SECOND,
        refresh_absolute=settings.refresh_absolute * limits.SECOND,
        grace=settings.rotation_grace * limits.SECOND,
        retry_window=settings.retry_window * limits.SECOND,
        rewind_limit=settings.rewind_limit,
        audience=settings.audience,
    )


def _refresh_tokens(server_secrets: Sequence[bytes]) -> RefreshTokens:
    return RefreshTokens([derive(one, "refresh-token-mac") for one in server_secrets])


def _proofs(
    role: str, store: Store, server_secrets: Sequence[bytes], clock: Clock
) -> Proofs:
    # A proof made for this API must not be accepted where tokens are issued, nor the
    # other way round. So each role has nonces of its own (RFC 9449 §8.2).
    keys = [derive(secret, "dpop-nonce") for secret in server_secrets]
    return Proofs(
        nonces=Nonces(keys, role, clock),
        use_once=store.use_once,
        clock=clock,
        batched=_batched,
    )


def _batched(work: Work) -> Callable[[bytes, Signed], Awaitable[None]]:
    """Batches proofs, so that one transaction uses up many of them."""
    return Batcher(work, batch_max=limits.DPOP_BATCH_MAX).submit


async def _every(period: int, work: Callable[[], Awaitable[None]], what: str) -> None:
    """Do the work once per period (ms). A failure is logged; the next turn tries again.

    `what` names the work in the log. Never returns: it is ended by cancelling it.
    """
    failing = False
    while True:
        await asyncio.sleep(period / limits.SECOND)
        try:
            await work()
        except Exception:  # noqa: BLE001 - logged, and the next turn tries again
            if not failing:  # logged once per outage, not four times a second
                _log.exception("%s: failed, and tried again until it works", what)
            failing = True
        else:
            if failing:
                _log.warning("%s: works again", what)
            failing = False
