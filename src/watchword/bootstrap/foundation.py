"""What a Watchword is built on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from watchword.accounts.registration_rules import BeforeRegistration
from watchword.clocks import Clock, Entropy
from watchword.config import Settings
from watchword.metrics import NO_METRICS, Metrics
from watchword.notices import OnSecurityNotice
from watchword.passwords import BreachedPasswords, HashParameters
from watchword.ports import Stores
from watchword.sessions.claims_hook import ClaimsHook
from watchword.sign_in.own_users import Authenticate, LoadSubject


class Foundation(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, what was opened by them, and what an app gives: see `open_watchword`.

    `made_secret` is the file of a server secret that was made just now.
    """

    settings: Settings
    stores: Stores
    server_secrets: Sequence[bytes]
    made_secret: Path | None
    breached: BreachedPasswords | None
    clock: Clock
    entropy: Entropy
    monotonic: Callable[[], int]
    hashing: HashParameters
    claims_hook: ClaimsHook | None
    authenticate: Authenticate | None
    before_registration: BeforeRegistration | None
    on_security_notice: OnSecurityNotice | None
    load_subject: LoadSubject | None
    metrics: Metrics = NO_METRICS
