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
    passkeys: Passkeys | None
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
    settings, stores = base.settings, base.stores
    clock, entropy = base.clock, base.entropy
    tickets = Tickets(
        [derive(secret, "tickets") for secret in base.server_secrets],
        clock=clock,
        entropy=entropy,
    )
    codes = RecoveryCodes(clock=clock, entropy=entropy)
    passkeys = None
    if settings.passkeys and webauthn.is_installed():
        passkeys = Passkeys(
            party=relying_party_of(settings),
            credentials=stores.credentials,
            sealing=sealing,
            tickets=tickets,
            once=stores.once,
            notices=notices,
            throttle=stores.throttle,
            clock=clock,
            entropy=entropy,
        )
    totp = TotpFactors(
        credentials=stores.credentials,
        sealing=sealing,
        tickets=tickets,
        issuer=settings.effective_service_name,
        drift=settings.totp_drift,
        clock=clock,
        entropy=entropy,
    )
    factors = Factors(
        credentials=stores.credentials,
        accounts=stores.accounts,
        sessions=sessions,
        ends=UserEnds(stores.accounts, Epochs(stores.credentials, clock)),
        throttle=stores.throttle,
        policy=SecondFactorPolicy(settings.second_factor),
        codes=codes,
        notices=notices,
        has_passkeys=lambda: passkeys is not None and passkeys.is_on,
        clock=clock,
        entropy=entropy,
    )
    proofs = FactorProofs(
        credentials=stores.credentials,
        attempts=attempts,
        totp=totp,
        codes=codes,
        passkeys=passkeys,
        factors=factors,
        alarms=FactorAlarms(
            throttle=stores.throttle,
            outbox=stores.outbox,
            notices=notices,
            background=background,
            clock=clock,
        ),
    )
    return FactorParts(
        tickets=tickets, factors=factors, totp=totp, passkeys=passkeys, proofs=proofs
    )


def relying_party_of(settings: Settings) -> RelyingParty | None:
    """What passkeys are bound to; None where the issuer's host is an IP address."""
    domain = settings.effective_rp_id
    if domain is None:
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
