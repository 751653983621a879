"""The one place that names concrete classes: Settings -> Watchword.

Each process that serves holds one `Watchword`. The clock and the source of randomness
enter the engine here.

    engine        `Watchword`, the engine of one process
    foundation    what a Watchword is built on
    parts         parts that settings and server secrets make, each by itself
    accounts      parts of accounts that sign-in and self-service share
    factors       parts that check and keep second factors
    measuring     what measures the engine
    self_service  parts by which accounts serve themselves
    second_factors  parts of second factors that calls and pages use
    oauth         parts of the authorization server
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable

from watchword.accounts.registration_rules import BeforeRegistration
from watchword.bootstrap.engine import Watchword as Watchword
from watchword.bootstrap.foundation import Foundation
from watchword.bootstrap.parts import breached_of
from watchword.clocks import Clock, Entropy, monotonic, system_clock
from watchword.config import Settings
from watchword.metrics import NO_METRICS, Metrics
from watchword.metrics.stores import counted
from watchword.notices import OnSecurityNotice
from watchword.passwords import OWASP_FLOOR, HashParameters
from watchword.ports import Stores
from watchword.secret_files import check_secret_files
from watchword.server_secret import open_secrets
from watchword.sessions.claims_hook import ClaimsHook
from watchword.sign_in.own_users import Authenticate, LoadSubject
from watchword.stores import open_stores


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
    metrics: Metrics = NO_METRICS,
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
    if metrics is not NO_METRICS:
        stores = counted(stores, metrics)
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
        metrics=metrics,
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
