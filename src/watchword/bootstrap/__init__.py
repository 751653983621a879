"""The one place that names concrete classes: Settings -> Watchword.

Each process that serves holds one `Watchword`. The clock and the source of randomness
enter the engine here.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from watchword.accounts.registration_rules import BeforeRegistration
from watchword.accounts.registry import Accounts
from watchword.accounts.rows import AccountRows
from watchword.background import Background
from watchword.bootstrap.parts import (
    breached_of,
    composer_of,
    mail_writer_of,
    notices_of,
    policies_of,
    proofs_of,
    refresh_tokens,
    sender_of,
)
from watchword.bootstrap.self_service import SelfService, self_service_of
from watchword.clients.authentication import ClientAuthentication
from watchword.clients.registry import Clients
from watchword.clients.rules import FIRST_PARTY
from watchword.clients.tokens import ClientTokens
from watchword.clocks import Clock, Entropy, monotonic, system_clock
from watchword.config import Settings
from watchword.core.session import Policy
from watchword.errors import KeyRingError
from watchword.keys.ring import KeyRing
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS
from watchword.mail.resealing import seal_again
from watchword.mail.sender import MailSender
from watchword.maintenance import Maintenance
from watchword.passwords import (
    OWASP_FLOOR,
    BreachedPasswords,
    HashParameters,
    PasswordHasher,
    cpus,
)
from watchword.ports import Stores
from watchword.revocation.log import RevocationLog
from watchword.revocation.tracker import RevocationTracker
from watchword.secret_files import check_secret_files
from watchword.server_secret import lacking_secret, open_secrets
from watchword.sessions import Sessions
from watchword.sessions.browser import BrowserSessions
from watchword.sessions.claims_hook import ClaimsHook
from watchword.sign_in.attempts import Attempts
from watchword.sign_in.begin import SignIn
from watchword.sign_in.own_users import Authenticate, Subjects
from watchword.sign_in.password import AccountPasswords
from watchword.stores import open_stores
from watchword.stores.health import Health
from watchword.tokens.checker import Checker


class Watchword:
    """All parts that a serving process needs, wired. Made by `open_watchword`."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        server_secrets: Sequence[bytes],
        *,
        made_secret: Path | None,
        clock: Clock,
        entropy: Entropy,
        monotonic: Callable[[], int],
        hashing: HashParameters,
        claims_hook: ClaimsHook | None,
        authenticate: Authenticate | None,
        before_registration: BeforeRegistration | None,
        breached: BreachedPasswords | None,
    ) -> None:
        self.policies = policies_of(settings)
        tokens = refresh_tokens(server_secrets)
        self.settings = settings
        self.made_secret = made_secret
        self.issuer = settings.effective_issuer
        self.stores = stores
        self.clock = clock
        self.entropy = entropy
        self.outbox_sealing = Sealing(server_secrets, SEALED_AS, entropy)
        self.keys = KeyRing(
            keys=stores.keys,
            secrets=server_secrets,
            alg=settings.signing_alg,
            clock=clock,
            entropy=entropy,
        )
        self.revocation_log = RevocationLog(
            entropy(16).hex(), monotonic, lambda: self.revocations.complete_as_of
        )
        self.health = self._health(monotonic, entropy(16))
        self.revocations = RevocationTracker(
            sessions=stores.sessions,
            clock=clock,
            monotonic=monotonic,
            on_new_entries=self.revocation_log.add,
        )
        self.background = Background()
        self.proofs = proofs_of("token", stores.once, server_secrets, clock)
        self.resource_proofs = proofs_of("resource", stores.once, server_secrets, clock)
        self.sessions = Sessions(
            sessions=stores.sessions,
            audit=stores.audit,
            tokens=tokens,
            keys=self.keys,
            revocations=self.revocations,
            background=self.background,
            policies=self.policies,
            issuer=self.issuer,
            clock=clock,
            entropy=entropy,
            sessions_max=settings.sessions_max,
            claims_hook=claims_hook,
            proofs=self.proofs,
        )
        self.browsers = BrowserSessions(
            store=stores.sessions,
            sessions=self.sessions,
            tokens=tokens,
            revocations=self.revocations,
            policy=self.policies.pages,
            clock=clock,
        )
        self._wire_clients(self.policies.apps, entropy)
        self.hasher = PasswordHasher(
            hashing, workers=cpus() // settings.workers or 1, breached=breached
        )
        self._wire_sign_in(authenticate, before_registration, entropy)
        self.maintenance = self._maintenance(monotonic)
        self.checker = self._checker()

    def _health(self, monotonic: Callable[[], int], name: bytes) -> Health:
        return Health(
            backend=self.stores.backend,
            once=self.stores.once,
            clock=self.clock,
            monotonic=monotonic,
            name=name,
        )

    def _maintenance(self, monotonic: Callable[[], int]) -> Maintenance:
        return Maintenance(
            backend=self.stores.backend,
            once=self.stores.once,
            keys=self.keys,
            revocations=self.revocations,
            revocation_log=self.revocation_log,
            mail=self.mail,
            clock=self.clock,
            monotonic=monotonic,
        )

    def _wire_clients(self, policy: Policy, entropy: Entropy) -> None:
        first_party = msgspec.structs.replace(
            FIRST_PARTY, scope=self.settings.first_party_scope, grace=policy.grace
        )
        self.client_authentication = ClientAuthentication(
            clients=self.stores.clients,
            throttle=self.stores.throttle,
            audit=self.stores.audit,
            first_party=first_party,
            clock=self.clock,
        )
        self.clients = Clients(
            clients=self.stores.clients,
            sessions=self.sessions,
            authentication=self.client_authentication,
            first_party=first_party,
            clock=self.clock,
            entropy=entropy,
        )
        self.client_tokens = ClientTokens(
            keys=self.keys,
            policy=policy,
            issuer=self.issuer,
            clock=self.clock,
            entropy=entropy,
        )

    def _wire_sign_in(
        self,
        authenticate: Authenticate | None,
        before_registration: BeforeRegistration | None,
        entropy: Entropy,
    ) -> None:
        self.mail_writer = mail_writer_of(
            self.settings,
            self.outbox_sealing,
            entropy,
            own_users=authenticate is not None,
        )
        notices = notices_of(self.stores, self.mail_writer, self.clock)
        rows = AccountRows(
            accounts=self.stores.accounts,
            sessions=self.sessions,
            background=self.background,
            clock=self.clock,
        )
        self.accounts = Accounts(
            accounts=self.stores.accounts,
            sessions=self.sessions,
            hasher=self.hasher,
            rows=rows,
            throttle=self.stores.throttle,
            notices=notices,
            mail=self.mail_writer,
            clock=self.clock,
            entropy=entropy,
        )
        attempts = Attempts(
            throttle=self.stores.throttle,
            audit=self.stores.audit,
            background=self.background,
            clock=self.clock,
        )
        self.subjects = authenticate and Subjects(
            authenticate, attempts=attempts, sessions=self.sessions, clock=self.clock
        )
        passwords = AccountPasswords(
            accounts=self.stores.accounts,
            attempts=attempts,
            hasher=self.hasher,
            clock=self.clock,
        )
        # An app with users of its own signs in those; otherwise accounts sign in.
        self.sign_in = SignIn(
            passwords=self.subjects or passwords,
            users=self.subjects or self.accounts,
            clients=self.clients,
            sessions=self.sessions,
        )
        self.self_service: SelfService | None = None
        self.mail: MailSender | None = None
        if self.subjects is None:
            self.self_service = self_service_of(
                self.settings,
                self.stores,
                mail=self.mail_writer,
                notices=notices,
                rows=rows,
                accounts=self.accounts,
                passwords=passwords,
                sessions=self.sessions,
                browsers=self.browsers,
                sign_in=self.sign_in,
                background=self.background,
                hasher=self.hasher,
                before_registration=before_registration,
                clock=self.clock,
                entropy=entropy,
            )
            decide, sealing = self.self_service.decide, self.outbox_sealing
            self.mail = sender_of(
                self.settings, sealing, self.stores, decide, self.clock
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

    def issue_as(self, issuer: str, *, links: str | None = None) -> None:
        """Use that issuer from now on, for an app that learns where it is served.

        `links` is what the links of mails begin with; the issuer where it is None.
        """
        update = {"issuer": issuer, "links": links}
        self.settings = self.settings.model_copy(update=update)
        self.issuer = self.client_tokens.issuer = self.checker.issuer = issuer
        self.sessions.issue_as(issuer)
        if self.mail is not None:
            self.mail.compose_by(partial(composer_of, self.settings))
            can_send = self.settings.effective_mail_url is not None
            self.mail_writer.can_send = can_send
            self.mail_writer.is_local = self.settings.is_local

    async def start(self, *, reseal: bool) -> None:
        """Read keys and revocations. Nothing is accepted before that.

        With `reseal`, keys and mail that an older secret sealed are sealed anew under
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
        if reseal:
            await seal_again(self.stores.outbox, self.outbox_sealing)
        await self.revocations.read()

    async def check(self) -> None:
        """Raises StoreUnavailable unless requests can be answered at this moment."""
        await self.health.check()
        _ = self.keys.active
        self.revocations.has_ended("")

    async def close(self) -> None:
        """Finish what was accepted, then end the threads and close the files."""
        await self.background.close()
        await self.revocations.close()
        if self.mail is not None:
            await self.mail.close()
        await self.hasher.close()
        if self.subjects is not None:
            await self.subjects.close()
        await self.stores.backend.close()


@contextlib.asynccontextmanager
async def open_watchword(
    settings: Settings,
    *,
    stores: Stores | None = None,
    clock: Clock = system_clock,
    entropy: Entropy = secrets.token_bytes,
    monotonic: Callable[[], int] = monotonic,
    hashing: HashParameters = OWASP_FLOOR,
    claims_hook: ClaimsHook | None = None,
    authenticate: Authenticate | None = None,
    before_registration: BeforeRegistration | None = None,
    background: bool = True,
) -> AsyncIterator[Watchword]:
    """A started Watchword on the settings' store, or on `stores`.

    The server secret comes from the settings or from the data folder. For a store
    without keys it is made there. An app with users of its own gives `authenticate`,
    which is called at each sign-in; `before_registration` is called before a user is
    registered.
    Raises SettingsError, SchemaError, KeyRingError, StoreUnavailable.
    """
    check_secret_files(settings)
    breached = breached_of(settings)
    stores = stores or await open_stores(
        settings.database_url,
        entropy,
        settings.session_store_url,
        settings.session_store_wait,
    )
    try:
        server_secrets, made = await open_secrets(settings, stores.keys)
    except BaseException:
        await stores.backend.close()
        raise
    watchword = Watchword(
        settings,
        stores,
        server_secrets,
        made_secret=made,
        clock=clock,
        entropy=entropy,
        monotonic=monotonic,
        hashing=hashing,
        claims_hook=claims_hook,
        authenticate=authenticate,
        before_registration=before_registration,
        breached=breached,
    )
    try:
        # Only a process that serves seals anew: a command may have been given the
        # secrets in another order.
        await watchword.start(reseal=background)
        running = (
            asyncio.create_task(watchword.maintenance.run()) if background else None
        )
        try:
            yield watchword
        finally:
            if running is not None:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
    finally:
        await watchword.close()
