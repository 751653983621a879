"""Parts that settings and server secrets make, each by itself."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from watchword.accounts.registration_rules import (
    BeforeRegistration,
    RegistrationRules,
)
from watchword.attempts import Attempts
from watchword.background import Background
from watchword.batching import Batcher
from watchword.bootstrap.foundation import Foundation
from watchword.clocks import Clock, Entropy
from watchword.config import Settings
from watchword.core import limits
from watchword.core.policies import SIGN_IN, Policies
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import Policy, time_ordered_id
from watchword.errors import SettingsError
from watchword.factors import rows as factor_rows
from watchword.factors.epochs import Epochs
from watchword.keys.resealing import (
    SealedTable,
    sealed_credentials,
    sealed_mails,
    sealed_webhooks,
)
from watchword.keys.sealing import Sealing
from watchword.keys.vault import derive
from watchword.mail import message as mail_message
from watchword.mail.locales import locales_of
from watchword.mail.sender import Decide, MailSender
from watchword.mail.url import parse_mail_url
from watchword.mail.writing import MailWriter
from watchword.metrics import NO_METRICS, Metrics
from watchword.notices import FactorNotices, HookNotices, MailedNotices, Notices
from watchword.passwords import BreachedPasswords, PasswordHasher, cpus
from watchword.ports import Stores
from watchword.ports.once import ReplayCache
from watchword.reasons import reason_of
from watchword.sessions import Sessions
from watchword.sign_in.own_users import Subjects
from watchword.stores.health import Health
from watchword.tokens.dpop import Nonces, Proofs, Signed, Work
from watchword.webhooks.registry import SEALED_AS as WEBHOOKS_SEALED_AS

if TYPE_CHECKING:
    from watchword.mail.composing import Composer
    from watchword.mail.transports import Transport


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


def policies_of(settings: Settings) -> Policies:
    """The policies of all sessions, those of the pages among them."""
    apps = policy_of(settings)
    pages = msgspec.structs.replace(
        SIGN_IN,
        refresh_idle=settings.sign_in_idle * limits.SECOND,
        refresh_absolute=settings.sign_in_absolute * limits.SECOND,
        rewind_limit=apps.rewind_limit,
    )
    return Policies(apps, pages)


def breached_of(settings: Settings) -> BreachedPasswords | None:
    """The passwords that cannot be set; None without a file. Raises SettingsError."""
    path = settings.breached_passwords
    if path is None:
        return None
    try:
        return BreachedPasswords(path)
    except OSError as error:
        why = f"{path} cannot be read: {reason_of(error)}"
    except ValueError as error:
        why = f"{path} cannot be searched: {error}"
    raise SettingsError([f"WATCHWORD_BREACHED_PASSWORDS: {why}"])


def hasher_of(base: Foundation) -> PasswordHasher:
    """What hashes passwords. The processes of a server share its processors."""
    return PasswordHasher(
        base.hashing,
        workers=cpus() // base.settings.workers or 1,
        breached=base.breached,
        metrics=base.metrics,
    )


def subjects_of(
    base: Foundation, *, attempts: Attempts, sessions: Sessions
) -> Subjects | None:
    """The users that an app has already; None where accounts sign in."""
    return base.authenticate and Subjects(
        base.authenticate,
        attempts=attempts,
        sessions=sessions,
        epochs=Epochs(base.stores.credentials, base.clock),
        clock=base.clock,
        load_subject=base.load_subject,
    )


def composer_of(settings: Settings) -> Composer:
    """What composes the mails of this server."""
    # Loaded with the first mail: it needs jinja2, and three MB.
    from watchword.mail.composing import Composer  # noqa: PLC0415

    return Composer(
        service=settings.effective_service_name,
        sender=settings.effective_mail_from,
        links=settings.effective_links,
        templates=settings.templates,
    )


def mail_writer_of(
    settings: Settings,
    sealing: Sealing,
    entropy: Entropy,
    *,
    own_users: bool,
) -> MailWriter:
    """What makes the messages of this server. An app writes to users of its own."""
    can_send = not own_users and settings.effective_mail_url is not None
    return MailWriter(
        sealing,
        entropy,
        can_send=can_send,
        is_local=settings.is_local,
        locales=locales_of(settings.templates) if can_send else (),
    )


def transport_of(settings: Settings) -> Transport:
    """What mail leaves by. Raises SettingsError where no mail can be sent."""
    from watchword.mail.transports import open_transport  # noqa: PLC0415 - as above

    url = settings.effective_mail_url
    if url is None:
        raise SettingsError(["no mail can be sent: give WATCHWORD_MAIL_URL"])
    return open_transport(url, settings.outbox_folder)


async def send_test_mail(
    settings: Settings, to: str, locale: str, *, now: int, entropy: Entropy
) -> bytes:
    """Send a test to that address, and return its id. Raises MailNotSent.

    SettingsError where no mail can be sent.
    """
    from watchword.mail.composing import sample  # noqa: PLC0415 - as above

    transport = transport_of(settings)
    mail = sample(mail_message.MailPurpose.TEST, now, locale=locale, to=to)
    message_id = time_ordered_id(now, entropy(10))
    await transport.send(composer_of(settings).compose(mail, message_id))
    return message_id


def program_name(*, beside: Path | None = None) -> str:
    """The command `watchword` as a shell finds it: one in `.venv` may need its path.

    The path is absolute, or relative to the folder `beside` where it lies below that.
    """
    program = Path(sys.executable).with_name("watchword")
    if shutil.which("watchword") is not None or not program.exists():
        return "watchword"
    if beside is not None and program.is_relative_to(beside):
        program = program.relative_to(beside)
    return quote(str(program))


def mail_destination(settings: Settings) -> str:
    """Where mail goes, as a sentence for the operator."""
    url = settings.effective_mail_url
    if url is None:
        return "no mail can be sent: give WATCHWORD_MAIL_URL"
    server = parse_mail_url(url)
    if server is not None:
        return f"by the mail server {server.host}:{server.port}"
    show = command_line(settings, "mail", "show")
    return f"kept in {settings.outbox_folder}: `{show}` shows the newest"


def command_line(settings: Settings, *words: str) -> str:
    """A command on the store of these settings, as a shell in this folder takes it."""
    line = f"{program_name(beside=Path.cwd())} {shlex.join(words)}"
    if "data" in settings.model_fields_set:
        line += f" --data {quote(str(settings.data))}"
    return line


def registration_rules_of(
    settings: Settings, check: BeforeRegistration | None
) -> RegistrationRules:
    """Which registrations are taken."""
    return RegistrationRules(
        is_open=settings.registration == "open",
        takes_invitations=settings.registration != "closed",
        domains=settings.registration_domains,
        check=check,
    )


def sender_of(
    settings: Settings,
    sealing: Sealing,
    stores: Stores,
    decide: Decide,
    clock: Clock,
    *,
    metrics: Metrics = NO_METRICS,
) -> MailSender | None:
    """What sends the mail of the outbox; None where no mail can be sent."""
    if settings.effective_mail_url is None:
        return None
    return MailSender(
        outbox=stores.outbox,
        throttle=stores.throttle,
        audit=stores.audit,
        sealing=sealing,
        decide=decide,
        composer=partial(composer_of, settings),
        transport=partial(transport_of, settings),
        rate=settings.mail_rate,
        clock=clock,
        metrics=metrics,
    )


def sealed_tables_of(
    stores: Stores, server_secrets: Sequence[bytes], entropy: Entropy
) -> tuple[SealedTable, SealedTable, SealedTable]:
    """The tables with sealed contents: mail, credentials, webhooks."""
    mails = Sealing(server_secrets, mail_message.SEALED_AS, entropy)
    factors = Sealing(server_secrets, factor_rows.SEALED_AS, entropy)
    webhooks = Sealing(server_secrets, WEBHOOKS_SEALED_AS, entropy)
    return (
        sealed_mails(stores.outbox, mails),
        sealed_credentials(stores.credentials, factors),
        sealed_webhooks(stores.webhooks, webhooks),
    )


def health_of(base: Foundation) -> Health:
    """What says whether the stores can be read and written."""
    return Health(
        backend=base.stores.backend,
        once=base.stores.once,
        clock=base.clock,
        monotonic=base.monotonic,
        name=base.entropy(16),
    )


def refresh_tokens(server_secrets: Sequence[bytes]) -> RefreshTokens:
    """What makes and reads refresh tokens: under the first secret, and under any."""
    return RefreshTokens([derive(one, "refresh-token-mac") for one in server_secrets])


def proofs_of(
    role: str, once: ReplayCache, server_secrets: Sequence[bytes], clock: Clock
) -> Proofs:
    """What settles the DPoP proofs of that role."""
    # A proof made for this API must not be accepted where tokens are issued, nor the
    # other way round. So each role has nonces of its own (RFC 9449 §8.2).
    keys = [derive(secret, "dpop-nonce") for secret in server_secrets]
    return Proofs(
        nonces=Nonces(keys, role, clock),
        use_once=once.use_once,
        clock=clock,
        batched=_batched,
    )


def _batched(work: Work) -> Callable[[bytes, Signed], Awaitable[None]]:
    """Batches proofs, so that one transaction uses up many of them."""
    return Batcher(work, batch_max=limits.DPOP_BATCH_MAX).submit


def factor_notices_of(
    base: Foundation, notices: Notices, background: Background
) -> FactorNotices:
    """How users hear of changes to their factors: by mail, or by the app's hook."""
    if base.authenticate is not None:
        return HookNotices(base.on_security_notice, background)
    return MailedNotices(base.stores.accounts, notices)
