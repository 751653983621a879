"""Clients, as operators see and change them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from watchword.admin.operators import Done, Operator, at_version
from watchword.admin.pages import Cursors, Page, asked_for, checked_limit
from watchword.clients.registry import Clients
from watchword.clients.rules import BUILT_IN, is_admin, is_client_id
from watchword.core import limits
from watchword.errors import InsufficientRole, NotFound
from watchword.ports.clients import Client


class ClientAdmin:
    """Lists clients and changes them.

    Every write raises NotFound, VersionChanged (`version` is what the caller saw; None
    stands for any), InvalidRequest, InsufficientRole, StoreUnavailable.

    A client may neither give nor take a right. It may not touch a client with a right
    to administer, nor have the secret of one with any right: it could then do itself
    what that one may.
    """

    def __init__(self, *, clients: Clients, cursors: Cursors) -> None:
        self._clients = clients
        self._cursors = cursors

    async def list(
        self, *, q: str = "", after: str | None = None, limit: int = limits.ADMIN_LIST
    ) -> Page[Client]:
        """Clients whose id begins with `q`, in order of id, but for built-in ones.

        Raises InvalidRequest.
        """
        asked = asked_for("clients", q=q)
        found: list[Client] = []
        behind = q
        if after is not None:
            behind = self._cursors.text_in(asked, after)
        elif q:
            if not is_client_id(q):
                return Page([])
            found += await self._exactly(q)
        # Ids are in the order of their bytes: those with the prefix stand together.
        size = checked_limit(limit)
        rows = await self._clients.list(after=behind, limit=size + 1)
        found += [row for row in rows if row.id.startswith(q)]
        return self._cursors.first_of(asked, found, size, lambda row: row.id)

    async def _exactly(self, client_id: str) -> Sequence[Client]:
        try:
            client = await self.get(client_id)
        except NotFound:
            return ()
        return () if client_id in BUILT_IN else (client,)

    async def get(self, client_id: str) -> Client:
        """The client, also a built-in one. Raises NotFound."""
        return await self._clients.get(client_id)

    async def create(
        self,
        operator: Operator,
        client_id: str,
        *,
        confidential: bool,
        **given: Any,  # noqa: ANN401 - those of Clients.add
    ) -> tuple[Client, str | None]:
        """A new client and, if it is confidential, its secret: shown now alone.

        Raises NameTaken besides.
        """
        if given.get("rights"):
            operator.need_user()
        return await self._clients.add(
            client_id, confidential=confidential, by=operator.by, **given
        )

    async def update(
        self,
        operator: Operator,
        client_id: str,
        version: int | None,
        **given: Any,  # noqa: ANN401 - those of Clients.update
    ) -> Client:
        """Change what is given."""
        if given.keys() & {"rights", "add_rights", "remove_rights"}:
            operator.need_user()

        async def update(seen: int | None) -> Client:
            return await self._clients.update(
                client_id, version=seen, by=operator.by, **given
            )

        return await self._write(operator, client_id, version, update)

    async def rotate_secret(
        self, operator: Operator, client_id: str, version: int | None
    ) -> str:
        """A new secret, shown now alone. The old one works for a second at most."""

        async def rotate(seen: int | None) -> str:
            return await self._clients.rotate_secret(
                client_id, version=seen, by=operator.by
            )

        return await self._write(
            operator, client_id, version, rotate, is_taken_over=True
        )

    async def disable(
        self, operator: Operator, client_id: str, version: int | None
    ) -> int:
        """Refuse it from now on; how many sessions ended."""

        async def disable(seen: int | None) -> int:
            return await self._clients.disable(client_id, version=seen, by=operator.by)

        return await self._write(operator, client_id, version, disable)

    async def enable(
        self, operator: Operator, client_id: str, version: int | None
    ) -> None:
        """Accept it again. Its ended sessions stay ended."""

        async def enable(seen: int | None) -> None:
            await self._clients.enable(client_id, version=seen, by=operator.by)

        await self._write(operator, client_id, version, enable)

    async def _write(
        self,
        operator: Operator,
        client_id: str,
        version: int | None,
        verb: Callable[[int | None], Awaitable[Done]],
        *,
        is_taken_over: bool = False,
    ) -> Done:
        """Call the verb with the version that it may change.

        What a client may reach is decided by the row of that very version.
        """
        if not operator.is_client:
            return await verb(version)

        async def attempt() -> Done:
            client = await self.get(client_id)
            if is_admin(client.rights) or (is_taken_over and client.rights):
                message = "A client may not touch a client with such rights."
                raise InsufficientRole(message)
            return await verb(client.version if version is None else version)

        return await at_version(version, attempt)
