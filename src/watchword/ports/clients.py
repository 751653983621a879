"""OAuth clients by id."""

from __future__ import annotations

from typing import Protocol

import msgspec

from watchword.core import limits
from watchword.ports.audit import Event


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth client. It is public where it has no secret.

    `secret_hash` is the SHA-256 of the secret. `audience` and `access_ttl` (ms) are the
    server's where empty or None. `grants` are grant types; `rights` are `introspect`
    and `feed`. With `dpop` the client gets no token without a proof (RFC 9449 §5.2,
    `dpop_bound_access_tokens`). `checks_dpop` says that the client itself checks the
    proofs of the tokens that it introspects. `grace` (ms) is that of its sessions.
    Lists are of words: none of them has a space in it.

    For the authorization code: `name` is shown to users, the id where it is empty.
    `redirect_uris` and `post_logout_redirect_uris` are those that it may name.
    `id_token_alg` signs its ID tokens. A `trusted` one asks no user for consent. `pkce`
    says whether it has to send a challenge (a public one always has to), `par` whether
    it has to push its requests (RFC 9126 §6).
    """

    id: str
    secret_hash: bytes | None
    created_at: int
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    access_ttl: int | None = None
    grants: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    dpop: bool = False
    checks_dpop: bool = False
    grace: int = limits.CLIENT_GRACE
    disabled: bool = False
    version: int = 0
    name: str = ""
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    id_token_alg: str = "RS256"  # noqa: S105 - an algorithm
    trusted: bool = False
    pkce: bool = True
    par: bool = False


class ClientStore(Protocol):
    """OAuth clients by id."""

    async def add(self, client: Client, event: Event) -> None:
        """Raises NameTaken where a client has that id."""

    async def load(self, client_id: str) -> Client | None:
        """The client of that id."""

    async def list(self, *, after: str = "", limit: int) -> list[Client]:
        """Clients in order of id, following `after`."""

    async def swap(self, before: Client, after: Client, event: Event) -> bool:
        """Write `after` where the row still has `before.version`; whether it did."""
