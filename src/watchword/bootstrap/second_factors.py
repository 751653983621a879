"""The parts of second factors, wired: for accounts, and for an app's own users."""

from __future__ import annotations

from functools import partial

import msgspec

from watchword.attempts import Attempts
from watchword.bootstrap.accounts import AccountParts
from watchword.bootstrap.factors import FactorParts
from watchword.bootstrap.foundation import Foundation
from watchword.bootstrap.self_service import SelfService
from watchword.factors.passkeys import Passkeys
from watchword.factors.prove import FactorProofs
from watchword.factors.registry import Factors
from watchword.factors.totp import TotpFactors
from watchword.sign_in.begin import SignIn
from watchword.sign_in.continuation import SecondStepGate
from watchword.sign_in.enrolment import Enrolment
from watchword.sign_in.new_factors import NewFactors
from watchword.sign_in.own_users import Subjects
from watchword.sign_in.passkey import PasskeySignIn, standing_of_account
from watchword.sign_in.second_step import SecondStep
from watchword.sign_in.step_up import StepUp


class SecondFactors(msgspec.Struct, frozen=True, kw_only=True):
    """What calls, pages, commands and apps use: `engine.second_factors`.

    `passkeys` and `passkey_sign_in` are None where passkeys are off, the latter also in
    an app that does not find its own users by their id.
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
    service: SelfService | None,
    subjects: Subjects | None,
    attempts: Attempts,
) -> SecondFactors:
    """The parts, on the stores of `base`. An app of own users has no `service`."""
    second_step = SecondStep(
        gate=gate,
        proofs=factors.proofs,
        passkeys=factors.passkeys,
        sign_in=sign_in,
        browser=None if service is None else service.browser,
        recovery=None if service is None else service.recovery,
        clock=base.clock,
    )
    passkey_sign_in = None
    if factors.passkeys is not None and (subjects is None or subjects.can_load):
        of_account = partial(standing_of_account, base.stores.accounts)
        passkey_sign_in = PasskeySignIn(
            passkeys=factors.passkeys,
            standing_of=of_account if subjects is None else subjects.standing_of,
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
            account_limits=parts.account_limits,
            accounts=base.stores.accounts,
            mails=None if service is None else service.enrolment_mails,
            second_step=second_step,
        ),
        passkey_sign_in=passkey_sign_in,
        step_up=StepUp(
            accounts=parts.registry,
            passwords=parts.passwords,
            subjects=subjects,
            sessions=parts.sessions,
            new_factors=NewFactors(
                factors=factors.factors,
                totp=factors.totp,
                passkeys=factors.passkeys,
                attempts=attempts,
                clock=base.clock,
            ),
            proofs=factors.proofs,
            passkeys=factors.passkeys,
            credentials=base.stores.credentials,
            clock=base.clock,
        ),
    )
