"""What a user sends as a second factor, and what it has proved."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from watchword.ports.credentials import Spending


class Method(StrEnum):
    """How a second factor is proved: the names of calls and answers."""

    PASSKEY = "passkey"
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"


class FactorProof(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: a `code`, or a `challenge` and the `credential` that answers it.

    `credential` is the JSON object that the browser's `toJSON()` makes.
    """

    method: Method
    code: str = ""
    challenge: str = ""
    credential: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"FactorProof(method={self.method!r})"


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """A factor that was right. `amr` are its methods (RFC 8176).

    `spends` is a recovery code. It MUST go in the step that it grants: with the new
    session, or with the new password.
    """

    amr: tuple[str, ...]
    spends: Spending | None = None
