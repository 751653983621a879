"""The one place that names concrete classes: Settings -> Watchword.

Each process that serves holds one `Watchword`. The clock and the source of randomness
enter the engine here.

    foundation    what a Watchword is built on
    parts         parts that settings and server secrets make, each by itself
    accounts      parts of accounts that sign-in and self-service share
    self_service  parts by which accounts serve themselves
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec

from watchword.accounts.registration_rules import BeforeRegistration
from watchword.attempts import Attempts
from watchword.background import Background
from watchword.bootstrap.accounts import account_parts_of
from watchword.bootstrap.factors import factor_parts_of, relying_party_of
from watchword.bootstrap.foundation import Foundation
from watchword.bootstrap.parts import (
    breached_of,
    composer_of,
    factor_notices_of,
    mail_writer_of,
    policies_of,
    proofs_of,
    refresh_tokens,
    sealed_tables_of,
    sender_of,
)
from watchword.bootstrap.second_factors import second_factors_of
from watchword.bootstrap.self_service import SelfService, self_service_of
from watchword.clients.authentication import ClientAuthentication
from watchword.clients.registry import Clients
from watchword.clients.rules import FIRST_PARTY
from watchword.clients.tokens import ClientTokens
from watchword.clocks import Clock, Entropy, monotonic, system_clock
from watchword.config import Settings
from watchword.errors import KeyRingError
from watchword.factors.epochs import Epochs
from watchword.keys.resealing import seal_again
from watchword.keys.ring import KeyRing
from watchword.mail.sender import MailSender
from watchword.maintenance import Maintenance
from watchword.notices import Notices, OnSecurityNotice
from watchword.passwords import (
    OWASP_FLOOR,
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
from watchword.sign_in.begin import SignIn
from watchword.sign_in.continuation import SecondStepGate
from watchword.sign_in.own_users import Authenticate, LoadSubject, Subjects
from watchword.stores import open_stores
from watchword.stores.health import Health
from watchword.tokens.checker import Checker


class Watchword:
    """All parts that a serving process needs, wired. Made by `open_watchword`."""

    def __init__(self, base: Foundation) -> None:
        self.settings = base.settings
        self.made_secret = base.made_secret
        self.issuer = base.settings.effective_issuer
        self.stores = base.stores
        self.clock = base.clock
        self.entropy = base.entropy
        self.policies = policies_of(base.settings)
        self.background = Background()
        self._wire_keys(base)
        self._wire_revocations(base)
        self._wire_sessions(base)
        self._wire_clients(base)
        self._wire_sign_in(base)
        self.health = Health(
            backend=self.stores.backend,
            once=self.stores.once,
            clock=self.clock,
            monotonic=base.monotonic,
            name=base.entropy(16),
        )
        self.maintenance = Maintenance(
            backend=self.stores.backend,
            once=self.stores.once,
            keys=self.keys,
            revocations=self.revocations,
            revocation_log=self.revocation_log,
            mail=self.mail,
            clock=self.clock,
            monotonic=base.monotonic,
        )
        self.checker = Checker(
            issuer=self.issuer,
            audience=self.settings.audience,
            key_of=self.keys.public_key,
            has_ended=self.revocations.has_ended,
            clock=self.clock,
            proofs=self.resource_proofs,
        )

    def _wire_keys(self, base: Foundation) -> None:
        sealed_by, once = base.server_secrets, self.stores.once
        self.sealed_tables = sealed_tables_of(self.stores, sealed_by, base.entropy)
        mails, credentials = self.sealed_tables
        self.outbox_sealing = mails.sealing
        self.credential_sealing = credentials.sealing
        self.keys = KeyRing(
            keys=self.stores.keys,
            secrets=sealed_by,
            alg=self.settings.signing_alg,
            clock=self.clock,
            entropy=base.entropy,
        )
        self.proofs = proofs_of("token", once, sealed_by, self.clock)
        self.resource_proofs = proofs_of("resource", once, sealed_by, self.clock)

    def _wire_revocations(self, base: Foundation) -> None:
        self.revocation_log = RevocationLog(
            base.entropy(16).hex(),
            base.monotonic,
            lambda: self.revocations.complete_as_of,
        )
        self.revocations = RevocationTracker(
            sessions=self.stores.sessions,
            clock=self.clock,
            monotonic=base.monotonic,
            on_new_entries=self.revocation_log.add,
        )

    def _wire_sessions(self, base: Foundation) -> None:
        tokens = refresh_tokens(base.server_secrets)
        self.sessions = Sessions(
            sessions=self.stores.sessions,
            audit=self.stores.audit,
            tokens=tokens,
            keys=self.keys,
            revocations=self.revocations,
            background=self.background,
            policies=self.policies,
            issuer=self.issuer,
            clock=self.clock,
            entropy=base.entropy,
            sessions_max=self.settings.sessions_max,
            claims_hook=base.claims_hook,
            proofs=self.proofs,
        )
        self.browsers = BrowserSessions(
            store=self.stores.sessions,
            sessions=self.sessions,
            tokens=tokens,
            revocations=self.revocations,
            policy=self.policies.pages,
            clock=self.clock,
        )

    def _wire_clients(self, base: Foundation) -> None:
        policy = self.policies.apps
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
            entropy=base.entropy,
        )
        self.client_tokens = ClientTokens(
            keys=self.keys,
            policy=policy,
            issuer=self.issuer,
            clock=self.clock,
            entropy=base.entropy,
        )

    def _wire_sign_in(self, base: Foundation) -> None:
        self.hasher = PasswordHasher(
            base.hashing,
            workers=cpus() // self.settings.workers or 1,
            breached=base.breached,
        )
        self.mail_writer = mail_writer_of(
            self.settings,
            self.outbox_sealing,
            base.entropy,
            own_users=base.authenticate is not None,
        )
        attempts = Attempts(
            throttle=self.stores.throttle,
            audit=self.stores.audit,
            background=self.background,
            clock=self.clock,
        )
        notices = Notices(
            accounts=self.stores.accounts,
            confirmations=self.stores.confirmations,
            mail=self.mail_writer,
            clock=self.clock,
        )
        factors = factor_parts_of(
            base,
            sealing=self.credential_sealing,
            sessions=self.sessions,
            attempts=attempts,
            notices=factor_notices_of(base, notices, self.background),
            background=self.background,
        )
        parts = account_parts_of(
            base,
            sessions=self.sessions,
            background=self.background,
            hasher=self.hasher,
            mail=self.mail_writer,
            attempts=attempts,
            notices=notices,
            factors=factors,
        )
        self.accounts = parts.registry
        self.subjects = base.authenticate and Subjects(
            base.authenticate,
            attempts=attempts,
            sessions=self.sessions,
            epochs=Epochs(self.stores.credentials, self.clock),
            clock=self.clock,
            load_subject=base.load_subject,
        )
        gate = SecondStepGate(
            factors=factors.factors,
            credentials=self.stores.credentials,
            tickets=factors.tickets,
            once=self.stores.once,
            background=self.background,
            clock=self.clock,
        )
        # An app with users of its own signs in those; otherwise accounts sign in.
        self.sign_in = SignIn(
            passwords=self.subjects or parts.passwords,
            users=self.subjects or self.accounts,
            clients=self.clients,
            sessions=self.sessions,
            gate=gate,
        )
        self.self_service: SelfService | None = None
        self.mail: MailSender | None = None
        if self.subjects is None:
            service = self_service_of(base, parts, self.sign_in, self.browsers, gate)
            self.self_service = service
            self.mail = sender_of(
                self.settings,
                self.outbox_sealing,
                self.stores,
                service.decide,
                self.clock,
            )

        self.second_factors = second_factors_of(
            base,
            parts,
            factors,
            gate=gate,
            sign_in=self.sign_in,
            service=self.self_service,
            subjects=self.subjects,
            attempts=attempts,
        )

    def issue_as(self, issuer: str, *, links: str | None = None) -> None:
        """Use that issuer from now on, for an app that learns where it is served.

        `links` is what the links of mails begin with; the issuer where it is None.
        """
        update = {"issuer": issuer, "links": links}
        self.settings = self.settings.model_copy(update=update)
        self.issuer = self.client_tokens.issuer = self.checker.issuer = issuer
        self.sessions.issue_as(issuer)
        if self.second_factors.passkeys is not None:
            self.second_factors.passkeys.party = relying_party_of(self.settings)
        if self.mail is not None:
            self.mail.compose_by(partial(composer_of, self.settings))
            can_send = self.settings.effective_mail_url is not None
            self.mail_writer.can_send = can_send
            self.mail_writer.is_local = self.settings.is_local

    async def start(self, *, reseal: bool) -> None:
        """Read keys and revocations. Nothing is accepted before that.

        With `reseal`, keys, mail and factors that an older secret sealed are sealed
        anew under the first one. Raises SettingsError, KeyRingError, StoreUnavailable.
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
            await seal_again(self.sealed_tables)
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
    on_security_notice: OnSecurityNotice | None = None,
    load_subject: LoadSubject | None = None,
    background: bool = True,
) -> AsyncIterator[Watchword]:
    """A started Watchword on the settings' store, or on `stores`.

    The server secret comes from the settings or from the data folder. For a store
    without keys it is made there. An app with users of its own gives `authenticate`,
    which is called at each sign-in, and `load_subject`, which is called where a user
    signs in by a passkey alone; `before_registration` is called before a user is
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
    base = Foundation(
        settings=settings,
        stores=stores,
        server_secrets=server_secrets,
        made_secret=made,
        breached=breached,
        clock=clock,
        entropy=entropy,
        monotonic=monotonic,
        hashing=hashing,
        claims_hook=claims_hook,
        authenticate=authenticate,
        before_registration=before_registration,
        on_security_notice=on_security_notice,
        load_subject=load_subject,
    )
    async with _running(Watchword(base), background=background) as watchword:
        yield watchword


@contextlib.asynccontextmanager
async def _running(
    watchword: Watchword, *, background: bool
) -> AsyncIterator[Watchword]:
    """It is started, with its work in the background if asked for, and closed."""
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
