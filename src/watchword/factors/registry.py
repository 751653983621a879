"""The second factors of users: listed, added, renamed, removed, reset.

Every change is an event, and is told to the user, in the transaction of it.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core.actor import APP, By
from watchword.factors.policy import SecondFactorPolicy
from watchword.factors.proof import Method
from watchword.factors.recovery_codes import RecoveryCodes
from watchword.notices import FactorNotices
from watchword.ports.credentials import Credential, CredentialStore, Spending
from watchword.ports.throttle import Throttle
from watchword.sessions import Sessions


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """What a user has. `factors` are rows of TOTP and passkeys, the oldest first."""

    factors: tuple[Credential, ...] = ()
    codes_left: int = 0
    is_demanded: bool = False
    """Whether the policy or an operator demands a second factor of this user."""

    @property
    def methods(self) -> tuple[Method, ...]:
        """How the user can prove a second factor, the best first; () without any."""
        raise NotImplementedError

    @property
    def acr(self) -> str:
        """The highest level that the user can reach: `aal2` with a factor."""
        raise NotImplementedError


class Factors:
    """Reads and changes the second factors of users, by subject (16 bytes)."""

    def __init__(
        self,
        *,
        credentials: CredentialStore,
        sessions: Sessions,
        throttle: Throttle,
        policy: SecondFactorPolicy,
        codes: RecoveryCodes,
        notices: FactorNotices,
        has_passkeys: bool,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._throttle = throttle
        self._policy = policy
        self._codes = codes
        self._notices = notices
        self._has_passkeys = has_passkeys
        self._clock = clock
        self._entropy = entropy

    async def of(self, account_id: bytes, roles: Collection[str] = ()) -> Enrolled:
        """What the user has now. Raises StoreUnavailable."""
        raise NotImplementedError

    async def add(
        self,
        account_id: bytes,
        credential: Credential,
        *,
        keep_session: bytes | None,
        by: By,
        enrolment: bytes = b"",
    ) -> tuple[str, ...]:
        """Add a factor; recovery codes come with the first one, and only here.

        The user's other sessions of a lower level end. `enrolment` is the id of the
        one-time token that is spent with it. A factor that is there already (a retry)
        is no error, and has no codes. Raises ContinuationExpired where the token is
        gone, InvalidRequest where there are too many factors, StoreUnavailable.
        """
        raise NotImplementedError

    async def new_recovery_codes(self, account_id: bytes, *, by: By) -> tuple[str, ...]:
        """Ten new codes; the old ones are gone. Raises NotFound without a factor."""
        raise NotImplementedError

    async def rename(
        self, account_id: bytes, factor_id: bytes, name: str, *, by: By
    ) -> Credential:
        """Give a factor another name. Raises NotFound, InvalidRequest."""
        raise NotImplementedError

    async def remove(
        self,
        account_id: bytes,
        factor_id: bytes,
        *,
        roles: Collection[str] = (),
        has_password: bool = True,
        by: By,
    ) -> None:
        """Remove a factor; with the last one go the recovery codes.

        Raises NotFound; LastFactor where the policy demands it, or where it is the last
        way in.
        """
        raise NotImplementedError

    async def reset(self, account_id: bytes, *, by: By = APP) -> int:
        """Remove all factors and codes, for an operator. All sessions of the user end.

        Returns how many factors there were.
        """
        raise NotImplementedError

    async def require(self, account_id: bytes, *, by: By = APP) -> None:
        """Demand a second factor of this user, whatever the policy says.

        Sessions of a lower level end.
        """
        raise NotImplementedError

    async def enrol_code(self, account_id: bytes, *, by: By = APP) -> str:
        """A one-time token with which a user enrols the first factor, for 24 hours.

        Whoever has it and the right password can enrol.
        """
        raise NotImplementedError

    async def enrolment(self, account_id: bytes, token: str) -> bytes:
        """The id of the row of an enrolment token. Raises ConfirmationInvalid."""
        raise NotImplementedError

    def code_used(self, account_id: bytes, code: Credential, *, by: By) -> Spending:
        """How a recovery code is spent, with the event and the mail of it."""
        raise NotImplementedError
