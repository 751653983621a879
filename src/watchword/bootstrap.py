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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from watchword.accounts.registry import CONTEXT, Accounts
from watchword.background import Background
from watchword.batching import Batcher
from watchword.clients import Clients
from watchword.clocks import Clock, Entropy, monotonic, system_clock
from watchword.config import Settings
from watchword.config.environment import read_text
from watchword.core import limits
from watchword.core.actor import SYSTEM
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import Policy
from watchword.core.steadiness import Steadiness
from watchword.errors import (
    InvalidCredentials,
    KeyRingError,
    NameTaken,
    PasswordRejected,
    SettingsError,
)
from watchword.keys.ring import KeyRing
from watchword.keys.vault import derive
from watchword.passwords import (
    OWASP_FLOOR,
    HashParameters,
    PasswordHasher,
    check_new_password,
    cpus,
)
from watchword.ports import Store
from watchword.revocation.journal import RevocationLog
from watchword.revocation.revoked import RevocationTracker
from watchword.secret_files import (
    ADMIN_PASSWORD_FILE,
    SECRET_FILE,
    check_secret_files,
    make_private,
)
from watchword.sessions import Sessions
from watchword.sessions.claims_hook import ClaimsHook
from watchword.sign_in.own_users import Authenticate, Subjects
from watchword.stores import file_of, open_store
from watchword.stores.health import Health
from watchword.text import trimmed
from watchword.tokens.dpop import Nonces, Proofs, Signed, Work
from watchword.verify import Checker

_ADMIN: Final = "admin"
_SWEPT_TOLD: Final = 100_000
_log = logging.getLogger("watchword")


class Prepared(msgspec.Struct, frozen=True):
    """What `prepare` made: the command that called it tells the user."""

    made_secret: Path | None
    admin_password: str | None


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
        server_secrets, made = await _server_secrets(settings, store)
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


async def prepare(settings: Settings) -> Prepared:
    """Make what a first start needs: folder, secret, schema, keys, the first account.

    Only the parent process calls it. Several servers may do so at the same time.
    """
    file = file_of(settings.database_url)
    if settings.admin_password is not None and file is not None and not file.exists():
        # It becomes the administrator's password, so a bad one is refused before
        # anything is made.
        with _of_admin_password():
            given = settings.admin_password.get_secret_value()
            check_new_password(given, names=(_ADMIN, *CONTEXT))
    for exposed in check_secret_files(settings):
        _log.warning("%s", exposed)
    async with open_watchword(settings, background=False) as watchword:
        password = None
        if await watchword.accounts.is_empty():
            password = await _make_admin(settings, watchword)
        return Prepared(watchword.made_secret, password)


async def _make_admin(settings: Settings, watchword: Watchword) -> str | None:
    """Register the first account. Returns its password if that was drawn here.

    Returns None where the password was given, or where another process has registered
    the account first. Raises SettingsError for a password that cannot be used.
    """
    given = settings.admin_password
    drawn = _kept_password(settings.data) if given is None else None
    chosen = drawn if given is None else given.get_secret_value()
    try:
        with _of_admin_password():
            await watchword.accounts.register(
                _ADMIN, chosen or "", roles=[_ADMIN], by=SYSTEM
            )
    except NameTaken:  # another process that started with us was first
        if drawn is not None:
            admin = await watchword.accounts.get(_ADMIN)
            # A process with the same data folder has drawn the same password. With
            # another folder the password in ours is not that of the account.
            try:
                await watchword.hasher.verify(admin.password_hash, drawn, address="")
            except InvalidCredentials:
                (settings.data / ADMIN_PASSWORD_FILE).unlink(missing_ok=True)
        return None
    return drawn


@contextlib.contextmanager
def _of_admin_password() -> Iterator[None]:
    try:
        yield
    except PasswordRejected as error:
        fault = f"WATCHWORD_ADMIN_PASSWORD cannot be used: {error}"
        raise SettingsError([fault]) from None


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


async def _server_secrets(
    settings: Settings, store: Store
) -> tuple[list[bytes], Path | None]:
    """The secrets given, or the one kept in the data folder, made there if need be.

    The second value is the file if it was made just now, else None. A secret is made
    only for a store without signing keys. Keys are sealed under a secret: a new secret
    beside them would hide that the right one is missing. Raises SettingsError.
    """
    revision, _ = await store.load_keys()
    # The keys are read first: a process that makes keys writes its secret before them,
    # so where keys are found the file is there as well.
    found = given_secrets(settings)
    if found is not None:
        return found, None
    if revision:
        raise lacking_secret(settings)
    path = settings.data / SECRET_FILE
    try:
        made = make_private(path, secrets.token_urlsafe(48), secrets.token_hex(4))
    except OSError as error:
        fault = f"WATCHWORD_DATA: cannot write in {settings.data}: {error.strerror}"
        raise SettingsError([fault]) from None
    return given_secrets(settings) or [], path if made else None


def given_secrets(settings: Settings) -> list[bytes] | None:
    """The secrets of the settings or the data folder; None if neither has any.

    Raises SettingsError for a file that is not text in UTF-8 or has too short a line.
    """
    if settings.secret:
        return [one.get_secret_value().encode() for one in settings.secret]
    path = settings.data / SECRET_FILE
    if not path.exists():
        return None
    try:
        found = [trimmed(one).encode() for one in read_text(path).split()]
    except ValueError:
        raise SettingsError([f"{path} is not text in UTF-8"]) from None
    if not found or min(map(len, found)) < limits.SERVER_SECRET_MIN:
        message = f"{path}: every line must have {limits.SERVER_SECRET_MIN} bytes"
        raise SettingsError([message])
    return found


def lacking_secret(settings: Settings) -> SettingsError:
    """The error for a store whose server secret is missing.

    Nothing in the store works without it, and a new secret would only hide that.
    """
    path = settings.data / SECRET_FILE
    fault = (
        "the server secret of this store is not here: give WATCHWORD_SECRET, as its "
        f"other servers have it, or put back {path}"
    )
    return SettingsError([fault])


def _kept_password(folder: Path) -> str:
    """The first account's password, kept in a file of that folder.

    The file is written before the account is made, so that a crash cannot lose the
    password. Of several processes that start at once, all read what the first one
    wrote.
    """
    path = folder / ADMIN_PASSWORD_FILE
    make_private(path, secrets.token_urlsafe(18), secrets.token_hex(4))
    return path.read_text("ascii").strip()


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
