"""A factor more for the user of a session, which has shown enough for it just now."""

from __future__ import annotations

from typing import Any

from watchword.attempts import Attempts
from watchword.clocks import Clock
from watchword.core import base64url, limits
from watchword.core.actor import Actor, By
from watchword.core.session import AAL2, Session
from watchword.errors import (
    InsufficientAuthentication,
    NotFound,
    SecondFactorInvalid,
)
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.factors.registry import Factors
from watchword.factors.totp import TotpFactors
from watchword.ports.credentials import Credential


class NewFactors:
    """Adds factors to the users of sessions. What it adds raises no session by itself.

    Each verb raises InsufficientAuthentication where the session's user has proved
    nothing for RECENT, or has another factor that the session has not.
    """

    def __init__(
        self,
        *,
        factors: Factors,
        totp: TotpFactors,
        passkeys: Passkeys,
        attempts: Attempts,
        clock: Clock,
    ) -> None:
        self._factors = factors
        self._totp = totp
        self._passkeys = passkeys
        self._attempts = attempts
        self._clock = clock

    async def add_totp(
        self, session: Session, factor: str, code: str, *, address: str
    ) -> tuple[str, ...]:
        """Add a pending authenticator app. Returns recovery codes, the first time.

        Raises ContinuationExpired, SecondFactorInvalid, Throttled, StoreUnavailable.
        """
        account_id = session.account_id
        async with self._attempts.factor(account_id, address, forget=False):
            new = self._totp.confirmed(account_id, factor, code)
        return await self._add(session, new, address)

    async def passkey_options(self, session: Session, name: str) -> PasskeyOptions:
        """Options for a new passkey of the session's user, which is called `name`.

        Raises NotFound where passkeys are off.
        """
        return await self._passkeys.options_to_register(
            session.account_id, name, bound=session.sid
        )

    async def add_passkey(
        self,
        session: Session,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        *,
        address: str,
    ) -> tuple[Credential, tuple[str, ...], tuple[str, ...]]:
        """Add a passkey. Returns its row, its `amr`, and recovery codes as `add_totp`.

        Raises as `add_totp`; NotFound where passkeys are off.
        """
        account_id = session.account_id
        async with self._attempts.factor(account_id, address, forget=False):
            new = await self._passkeys.registered(
                account_id, challenge, credential, name, bound=session.sid
            )
        row, amr = new[0], self._passkeys.amr_of(new[0])
        return row, amr, await self._add(session, new, address)

    async def added_passkey(
        self, account_id: bytes, credential: dict[str, Any]
    ) -> Credential:
        """The row of a passkey that an earlier call has added. Raises NotFound."""
        enrolled = await self._factors.of(account_id)
        for row in enrolled.factors:
            if row.key and base64url.encode(row.key).decode() == credential.get("id"):
                return row
        raise NotFound("There is no such factor.")

    async def need_highest(self, session: Session) -> None:
        """Raises InsufficientAuthentication where the user can reach a higher level.

        It can with any factor, and the session has proved none.
        """
        if session.acr != AAL2:
            enrolled = await self._factors.of(session.account_id)
            if session.acr < enrolled.acr:
                raise InsufficientAuthentication(acr_values=enrolled.acr, max_age=None)

    async def _add(
        self, session: Session, new: tuple[Credential, bytes], address: str
    ) -> tuple[str, ...]:
        row, enrolment = new
        enrolled = await self._factors.of(session.account_id)
        there = next((one for one in enrolled.factors if one.id == row.id), None)
        if there is not None and not _is_unfinished(session, there, row):
            raise SecondFactorInvalid
        has_other = len(enrolled.factors) > (there is not None)
        is_old = self._clock() - session.auth_time > limits.RECENT
        if is_old or (has_other and session.acr != AAL2):
            raise InsufficientAuthentication(
                acr_values=AAL2 if has_other else None,
                max_age=limits.RECENT // limits.SECOND,
            )
        return await self._factors.add(
            session.account_id,
            row,
            keep_session=session.id,
            only_first=session.acr != AAL2,
            by=By(Actor.USER, address),
            enrolment=enrolment,
        )


def _is_unfinished(session: Session, there: Credential, again: Credential) -> bool:
    """Whether the call that added the factor did not come as far as the rotation.

    Then the same call may come again, and finish it. Any other that comes for a factor
    which is there proves nothing: its code or answer has been used.
    """
    is_unused = there.used_at is None and there.step == again.step
    return is_unused and session.auth_time < there.created_at
