"""The parts of second factors, wired: for accounts, and for an app's own users."""

from __future__ import annotations

import msgspec

from watchword.accounts.recovery import Recovery
from watchword.attempts import Attempts
from watchword.bootstrap.accounts import AccountParts
from watchword.bootstrap.factors import FactorParts
from watchword.bootstrap.foundation import Foundation
from watchword.factors.passkeys import Passkeys
from watchword.factors.prove import FactorProofs
from watchword.factors.registry import Factors
from watchword.factors.totp import TotpFactors
from watchword.sign_in.begin import SignIn
from watchword.sign_in.browser import BrowserSignIn
from watchword.sign_in.continuation import SecondStepGate
from watchword.sign_in.enrolment import Enrolment
from watchword.sign_in.own_users import Subjects
from watchword.sign_in.passkey import PasskeySignIn
from watchword.sign_in.second_step import SecondStep
from watchword.sign_in.step_up import StepUp


class SecondFactors(msgspec.Struct, frozen=True, kw_only=True):
    """What calls, pages, commands and apps use: `engine.second_factors`.

    `passkeys` and `passkey_sign_in` are None where passkeys are off.
    """

    factors: Factors
    proofs: FactorProofs
    totp: TotpFactors
    passkeys: Passkeys | None
    gate: SecondStepGate
    second_step: SecondStep
    enrolment: Enrolment
    passkey_sign_in: PasskeySignIn | None
    step_up: StepUp


def second_factors_of(
    base: Foundation,
    parts: AccountParts,
    factors: FactorParts,
    *,
    gate: SecondStepGate,
    sign_in: SignIn,
    browser: BrowserSignIn | None,
    recovery: Recovery | None,
    subjects: Subjects | None,
    attempts: Attempts,
) -> SecondFactors:
    """The parts, on the stores of `base`. An app of own users has no `browser`."""
    second_step = SecondStep(
        gate=gate,
        proofs=factors.proofs,
        passkeys=factors.passkeys,
        sign_in=sign_in,
        browser=browser,
        recovery=recovery,
        clock=base.clock,
    )
    passkey_sign_in = None
    if factors.passkeys is not None:
        passkey_sign_in = PasskeySignIn(
            passkeys=factors.passkeys,
            users=subjects or parts.registry,
            attempts=attempts,
            clock=base.clock,
        )
    return SecondFactors(
        factors=factors.factors,
        proofs=factors.proofs,
        totp=factors.totp,
        passkeys=factors.passkeys,
        gate=gate,
        second_step=second_step,
        enrolment=Enrolment(
            gate=gate,
            factors=factors.factors,
            totp=factors.totp,
            passkeys=factors.passkeys,
            attempts=attempts,
            accounts=base.stores.accounts,
            credentials=base.stores.credentials,
            mail=parts.mail,
            second_step=second_step,
        ),
        passkey_sign_in=passkey_sign_in,
        step_up=StepUp(
            accounts=parts.registry,
            passwords=parts.passwords,
            subjects=subjects,
            sessions=parts.sessions,
            factors=factors.factors,
            proofs=factors.proofs,
            totp=factors.totp,
            passkeys=factors.passkeys,
            attempts=attempts,
        ),
    )
