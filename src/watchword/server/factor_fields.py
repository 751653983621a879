"""The fields and answers that calls of second factors share, in every domain."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request

from watchword.core.limits import FACTOR_NAME_MAX, TICKET_MAX
from watchword.core.session import TokenSet, as_text
from watchword.errors import NotFound
from watchword.factors.passkeys import Passkeys
from watchword.factors.proof import FactorProof, Method
from watchword.ports.credentials import Credential, CredentialKind
from watchword.server.parsing import engine_of
from watchword.server.responses import Tokens, tokens_of, utc

_MEMBERS_MAX: Final = 16
# Longer than a recovery code with any spaces: such text is refused without work.
_CODE_MAX: Final = 64

CodeField = Annotated[str, msgspec.Meta(max_length=_CODE_MAX)]
ChallengeField = Annotated[
    str,
    msgspec.Meta(
        max_length=TICKET_MAX, description="From the options of a passkey: `ww_wc_…`."
    ),
]
CredentialField = Annotated[
    dict[str, Any],
    msgspec.Meta(
        max_length=_MEMBERS_MAX,
        description="What `toJSON()` of the browser's PublicKeyCredential makes.",
    ),
]
FactorNameField = Annotated[str, msgspec.Meta(max_length=FACTOR_NAME_MAX)]
PendingField = Annotated[
    str,
    msgspec.Meta(
        max_length=TICKET_MAX,
        description="The `factor` of the call that began it: `ww_tf_…`.",
    ),
]

EnrolTokenField = Annotated[
    str,
    msgspec.Meta(max_length=256, description="From a mail or an operator: `ww_cf_…`."),
]


def signed(challenge: str, credential: dict[str, Any]) -> FactorProof:
    """What a passkey has answered, for the engine."""
    return FactorProof(
        method=Method.PASSKEY, challenge=challenge, credential=credential
    )


class RecoveryCodes(msgspec.Struct, frozen=True, rename="camel"):
    """Ten codes, shown this once. Those of before are gone."""

    recovery_codes: tuple[str, ...]


class TokensAndCodes(Tokens, frozen=True, kw_only=True, rename="camel"):
    """The tokens, and with the first factor ten recovery codes, shown this once."""

    recovery_codes: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Factor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A second factor. `synced` is of passkeys: whether other devices have it too."""

    id: str
    kind: Method
    name: str
    created_at: datetime
    used_at: datetime | None
    synced: bool | msgspec.UnsetType = msgspec.UNSET


class TokensAndFactor(TokensAndCodes, frozen=True, kw_only=True, rename="camel"):
    """The tokens, the new factor, and with the first one ten recovery codes."""

    factor: Factor


def tokens_with(tokens: TokenSet, codes: tuple[str, ...] = ()) -> TokensAndCodes:
    """The tokens for the client, and recovery codes where there are new ones."""
    return TokensAndCodes(
        **msgspec.structs.asdict(tokens_of(tokens)),
        recovery_codes=codes or msgspec.UNSET,
    )


def passkeys_of(request: Request) -> Passkeys:
    """Raises NotFound where passkeys are off."""
    found = engine_of(request).second_factors.passkeys
    if not found.is_on:
        raise NotFound
    return found


async def name_for(request: Request, account_id: bytes) -> str:
    """What authenticators and their apps show of a user.

    It is the name of an account, and the `sub` of an app's own user. Raises NotFound
    for an account that is gone.
    """
    engine, subject = engine_of(request), as_text(account_id)
    if engine.subjects is not None:
        return subject
    return (await engine.accounts.get_by_subject(subject)).name


def shown(request: Request, row: Credential) -> Factor:
    """A factor as its user sees it."""
    synced: bool | msgspec.UnsetType = msgspec.UNSET
    if row.kind is CredentialKind.PASSKEY:
        synced = engine_of(request).second_factors.passkeys.is_synced(row)
    return Factor(
        id=as_text(row.id),
        kind=Method(row.kind),
        name=row.label,
        created_at=utc(row.created_at),
        used_at=None if row.used_at is None else utc(row.used_at),
        synced=synced,
    )
