"""What checks and keeps second factors, wired on the stores."""

from __future__ import annotations

import msgspec

from watchword.attempts import Attempts
from watchword.background import Background
from watchword.bootstrap.foundation import Foundation
from watchword.core.ticket import Tickets
from watchword.factors.alarms import FactorAlarms
from watchword.factors.passkeys import Passkeys, RelyingParty
from watchword.factors.policy import SecondFactorPolicy
from watchword.factors.prove import FactorProofs
from watchword.factors.recovery_codes import RecoveryCodes
from watchword.factors.registry import Factors
from watchword.factors.totp import TotpFactors
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
    party = relying_party_of(base)
    passkeys = None
    if party is not None:
        passkeys = Passkeys(
            party=party,
            credentials=stores.credentials,
            sealing=sealing,
            tickets=tickets,
            once=stores.once,
            audit=stores.audit,
            notices=notices,
            background=background,
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
        sessions=sessions,
        throttle=stores.throttle,
        policy=SecondFactorPolicy(settings.second_factor),
        codes=codes,
        notices=notices,
        has_passkeys=passkeys is not None,
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


def relying_party_of(base: Foundation) -> RelyingParty | None:
    """What passkeys are bound to; None where they are off."""
    del base
    return None
