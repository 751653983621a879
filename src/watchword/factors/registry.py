"""The second factors of users: listed, added, renamed, removed, reset.

Every change is an event, and is told to the user, in the transaction of it. What is
decided by the factors that there are is written only while they are the same: of two
callers that add a first factor, or remove the last two, one decides anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

import msgspec

from watchword.attempts import factor_counters
from watchword.clocks import Clock, Entropy
from watchword.core import limits, one_time_token
from watchword.core.actor import APP, By, EndReason
from watchword.core.one_time_token import TokenPurpose
from watchword.errors import (
    ConfirmationInvalid,
    ContinuationExpired,
    InvalidRequest,
    LastFactor,
    NotFound,
    SecondFactorInvalid,
    StoreUnavailable,
)
from watchword.factors.enrolled import Enrolled
from watchword.factors.epochs import UserEnds
from watchword.factors.policy import SecondFactorPolicy
from watchword.factors.recovery_codes import RecoveryCodes
from watchword.factors.rows import (
    checked_name,
    codes_left,
    demand_of,
    enrolment_of,
    factors_of,
    has_passkey,
    is_open,
)
from watchword.factors.telling import FactorTrails
from watchword.mail.message import MailPurpose
from watchword.notices import FactorNotices
from watchword.passwords import is_unusable
from watchword.ports.accounts import AccountStore
from watchword.ports.audit import EventType, Trail
from watchword.ports.credentials import (
    Credential,
    CredentialKind,
    CredentialStore,
    Spending,
)
from watchword.ports.throttle import Throttle
from watchword.sessions import Sessions

_CODES: Final = (CredentialKind.RECOVERY_CODE,)


class Factors:
    """Reads and changes the second factors of users, by subject (16 bytes)."""

    def __init__(
        self,
        *,
        credentials: CredentialStore,
        accounts: AccountStore,
        sessions: Sessions,
        ends: UserEnds,
        throttle: Throttle,
        policy: SecondFactorPolicy,
        codes: RecoveryCodes,
        notices: FactorNotices,
        has_passkeys: Callable[[], bool],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._credentials = credentials
        self._accounts = accounts
        self._sessions = sessions
        self._ends = ends
        self._throttle = throttle
        self._policy = policy
        self._codes = codes
        self._trails = FactorTrails(notices, throttle, clock)
        self._has_passkeys = has_passkeys
        self._clock = clock
        self._entropy = entropy

    async def of(self, account_id: bytes, roles: Collection[str] = ()) -> Enrolled:
        """What the user has now. Raises StoreUnavailable."""
        rows = await self._credentials.of_account(account_id)
        factors = factors_of(rows)
        return Enrolled(
            factors=tuple(factors),
            codes_left=codes_left(rows) if factors else 0,
            is_demanded=self._policy.demands(roles, rows),
            has_passkeys=self._has_passkeys(),
        )

    async def add(
        self,
        account_id: bytes,
        credential: Credential,
        *,
        keep_session: bytes | None,
        only_first: bool = False,
        by: By,
        enrolment: bytes = b"",
    ) -> tuple[str, ...]:
        """Add a factor; recovery codes come with the first one, and only here.

        `keep_session` is the id of the session that asks: the user's other sessions of
        a lower level end. With `only_first`, or without a session, the user has proved
        too little to have a factor already. `enrolment` is the id of the one-time token
        that is spent, if there was one. A factor that is there already (a retry) is no
        error for a session, and has no codes. Raises ContinuationExpired where the
        token is gone, or where there is a first factor by now; InvalidRequest where
        there are too many factors, or for a passkey that is in use; Throttled,
        StoreUnavailable.
        """
        checked_name(credential.label)
        end = partial(self._sessions.end_weaker, account_id, but=keep_session, by=by)
        if keep_session is not None:  # without one, tokens of mails bound what is added
            await self._trails.count(by, account_id, MailPurpose.FACTOR_ADDED)
        for _ in range(limits.SWAP_ATTEMPTS):
            rows = await self._credentials.of_account(account_id)
            codes: tuple[str, ...] = ()
            is_there = any(row.id == credential.id for row in rows)
            is_only = keep_session is None or (only_first and not is_there)
            if is_only and factors_of(rows):
                raise ContinuationExpired
            if not is_there:
                # Before and after: if this process is lost with the write, no session
                # without a factor lives on.
                await end(EndReason.FACTOR_ADDED)
                codes, is_there = await self._add(rows, credential, enrolment, by)
            if is_there:
                await end(EndReason.FACTOR_ADDED)
                return codes
            await self._refuse_known(credential)
        raise StoreUnavailable

    async def _add(
        self,
        rows: Sequence[Credential],
        credential: Credential,
        enrolment: bytes,
        by: By,
    ) -> tuple[tuple[str, ...], bool]:
        """The recovery codes, and whether the factor was written."""
        factors = factors_of(rows)
        if len(factors) >= limits.FACTORS_MAX:
            message = f"A user has at most {limits.FACTORS_MAX} factors."
            raise InvalidRequest(message)
        owner, is_first = credential.account_id, not factors
        codes, more = self._codes.make(owner) if is_first else ((), [])
        events = [self._trails.event(EventType.FACTOR_ADDED, owner, by, credential)]
        if is_first:
            events.append(self._trails.event(EventType.RECOVERY_CODES_MADE, owner, by))
        purpose = MailPurpose.FACTOR_ADDED
        written = await self._credentials.add(
            [credential, *more],
            await self._trails.of(owner, purpose, *events, factor=credential.kind),
            replaces=(*_CODES, CredentialKind.ENROLMENT) if is_first else (),
            spends=self._token(rows, enrolment) if enrolment else None,
            seen=_ids(factors),
        )
        if written:
            self._trails.told(owner, purpose)
        return codes, written

    def _token(self, rows: Sequence[Credential], enrolment: bytes) -> Credential:
        """The row of an enrolment token. Raises ContinuationExpired."""
        for row in rows:
            if row.id == enrolment and is_open(row, self._clock()):
                return row
        raise ContinuationExpired

    async def _refuse_known(self, credential: Credential) -> None:
        """Raises InvalidRequest for a passkey that any user has added before."""
        if credential.key:
            row = await self._credentials.by_key(credential.kind, credential.key)
            if row is not None and row.id != credential.id:
                raise InvalidRequest("This passkey was added before.")

    async def new_recovery_codes(self, account_id: bytes, *, by: By) -> tuple[str, ...]:
        """Ten new codes, in place of the old ones.

        Raises NotFound without a factor, Throttled, StoreUnavailable.
        """
        purpose = MailPurpose.RECOVERY_CODES_MADE
        await self._trails.count(by, account_id, purpose)
        for _ in range(limits.SWAP_ATTEMPTS):
            factors = factors_of(await self._credentials.of_account(account_id))
            if not factors:
                raise NotFound("Recovery codes come with a second factor.")
            codes, rows = self._codes.make(account_id)
            event = self._trails.event(EventType.RECOVERY_CODES_MADE, account_id, by)
            trail = await self._trails.of(account_id, purpose, event)
            if await self._credentials.add(
                rows, trail, replaces=_CODES, seen=_ids(factors)
            ):
                self._trails.told(account_id, purpose)
                return codes
        raise StoreUnavailable

    async def rename(
        self, account_id: bytes, factor_id: bytes, name: str, *, by: By
    ) -> Credential:
        """Give a factor another name.

        Raises NotFound, InvalidRequest, Throttled, StoreUnavailable.
        """
        name, purpose = checked_name(name), MailPurpose.FACTOR_RENAMED
        await self._trails.count(by, account_id, purpose)
        for _ in range(limits.SWAP_ATTEMPTS):
            _, before = await self._find(account_id, factor_id)
            if before.label == name:
                return before
            after = msgspec.structs.replace(
                before, label=name, version=before.version + 1
            )
            event = self._trails.event(EventType.FACTOR_CHANGED, account_id, by, before)
            trail = await self._trails.of(
                account_id, purpose, event, factor=before.kind
            )
            if await self._credentials.swap(before, after, trail):
                self._trails.told(account_id, purpose)
                return after
        raise StoreUnavailable

    async def remove(
        self,
        account_id: bytes,
        factor_id: bytes,
        *,
        roles: Collection[str] = (),
        by: By,
    ) -> None:
        """Remove a factor; with the last one go the recovery codes.

        `roles` are those of an app's own user. Raises LastFactor where the policy
        demands it, or where it is the last way in: of an account without a password, a
        passkey stays. Raises NotFound, StoreUnavailable.
        """
        account, has_password = await self._accounts.by_id(account_id), True
        if account is not None:
            roles = account.roles
            has_password = not is_unusable(account.password_hash)
        for _ in range(limits.SWAP_ATTEMPTS):
            rows, row = await self._find(account_id, factor_id)
            others = [one for one in factors_of(rows) if one.id != row.id]
            if not others and self._policy.demands(roles, rows):
                raise LastFactor
            if not has_password and not has_passkey(others):
                raise LastFactor
            purpose = MailPurpose.FACTOR_REMOVED
            event = self._trails.event(EventType.FACTOR_REMOVED, account_id, by, row)
            # Not counted: there are no more removals than additions, and an owner has
            # to get rid of a thief's factors.
            if await self._credentials.add(
                (),
                await self._trails.of(account_id, purpose, event, factor=row.kind),
                replaces=() if others else _CODES,
                spends=row,
                seen=_ids(factors_of(rows)),
            ):
                self._trails.told(account_id, purpose)
                return
        raise StoreUnavailable

    async def _find(
        self, account_id: bytes, factor_id: bytes
    ) -> tuple[list[Credential], Credential]:
        """All rows of the user, and the one of that factor. Raises NotFound."""
        rows = await self._credentials.of_account(account_id)
        for row in factors_of(rows):
            if row.id == factor_id:
                return rows, row
        raise NotFound("There is no such factor.")

    async def reset(
        self, account_id: bytes, *, version: int | None = None, by: By = APP
    ) -> int:
        """Remove all factors and codes, for an operator. All sessions of the user end.

        Sign-ins under way end too. Returns how many factors there were. With a
        `version`, only of that version of the account: raises VersionChanged otherwise;
        StoreUnavailable.
        """
        purpose = MailPurpose.FACTORS_RESET
        event = self._trails.event(EventType.FACTORS_RESET, account_id, by)
        trail = Trail((event,))
        # Before and after: if this process is lost in between, no session lives on.
        await self._ends.note(account_id, version=version)
        await self._end_all(account_id, by)
        if has_factors := bool((await self.of(account_id)).factors):
            trail = await self._trails.of(account_id, purpose, event)
        count = await self._credentials.drop(account_id, trail)
        if has_factors:
            self._trails.told(account_id, purpose)
        await self._throttle.give_back((), forget=factor_counters(account_id))
        await self._ends.note(account_id)
        await self._end_all(account_id, by)
        return count

    async def _end_all(self, account_id: bytes, by: By) -> None:
        await self._sessions.end_all(account_id, EndReason.FACTORS_RESET, by=by)

    async def require(
        self, account_id: bytes, *, is_required: bool = True, by: By = APP
    ) -> int:
        """Demand a second factor of this user, whatever the policy says, or no longer.

        Where it is demanded, sessions of a lower level end: returns how many.
        """
        event = self._trails.event(
            EventType.FACTOR_DEMANDED, account_id, by, required=is_required
        )
        demand, trail = demand_of(account_id, self._clock()), Trail((event,))
        if not is_required:
            for row in await self._credentials.of_account(account_id):
                if row.id == demand.id:
                    await self._credentials.swap(row, None, trail)
            return 0
        reason = EndReason.FACTOR_REQUIRED
        end_weaker = partial(self._sessions.end_weaker, account_id, reason, by=by)
        ended = await end_weaker()  # before and after, as in `add`
        await self._credentials.add([demand], trail)  # or it is there
        return ended + await end_weaker()

    async def enrol_code(self, account_id: bytes, *, by: By = APP) -> str:
        """A one-time token with which a user enrols the first factor, for 24 hours.

        With it and the right password a user can enrol; those made before it are gone.
        Raises InvalidRequest for a user that has a factor.
        """
        if factors_of(await self._credentials.of_account(account_id)):
            message = "This user has a second factor. Reset the factors first."
            raise InvalidRequest(message)
        token = one_time_token.mint(
            TokenPurpose.ENROL, self._entropy(limits.ONE_TIME_BYTES)
        )
        row = enrolment_of(account_id, token, self._clock(), limits.ENROL_CODE_LIFE)
        event = self._trails.event(EventType.ENROLMENT_ASKED, account_id, by)
        replaces = (CredentialKind.ENROLMENT,)
        await self._credentials.add([row], Trail((event,)), replaces=replaces)
        return token

    async def enrolment(self, account_id: bytes, token: str) -> bytes:
        """The id of the row of an enrolment token. Raises ConfirmationInvalid."""
        read = one_time_token.read(token)
        if read is not None and read[0] is TokenPurpose.ENROL:
            row = await self._credentials.by_key(CredentialKind.ENROLMENT, read[1])
            if row is not None and row.account_id == account_id:
                account = await self._accounts.by_id(account_id)
                # As a reset, it is void for an address that the account has no longer.
                is_void = row.label and (not account or account.email_key != row.label)
                if is_open(row, self._clock()) and not is_void:
                    return row.id
        raise ConfirmationInvalid

    async def spending(self, code: Credential, left: int, *, by: By) -> Spending:
        """How a recovery code is spent, with the event and the mail of it.

        `left` is the number of codes that the user has then. Call `code_spent` once it
        is spent.
        """
        owner = code.account_id
        event = self._trails.event(EventType.RECOVERY_CODE_USED, owner, by, left=left)
        purpose = MailPurpose.RECOVERY_CODE_USED
        return Spending(code, await self._trails.of(owner, purpose, event, left=left))

    async def spend(self, spending: Spending) -> None:
        """Spend a recovery code by itself, right before what it grants.

        Raises SecondFactorInvalid where it is gone, StoreUnavailable.
        """
        await self.take_code(spending)
        self.code_spent(spending)

    async def take_code(self, spending: Spending) -> None:
        """Spend a recovery code that may still be given back. Raises as `spend`."""
        if not await self._credentials.swap(spending.credential, None, spending.trail):
            raise SecondFactorInvalid

    def code_spent(self, spending: Spending) -> None:
        """Tell an app of the recovery code of a user of its own."""
        owner = spending.credential.account_id
        self._trails.told(owner, MailPurpose.RECOVERY_CODE_USED)


def _ids(rows: Sequence[Credential]) -> list[bytes]:
    return [row.id for row in rows]
