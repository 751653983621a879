"""What a user has of second factors, and what that comes to."""

from __future__ import annotations

import msgspec

from watchword.core.session import AAL1, AAL2
from watchword.factors.proof import Method
from watchword.ports.credentials import Credential, CredentialKind


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """What a user has. `factors` are rows of TOTP and passkeys, the oldest first.

    `has_passkeys` says that passkeys are on: those that a user has demand a second
    step also where they are off.
    """

    factors: tuple[Credential, ...] = ()
    codes_left: int = 0
    is_demanded: bool = False
    """Whether the policy or an operator demands a second factor of this user."""

    has_passkeys: bool = True

    @property
    def methods(self) -> tuple[Method, ...]:
        """How the user can prove a second factor, the best first; () without any."""
        kinds = {factor.kind for factor in self.factors}
        can = {
            Method.PASSKEY: self.has_passkeys and CredentialKind.PASSKEY in kinds,
            Method.TOTP: CredentialKind.TOTP in kinds,
            Method.RECOVERY_CODE: bool(kinds and self.codes_left),
        }
        return tuple(method for method, is_there in can.items() if is_there)

    @property
    def acr(self) -> str:
        """The highest level that the user can reach: `aal2` with a factor."""
        return AAL2 if self.factors else AAL1
