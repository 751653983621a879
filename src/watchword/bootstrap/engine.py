"""`Watchword`: the engine of one process, wired."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import msgspec

from watchword.admin.health import Watched
from watchword.attempts import Attempts
from watchword.background import Background
from watchword.bootstrap.accounts import AccountParts, account_parts_of
from watchword.bootstrap.admin import AdminParts, admin_parts_of
from watchword.bootstrap.factors import factor_parts_of, relying_party_of
from watchword.bootstrap.foundation import Foundation
from watchword.bootstrap.measuring import measured_of
from watchword.bootstrap.oauth import OAuthParts, oauth_parts_of
from watchword.bootstrap.parts import (
    composer_of,
    factor_notices_of,
    hasher_of,
    health_of,
    mail_writer_of,
    policies_of,
    proofs_of,
    refresh_tokens,
    sealed_tables_of,
    sender_of,
    subjects_of,
)
from watchword.bootstrap.second_factors import second_factors_of
from watchword.bootstrap.self_service import SelfService, self_service_of
from watchword.bootstrap.webhooks import webhook_sender_of, webhooks_of
from watchword.clients.authentication import ClientAuthentication
from watchword.clients.registry import Clients
from watchword.clients.rules import FIRST_PARTY
from watchword.clients.tokens import ClientTokens
from watchword.core.session import Ended
from watchword.core.turns import Turns
from watchword.errors import KeyRingError
from watchword.keys.resealing import seal_again
from watchword.keys.ring import KeyRing
from watchword.mail.sender import MailSender
from watchword.maintenance import Maintenance
from watchword.notices import Notices
from watchword.ports.keys import ID_TOKEN_USES
from watchword.revocation.log import RevocationLog
from watchword.revocation.tracker import RevocationTracker
from watchword.server_secret import lacking_secret
from watchword.sessions import Sessions
from watchword.sessions.browser import BrowserSessions
from watchword.sign_in.begin import SignIn
from watchword.sign_in.continuation import SecondStepGate
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
        self.turns: dict[str, Turns] = defaultdict(Turns)
        self._wire_keys(base)
        self._wire_revocations(base)
        self._wire_sessions(base)
        self._wire_clients(base)
        self._wire_sign_in(base)
        self._wire_oauth(base)
        self.health = health_of(base)
        self._wire_admin(base)
        self.measured = measured_of(
            base,
            revocations=self.revocations,
            revocation_log=self.revocation_log,
            hasher=self.hasher,
            keys=self.keys,
            policies=self.policies,
        )
        self.maintenance = Maintenance(
            backend=self.stores.backend,
            once=self.stores.once,
            keys=self.keys,
            revocations=self.revocations,
            revocation_log=self.revocation_log,
            groups=self.sessions.groups,
            mail=self.mail,
            webhooks=self.webhook_sender,
            turns=self.turns,
            measured=self.measured,
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
        mails, credentials, webhooks = self.sealed_tables
        self.outbox_sealing = mails.sealing
        self.credential_sealing = credentials.sealing
        self.webhook_sealing = webhooks.sealing
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
            on_new_entries=self._note_ended,
            metrics=base.metrics,
        )

    def _note_ended(self, entries: Sequence[Ended]) -> None:
        self.revocation_log.add(entries)
        if self.self_service is not None:  # an app with own users has no browsers here
            self.sessions.groups.note(entries)

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
            metrics=base.metrics,
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
            prepare=lambda alg: self.keys.ensure(ID_TOKEN_USES[alg]),
        )
        self.client_tokens = ClientTokens(
            keys=self.keys,
            policy=policy,
            issuer=self.issuer,
            clock=self.clock,
            entropy=base.entropy,
        )

    def _wire_sign_in(self, base: Foundation) -> None:
        self.hasher = hasher_of(base)
        self.mail_writer = mail_writer_of(
            self.settings,
            self.outbox_sealing,
            base.entropy,
            own_users=base.authenticate is not None,
        )
        self.attempts = Attempts(
            throttle=self.stores.throttle,
            audit=self.stores.audit,
            background=self.background,
            clock=self.clock,
            metrics=base.metrics,
        )
        parts = self._accounts_of(base)
        self.accounts = parts.registry
        self.subjects = subjects_of(
            base, attempts=self.attempts, sessions=self.sessions
        )
        self._wire_front_door(base, parts)

    def _accounts_of(self, base: Foundation) -> AccountParts:
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
            attempts=self.attempts,
            notices=factor_notices_of(base, notices, self.background),
            background=self.background,
        )
        return account_parts_of(
            base,
            sessions=self.sessions,
            background=self.background,
            hasher=self.hasher,
            mail=self.mail_writer,
            attempts=self.attempts,
            notices=notices,
            factors=factors,
        )

    def _wire_front_door(self, base: Foundation, parts: AccountParts) -> None:
        self.tickets = parts.factors.tickets
        gate = SecondStepGate(
            factors=parts.factors.factors,
            credentials=self.stores.credentials,
            tickets=parts.factors.tickets,
            once=self.stores.once,
            background=self.background,
            clock=self.clock,
            metrics=base.metrics,
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
                metrics=base.metrics,
            )
        self.second_factors = second_factors_of(
            base,
            parts,
            gate=gate,
            sign_in=self.sign_in,
            service=self.self_service,
            subjects=self.subjects,
            attempts=self.attempts,
        )

    def _wire_oauth(self, base: Foundation) -> None:
        # An app with users of its own has no pages that could ask them.
        self.oauth: OAuthParts | None = None
        if self.self_service is not None:
            self.oauth = oauth_parts_of(
                base,
                issuer=self.issuer,
                clients=self.clients,
                accounts=self.accounts,
                sessions=self.sessions,
                revocations=self.revocations,
                policies=self.policies,
                proofs=self.proofs,
                sign_in=self.sign_in,
                factors=self.second_factors.factors,
                keys=self.keys,
                tickets=self.tickets,
            )

    def _wire_admin(self, base: Foundation) -> None:
        self.webhooks = webhooks_of(base, self.webhook_sealing)
        self.webhook_sender = webhook_sender_of(base, self.webhook_sealing)
        # An app with users of its own has no accounts that could administer it.
        self.admin: AdminParts | None = None
        if self.oauth is not None and self.self_service is not None:
            self.admin = admin_parts_of(
                base,
                accounts=self.accounts,
                service=self.self_service,
                sessions=self.sessions,
                clients=self.clients,
                keys=self.keys,
                factors=self.second_factors.factors,
                consents=self.oauth.consents,
                webhooks=self.webhooks,
                mail=self.mail_writer,
                watched=Watched(
                    stores=self.stores,
                    check=self.health.check,
                    revocations=self.revocations,
                    revocation_log=self.revocation_log,
                    hasher=self.hasher,
                    hashing=base.hashing,
                    keys=self.keys,
                    webhooks=self.webhooks,
                    turns=self.turns,
                    settings=lambda: self.settings,
                    secrets=len(base.server_secrets),
                ),
                tickets=self.tickets,
            )

    def issue_as(self, issuer: str, *, links: str | None = None) -> None:
        """Use that issuer from now on, for an app that learns where it is served.

        `links` is what the links of mails begin with; the issuer where it is None.
        """
        update = {"issuer": issuer, "links": links}
        self.settings = self.settings.model_copy(update=update)
        self.issuer = self.client_tokens.issuer = self.checker.issuer = issuer
        self.sessions.issue_as(issuer)
        if self.oauth is not None:
            self.oauth.issue_as(issuer)
        self.second_factors.totp.issuer = self.settings.effective_service_name
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
        await self.webhook_sender.close()
        if self.measured is not None:
            await self.measured.close()
        await self.hasher.close()
        if self.subjects is not None:
            await self.subjects.close()
        await self.stores.backend.close()
