"""Clients as the admin API shows and takes them. No answer has the hash of a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from watchword.clients.rules import BUILT_IN
from watchword.core.limits import (
    ACCESS_TTL_MAX,
    CLIENT_ID_MAX,
    CLIENT_NAME_MAX,
    GRACE_MAX,
    SECOND,
)
from watchword.ports.clients import Client
from watchword.server.endpoints.admin.fields import RequestBody
from watchword.server.responses import Versioned, utc

_Id = Annotated[str, msgspec.Meta(max_length=CLIENT_ID_MAX)]
_Name = Annotated[
    str, msgspec.Meta(max_length=CLIENT_NAME_MAX, description="What users are shown.")
]
_Life = Annotated[
    int,
    msgspec.Meta(ge=1, le=ACCESS_TTL_MAX // SECOND, description="In whole seconds."),
]
_Grace = Annotated[
    int, msgspec.Meta(ge=0, le=GRACE_MAX // SECOND, description="In whole seconds.")
]
_TIMES = ("access_ttl", "grace")
"""What is in seconds here, and in milliseconds in the engine."""


class ClientView(Versioned, frozen=True, rename="camel", kw_only=True):
    """A client: see `watchword clients add` for what its fields do.

    `name` is what users are shown; empty: the id. `accessTtl` and `grace` are in
    seconds; `accessTtl` null, and no `audience`: the server's. One that is not
    `confidential` has no secret. A client that is `builtIn` cannot be changed.
    """

    client_id: str
    name: str
    confidential: bool
    disabled: bool
    built_in: bool
    grants: tuple[str, ...]
    rights: tuple[str, ...]
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    access_ttl: int | None
    grace: int
    dpop: bool
    checks_dpop: bool
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    id_token_alg: str
    trusted: bool
    pkce: bool
    par: bool
    created_at: datetime


class NewClientView(ClientView, frozen=True, rename="camel", kw_only=True):
    """The client, and its secret: shown now, and never again."""

    client_secret: str | None


class ClientSecret(msgspec.Struct, frozen=True, rename="camel"):
    """The new secret: shown now, and never again."""

    client_id: str
    client_secret: str


class DisabledClient(ClientView, frozen=True, rename="camel", kw_only=True):
    """The client as it is now, and how many of its sessions were alive until now."""

    revoked: int


class AddClient(RequestBody, frozen=True, rename="camel", kw_only=True):
    """The client that shall be. Only `clientId` is needed.

    `confidential`: it gets a secret. `grants` are those that such a client usually has,
    where they are left out.
    """

    client_id: _Id
    confidential: bool = False
    name: _Name | UnsetType = UNSET
    grants: list[str] | UnsetType = UNSET
    rights: list[str] | UnsetType = UNSET
    scope: list[str] | UnsetType = UNSET
    audience: list[str] | UnsetType = UNSET
    access_ttl: _Life | UnsetType | None = UNSET
    grace: _Grace | UnsetType = UNSET
    dpop: bool | UnsetType = UNSET
    checks_dpop: bool | UnsetType = UNSET
    redirect_uris: list[str] | UnsetType = UNSET
    post_logout_redirect_uris: list[str] | UnsetType = UNSET
    id_token_alg: str | UnsetType = UNSET
    trusted: bool | UnsetType = UNSET
    pkce: bool | UnsetType = UNSET
    par: bool | UnsetType = UNSET


class ChangeClient(RequestBody, frozen=True, rename="camel", kw_only=True):
    """What shall change; the rest stays. A list replaces the one that there is.

    With the first redirect URI comes the grant for codes, and it goes with the last.
    """

    name: _Name | UnsetType = UNSET
    rights: list[str] | UnsetType = UNSET
    scope: list[str] | UnsetType = UNSET
    audience: list[str] | UnsetType = UNSET
    grace: _Grace | UnsetType = UNSET
    checks_dpop: bool | UnsetType = UNSET
    redirect_uris: list[str] | UnsetType = UNSET
    post_logout_redirect_uris: list[str] | UnsetType = UNSET
    id_token_alg: str | UnsetType = UNSET
    trusted: bool | UnsetType = UNSET
    pkce: bool | UnsetType = UNSET
    par: bool | UnsetType = UNSET


def given_in(body: AddClient | ChangeClient) -> dict[str, Any]:
    """What was sent, by the names of the engine."""
    fields = msgspec.structs.asdict(body)
    given = {name: value for name, value in fields.items() if value is not UNSET}
    for name in _TIMES:
        if given.get(name) is not None:
            given[name] *= SECOND
    return given


def fields_of(client: Client) -> dict[str, Any]:
    """The fields of a `ClientView` of this client."""
    fields = msgspec.structs.asdict(client)
    life = client.access_ttl
    return {
        name: fields[name] for name in ClientView.__struct_fields__ if name in fields
    } | {
        "client_id": client.id,
        "confidential": client.secret_hash is not None,
        "built_in": client.id in BUILT_IN,
        "access_ttl": None if life is None else life // SECOND,
        "grace": client.grace // SECOND,
        "created_at": utc(client.created_at),
    }


def view(client: Client) -> ClientView:
    """The client as it is shown."""
    return ClientView(**fields_of(client))
