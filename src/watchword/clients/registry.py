"""OAuth clients: add, change, list.

Disabling a client first commits the change, then ends the client's sessions. A sign-in
that was under way meanwhile looks at the client again when its session has begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Unpack

import msgspec

from watchword.clients.authentication import ClientAuthentication, hash_of, new_secret
from watchword.clients.changes import DoorChanges, fields_after
from watchword.clients.rules import (
    BUILT_IN,
    FIRST_PARTY,
    ID_TOKEN_ALG,
    PAGES_CLIENT,
    GrantType,
    check,
    is_admin,
    is_client_id,
)
from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import APP, By, EndReason
from watchword.errors import (
    InvalidRequest,
    NameTaken,
    NotFound,
    StoreUnavailable,
    VersionChanged,
)
from watchword.ports.audit import Event, EventType
from watchword.ports.clients import Client, ClientStore
from watchword.ports.sessions import ByClient
from watchword.sessions import Sessions


class Clients:
    """The OAuth clients that there are. Methods that change one take its id.

    `first_party` is the client that is built in. `by` is the caller, for the audit log;
    an application may leave it out. `prepare` makes the key for ID tokens by an
    algorithm.
    """

    def __init__(
        self,
        *,
        clients: ClientStore,
        sessions: Sessions,
        authentication: ClientAuthentication,
        first_party: Client,
        clock: Clock,
        entropy: Entropy,
        prepare: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self._clients = clients
        self._sessions = sessions
        self._authentication = authentication
        self._first_party = first_party
        self._clock = clock
        self._entropy = entropy
        self._prepare_key = prepare

    async def add(
        self,
        client_id: str,
        *,
        confidential: bool,
        scope: Iterable[str] = (),
        audience: Iterable[str] = (),
        access_ttl: int | None = None,
        grants: Iterable[str] | None = None,
        rights: Iterable[str] = (),
        dpop: bool = False,
        checks_dpop: bool = False,
        grace: int = limits.CLIENT_GRACE,
        name: str = "",
        redirect_uris: Iterable[str] = (),
        post_logout_redirect_uris: Iterable[str] = (),
        id_token_alg: str = ID_TOKEN_ALG,
        trusted: bool = False,
        pkce: bool = True,
        par: bool = False,
        by: By = APP,
    ) -> tuple[Client, str | None]:
        """A new client and, if it is confidential, its secret.

        Only a hash of the secret is kept: it cannot be shown again. `access_ttl` and
        `grace` are in milliseconds. With `redirect_uris` it can send users here to sign
        in; then `name` is shown to them, a `trusted` one asks for no consent, and
        `pkce` and `par` say what it has to send. Raises InvalidRequest, NameTaken.
        """
        rights = tuple(dict.fromkeys(rights))
        redirect_uris = tuple(dict.fromkeys(redirect_uris))
        if grants is None:
            grants = _usual_grants(confidential, redirect_uris, rights)
        secret = new_secret(self._entropy) if confidential else None
        client = Client(
            id=client_id,
            secret_hash=None if secret is None else hash_of(secret),
            created_at=self._clock(),
            scope=tuple(dict.fromkeys(scope)),
            audience=tuple(dict.fromkeys(audience)),
            access_ttl=access_ttl,
            grants=tuple(dict.fromkeys(grants)),
            rights=rights,
            dpop=dpop,
            checks_dpop=checks_dpop,
            grace=grace,
            name=name,
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=tuple(dict.fromkeys(post_logout_redirect_uris)),
            id_token_alg=id_token_alg,
            trusted=trusted,
            pkce=pkce,
            par=par,
        )
        check(client)
        await self._add(client, by)
        await self._prepare(client)
        return client, secret

    async def _add(self, client: Client, by: By) -> None:
        confidential, rights = client.secret_hash is not None, " ".join(client.rights)
        event = Event(
            type=EventType.CLIENT_CREATED,
            at=client.created_at,
            client_id=client.id,
            address=by.address,
            detail=by.detail(confidential=confidential, rights=rights),
        )
        try:
            await self._clients.add(client, event)
        except NameTaken:
            message = (
                f"there is a client named {client.id!r} already: `watchword clients "
                "update` changes it"
            )
            raise NameTaken(message) from None

    async def _prepare(self, client: Client) -> None:
        """Have the key that its ID tokens need, so that no sign-in waits for it."""
        if client.redirect_uris and self._prepare_key is not None:
            await self._prepare_key(client.id_token_alg)

    async def get(self, client_id: str) -> Client:
        """The client of that id, also a built-in one. Raises NotFound."""
        if client_id == FIRST_PARTY.id:
            return self._first_party
        if client_id == PAGES_CLIENT.id:
            return PAGES_CLIENT
        client = (
            await self._clients.load(client_id) if is_client_id(client_id) else None
        )
        if client is None:
            message = f"there is no client named {client_id!r}"
            raise NotFound(message)
        return client

    async def is_enabled(self, client_id: str) -> bool:
        """Whether that client exists and is enabled. Asks the store each time."""
        try:
            return not (await self.get(client_id)).disabled
        except NotFound:
            return False

    async def list(self, *, after: str = "", limit: int = 1000) -> list[Client]:
        """At most `limit` clients that were added, by id, following `after`."""
        return await self._clients.list(after=after, limit=limit)

    async def rotate_secret(
        self, client_id: str, *, version: int | None = None, by: By = APP
    ) -> str:
        """Make and return a new secret. The old one stops working within a second.

        Raises NotFound, VersionChanged, and InvalidRequest for a public client.
        """
        secret = new_secret(self._entropy)

        def change(client: Client) -> Client:
            if client.secret_hash is None:
                message = f"{client_id} is a public client: it has no secret"
                raise InvalidRequest(message)
            return _changed(client, secret_hash=hash_of(secret))

        await self._update(client_id, change, "secret", version, by)
        return secret

    async def update(
        self,
        client_id: str,
        *,
        grace: int | None = None,
        checks_dpop: bool | None = None,
        version: int | None = None,
        by: By = APP,
        **door: Unpack[DoorChanges],
    ) -> Client:
        """Change what is given, and return the client.

        `grace` (milliseconds) is for sessions that begin from now on. With the first
        redirect URI comes the grant for codes, and it goes with the last. Sessions that
        began by one that is removed stay; a code that is on its way there is refused.
        Scopes and audiences are for sign-ins from now on: sessions keep theirs.
        Raises NotFound, VersionChanged, and InvalidRequest, also for what is to go and
        is not there.
        """
        given = {"grace": grace, "checks_dpop": checks_dpop, **door}
        wanted = {name: value for name, value in given.items() if value is not None}
        if not wanted:  # no change, so no event
            return _as_seen(await self.get(client_id), version)

        def change(client: Client) -> Client:
            after = _changed(client, **fields_after(client, wanted))
            check(after)
            return after

        after = await self._update(client_id, change, " ".join(wanted), version, by)
        await self._prepare(after)
        return after

    async def disable(
        self, client_id: str, *, version: int | None = None, by: By = APP
    ) -> int:
        """Refuse the client from now on, end its sessions, and return how many.

        The client's own tokens work until they expire, but for the admin API. Raises
        NotFound, VersionChanged, and InvalidRequest for the built-in client.
        """
        await self._update(
            client_id, lambda row: _changed(row, disabled=True), "disabled", version, by
        )
        return await self._sessions.revoke(
            ByClient(client_id), EndReason.CLIENT_DISABLED, by=by
        )

    async def enable(
        self, client_id: str, *, version: int | None = None, by: By = APP
    ) -> None:
        """Accept the client again. Its ended sessions stay ended.

        Raises NotFound, VersionChanged, and InvalidRequest for the built-in client.
        """
        await self._update(
            client_id, lambda row: _changed(row, disabled=False), "enabled", version, by
        )

    async def _update(
        self,
        client_id: str,
        change: Callable[[Client], Client],
        what: str,
        version: int | None,
        by: By,
    ) -> Client:
        """Apply `change` to the row as it is at the moment of the write.

        A row that another caller has changed meanwhile is read and changed again, or
        refused where the caller says which `version` it saw. Returns the new row.
        Raises NotFound, VersionChanged, InvalidRequest, StoreUnavailable.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            before = _as_seen(await self.get(client_id), version)
            if client_id in BUILT_IN:
                message = f"{client_id} is built in and cannot be changed"
                raise InvalidRequest(message)
            after = change(before)
            detail = {"change": what}
            if after.rights != before.rights:
                detail["rights"] = " ".join(after.rights)
            event = Event(
                type=EventType.CLIENT_CHANGED,
                at=self._clock(),
                client_id=client_id,
                address=by.address,
                detail=by.detail(**detail),
            )
            if await self._clients.swap(before, after, event):
                self._authentication.forget(client_id)
                return after
        raise StoreUnavailable


def _usual_grants(
    confidential: bool,  # noqa: FBT001 - a fact of the client
    redirect_uris: tuple[str, ...],
    rights: tuple[str, ...],
) -> tuple[str, ...]:
    """The grants of a client that is made without naming any."""
    own_tokens = (GrantType.CLIENT_CREDENTIALS,) if is_admin(rights) else ()
    if redirect_uris:
        return (GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN, *own_tokens)
    if rights:
        # The credentials of a resource server are for introspection alone (RFC 9701
        # §3).
        return own_tokens
    if confidential:
        return (GrantType.REFRESH_TOKEN, GrantType.CLIENT_CREDENTIALS)
    return (GrantType.REFRESH_TOKEN,)


def _as_seen(client: Client, version: int | None) -> Client:
    """The client, unless its caller saw another version. Raises VersionChanged."""
    if version not in {None, client.version}:
        raise VersionChanged
    return client


def _changed(client: Client, **fields: object) -> Client:
    return msgspec.structs.replace(client, version=client.version + 1, **fields)
