"""The parts of second factors, wired: for accounts, and for an app's own users."""

from __future__ import annotations

from functools import partial

import msgspec

from watchword.attempts import Attempts
from watchword.bootstrap.accounts import AccountParts
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

    `passkey_sign_in` is None in an app that does not find its own users by their id.
    """

    factors: Factors
    proofs: FactorProofs
    totp: TotpFactors
    passkeys: Passkeys
    gate: SecondStepGate
    second_step: SecondStep
    enrolment: Enrolment
    passkey_sign_in: PasskeySignIn | None
    step_up: StepUp


def second_factors_of(
    base: Foundation,
    parts: AccountParts,
    *,
    gate: SecondStepGate,
    sign_in: SignIn,
    service: SelfService | None,
    subjects: Subjects | None,
    attempts: Attempts,
) -> SecondFactors:
    """The parts, on the stores of `base`. An app of own users has no `service`."""
    factors = parts.factors
    second_step = SecondStep(
        gate=gate,
        proofs=factors.proofs,
        passkeys=factors.passkeys,
        sign_in=sign_in,
        browser=None if service is None else service.browser,
        recovery=None if service is None else service.recovery,
        accounts=base.stores.accounts,
        clock=base.clock,
    )
    enrolment = Enrolment(
        gate=gate,
        factors=factors.factors,
        totp=factors.totp,
        passkeys=factors.passkeys,
        attempts=attempts,
        account_limits=parts.account_limits,
        accounts=base.stores.accounts,
        mails=None if service is None else service.enrolment_mails,
        second_step=second_step,
    )
    return SecondFactors(
        factors=factors.factors,
        proofs=factors.proofs,
        totp=factors.totp,
        passkeys=factors.passkeys,
        gate=gate,
        second_step=second_step,
        enrolment=enrolment,
        passkey_sign_in=_passkey_sign_in_of(base, factors.passkeys, subjects, attempts),
        step_up=_step_up_of(base, parts, subjects, attempts),
    )


def _passkey_sign_in_of(
    base: Foundation, passkeys: Passkeys, subjects: Subjects | None, attempts: Attempts
) -> PasskeySignIn | None:
    if subjects is not None and not subjects.can_load:
        return None
    of_account = partial(standing_of_account, base.stores.accounts)
    return PasskeySignIn(
        passkeys=passkeys,
        standing_of=of_account if subjects is None else subjects.standing_of,
        attempts=attempts,
        clock=base.clock,
    )


def _step_up_of(
    base: Foundation, parts: AccountParts, subjects: Subjects | None, attempts: Attempts
) -> StepUp:
    factors = parts.factors
    new_factors = NewFactors(
        factors=factors.factors,
        totp=factors.totp,
        passkeys=factors.passkeys,
        attempts=attempts,
        clock=base.clock,
    )
    return StepUp(
        accounts=parts.registry,
        passwords=parts.passwords,
        subjects=subjects,
        sessions=parts.sessions,
        new_factors=new_factors,
        proofs=factors.proofs,
        passkeys=factors.passkeys,
        factors=factors.factors,
        clock=base.clock,
    )
