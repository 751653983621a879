"""What checks and keeps second factors, wired on the stores."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from watchword.attempts import Attempts
from watchword.background import Background
from watchword.bootstrap.foundation import Foundation
from watchword.config import Settings
from watchword.core.ticket import Tickets
from watchword.factors import webauthn
from watchword.factors.alarms import FactorAlarms
from watchword.factors.epochs import Epochs, UserEnds
from watchword.factors.passkeys import Passkeys
from watchword.factors.policy import SecondFactorPolicy
from watchword.factors.prove import FactorProofs
from watchword.factors.recovery_codes import RecoveryCodes
from watchword.factors.registry import Factors
from watchword.factors.totp import TotpFactors
from watchword.factors.webauthn import RelyingParty
from watchword.keys.sealing import Sealing
from watchword.keys.vault import derive
from watchword.notices import FactorNotices
from watchword.sessions import Sessions


class FactorParts(msgspec.Struct, frozen=True, kw_only=True):
    """What sign-in, accounts and calls use of second factors."""

    tickets: Tickets
    factors: Factors
    totp: TotpFactors
    passkeys: Passkeys
    proofs: FactorProofs


def factor_parts_of(
    base: Foundation,
    *,
    sealing: Sealing,
    sessions: Sessions,
    attempts: Attempts,
    notices: FactorNotices,
    background: Background,
) -> FactorParts:
    """The parts, on the stores of `base`."""
    tickets = Tickets(
        [derive(secret, "tickets") for secret in base.server_secrets],
        clock=base.clock,
        entropy=base.entropy,
    )
    codes = RecoveryCodes(clock=base.clock, entropy=base.entropy)
    totp = _totp_of(base, sealing, tickets)
    passkeys = _passkeys_of(base, sealing, tickets, notices)
    factors = _factors_of(base, sessions, codes, passkeys, notices)
    alarms = FactorAlarms(
        throttle=base.stores.throttle,
        outbox=base.stores.outbox,
        notices=notices,
        background=background,
        clock=base.clock,
    )
    proofs = FactorProofs(
        credentials=base.stores.credentials,
        attempts=attempts,
        totp=totp,
        codes=codes,
        passkeys=passkeys,
        factors=factors,
        alarms=alarms,
        metrics=base.metrics,
    )
    return FactorParts(
        tickets=tickets, factors=factors, totp=totp, passkeys=passkeys, proofs=proofs
    )


def _totp_of(base: Foundation, sealing: Sealing, tickets: Tickets) -> TotpFactors:
    return TotpFactors(
        credentials=base.stores.credentials,
        sealing=sealing,
        tickets=tickets,
        issuer=base.settings.effective_service_name,
        drift=base.settings.totp_drift,
        clock=base.clock,
        entropy=base.entropy,
    )


def _passkeys_of(
    base: Foundation, sealing: Sealing, tickets: Tickets, notices: FactorNotices
) -> Passkeys:
    return Passkeys(
        party=relying_party_of(base.settings),
        credentials=base.stores.credentials,
        sealing=sealing,
        tickets=tickets,
        once=base.stores.once,
        notices=notices,
        throttle=base.stores.throttle,
        clock=base.clock,
        entropy=base.entropy,
    )


def _factors_of(
    base: Foundation,
    sessions: Sessions,
    codes: RecoveryCodes,
    passkeys: Passkeys,
    notices: FactorNotices,
) -> Factors:
    stores = base.stores
    return Factors(
        credentials=stores.credentials,
        accounts=stores.accounts,
        sessions=sessions,
        ends=UserEnds(stores.accounts, Epochs(stores.credentials, base.clock)),
        throttle=stores.throttle,
        policy=SecondFactorPolicy(base.settings.second_factor),
        codes=codes,
        notices=notices,
        has_passkeys=lambda: passkeys.is_on,
        clock=base.clock,
        entropy=base.entropy,
    )


def relying_party_of(settings: Settings) -> RelyingParty | None:
    """What passkeys are bound to; None where they are off (see `passkeys_off`)."""
    domain = settings.effective_rp_id
    if domain is None or not (settings.passkeys and webauthn.is_installed()):
        return None
    return RelyingParty(
        id=domain,
        name=settings.rp_name or settings.effective_service_name,
        origins=(settings.effective_origin, *settings.passkey_origins),
    )


def passkeys_off(settings: Settings, set_issuer: str = "--issuer ") -> str | None:
    """Why there are no passkeys though they are wanted, and what to do about it.

    None where there are. `set_issuer` is what sets the issuer, in front of its value.
    """
    if not settings.passkeys:
        return None
    if not webauthn.is_installed():
        return f"passkeys are off: install {webauthn.REQUIREMENT}"
    if settings.effective_rp_id is not None:
        return None
    issuer = urlsplit(settings.effective_issuer)
    named = "https://HOST"
    if settings.is_local:
        port = "" if issuer.port is None else f":{issuer.port}"
        named = f"{issuer.scheme}://localhost{port}"
    return (
        f"passkeys are off, because the issuer is an address: use {set_issuer}{named}"
    )
