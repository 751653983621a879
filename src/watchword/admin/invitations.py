"""Invitations that are open, as operators see, make and withdraw them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from watchword.accounts.invitations import Invitations
from watchword.admin.operators import Operator
from watchword.admin.pages import Cursors, Page, asked_for, checked_limit
from watchword.clocks import Clock
from watchword.core import limits
from watchword.errors import InvalidRequest, NotFound
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.confirmations import Confirmation, ConfirmationStore

_ID = asked_for("invitation")


class OpenInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation that was not accepted yet. Times are instants (ms).

    `id` is sealed: it says nothing of the token that was mailed, is another one in
    every list, and is good for a day.
    """

    id: str
    email: str
    roles: tuple[str, ...]
    created_at: int
    until: int


class InvitationAdmin:
    """Lists invitations, makes and withdraws them."""

    def __init__(
        self,
        *,
        confirmations: ConfirmationStore,
        invitations: Invitations,
        cursors: Cursors,
        admin_role: str,
        clock: Clock,
    ) -> None:
        self._confirmations = confirmations
        self._invitations = invitations
        self._cursors = cursors
        self._admin_role = admin_role
        self._clock = clock

    async def list(
        self, *, after: str | None = None, limit: int = limits.ADMIN_LIST
    ) -> Page[OpenInvitation]:
        """Those that are open, newest first. Raises InvalidRequest."""
        checked_limit(limit)
        asked = asked_for("invitations")
        rows = await self._confirmations.invitations(
            before=None if after is None else self._place(asked, after), limit=limit
        )
        now = self._clock()
        onward = None
        if len(rows) == limit:
            last = rows[-1]
            onward = self._cursors.seal(asked, last.created_at, last.token_hash.hex())
        return Page([self._shown(row) for row in rows if now < row.until], onward)

    def _place(self, asked: str, cursor: str) -> tuple[int, bytes]:
        match self._cursors.open(asked, cursor):
            case [int(created_at), str(token_hash)]:
                return created_at, bytes.fromhex(token_hash)
        raise InvalidRequest("after is no cursor of this list.")

    def _shown(self, row: Confirmation) -> OpenInvitation:
        return OpenInvitation(
            id=self._cursors.seal(_ID, row.token_hash.hex()),
            email=row.email,
            roles=row.roles,
            created_at=row.created_at,
            until=row.until,
        )

    async def invite(
        self,
        operator: Operator,
        email: str,
        *,
        roles: Iterable[str] = (),
        locale: str = "",
    ) -> OpenInvitation:
        """Mail an invitation. A client cannot give the admin role by one.

        Raises EmailInvalid, InvalidRequest, InsufficientRole, StoreUnavailable;
        NotFound where no invitation can be accepted, or no mail can be sent.
        """
        given = tuple(roles)
        operator.need_reach(given, self._admin_role)
        made = await self._invitations.invite(
            email, roles=given, locale=locale, by=operator.by
        )
        return self._shown(made)

    async def withdraw(self, operator: Operator, invitation_id: str) -> None:
        """Withdraw it: its link is of no use any more. Raises NotFound."""
        try:
            token_hash = bytes.fromhex(self._cursors.text_in(_ID, invitation_id))
        except InvalidRequest:
            raise NotFound from None
        event = Event(
            type=EventType.INVITATION_WITHDRAWN,
            at=self._clock(),
            address=operator.by.address,
            detail=operator.by.detail(),
        )
        if not await self._confirmations.withdraw(token_hash, Trail((event,))):
            raise NotFound
