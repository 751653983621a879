"""Rows of credentials: ids of those that a user has once, and names of factors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from watchword.core import limits, one_time_token
from watchword.errors import InvalidRequest
from watchword.ports.credentials import FACTORS, Credential, CredentialKind
from watchword.text import trimmed

SEALED_AS: Final = "credentials"
"""The label of the `Sealing` for credentials."""

_ID_BYTES: Final = 16


def singleton_id(kind: CredentialKind, account_id: bytes) -> bytes:
    """The id of the one row of that kind that a user may have.

    Two callers that make the row at once make the same row.
    """
    return hashlib.sha256(f"{kind}\0".encode() + account_id).digest()[:_ID_BYTES]


def demand_of(account_id: bytes, now: int) -> Credential:
    """The row of an operator's word that this user needs a second factor."""
    kind = CredentialKind.DEMAND
    return Credential(
        id=singleton_id(kind, account_id),
        account_id=account_id,
        kind=kind,
        created_at=now,
    )


def enrolment_of(
    account_id: bytes, token: str, now: int, life: int, *, address: str = ""
) -> Credential:
    """The row of a token to enrol the first factor with, for `life` milliseconds.

    `address` is the one spelling of that to which it is mailed: it works as long as the
    account has that.
    """
    key = one_time_token.hash_of(token)
    return Credential(
        id=key[:_ID_BYTES],
        account_id=account_id,
        kind=CredentialKind.ENROLMENT,
        key=key,
        label=address,
        created_at=now,
        until=now + life,
    )


def factors_of(rows: Iterable[Credential]) -> list[Credential]:
    """Those of a user's rows that are second factors, in the same order."""
    return [row for row in rows if row.kind in FACTORS]


def codes_left(rows: Iterable[Credential]) -> int:
    """How many recovery codes are among a user's rows."""
    return sum(row.kind is CredentialKind.RECOVERY_CODE for row in rows)


def has_passkey(rows: Iterable[Credential]) -> bool:
    """Whether a passkey is among a user's rows."""
    return any(row.kind is CredentialKind.PASSKEY for row in rows)


def is_open(row: Credential, now: int) -> bool:
    """Whether the row is an enrolment token that can be used now (ms)."""
    return row.kind is CredentialKind.ENROLMENT and (row.until or 0) > now


def checked_name(text: str) -> str:
    """A name that a user gave a factor, without blanks around it.

    Raises InvalidRequest where it is too long or has control characters.
    """
    name = trimmed(text)
    if len(name) > limits.FACTOR_NAME_MAX or not name.isprintable():
        message = (
            f"A name has at most {limits.FACTOR_NAME_MAX} characters, none of them "
            "a control character."
        )
        raise InvalidRequest(message)
    return name
