"""Sessions of all accounts, as operators see and end them."""

from __future__ import annotations

from watchword.admin.operators import Operator
from watchword.admin.pages import Cursors, Page, asked_for, checked_limit, id_in
from watchword.clients.rules import is_client_id
from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.policies import PAGES
from watchword.core.session import Session, as_text, from_text
from watchword.errors import InvalidRequest, NotFound
from watchword.ports import Stores
from watchword.ports.sessions import Before
from watchword.sessions import Sessions


class SessionAdmin:
    """Lists live sessions and ends them."""

    def __init__(
        self, *, stores: Stores, sessions: Sessions, cursors: Cursors, admin_role: str
    ) -> None:
        self._stores = stores
        self._sessions = sessions
        self._cursors = cursors
        self._admin_role = admin_role

    async def list(
        self,
        *,
        account: str | None = None,
        client: str | None = None,
        after: str | None = None,
        limit: int = limits.ADMIN_LIST,
    ) -> Page[Session]:
        """Live sessions of an account and client, or of all, newest sign-in first.

        Raises InvalidRequest.
        """
        account_id = id_in({"account": account or ""}, "account")
        if client is not None and client != PAGES and not is_client_id(client):
            raise InvalidRequest("client is the id of a client.")
        asked = asked_for("sessions", account=account, client=client)
        begin = None
        if after is not None:
            begin = from_text(self._cursors.text_in(asked, after))
        page = await self._sessions.page(
            account_id, after=begin, limit=checked_limit(limit), client_id=client
        )
        onward = None if page.onward is None else as_text(page.onward)
        return self._cursors.page(asked, page.sessions, onward)

    def ends_at(self, session: Session) -> int:
        """The instant (ms) from which no token of the session works."""
        return self._sessions.ends_at(session)

    async def get(self, session_id: str) -> Session:
        """A session, also one that has ended. Raises NotFound."""
        identifier = from_text(session_id)
        session = identifier and await self._sessions.get(identifier)
        if not session:
            raise NotFound
        return session

    async def end(self, operator: Operator, session_id: str) -> int:
        """End it and its group. Raises NotFound, InsufficientRole."""
        session = await self.get(session_id)
        account = await self._stores.accounts.by_id(session.account_id)
        operator.need_reach(() if account is None else account.roles, self._admin_role)
        reason = EndReason.REVOKED_BY_OPERATOR
        return await self._sessions.end_one(session.id, reason, by=operator.by)

    async def end_before(self, operator: Operator, instant: int) -> int:
        """End every session that was signed in before; how many.

        Raises InsufficientRole for a client: sessions of admins would be among them.
        """
        operator.need_user()
        reason = EndReason.REVOKED_BY_OPERATOR
        return await self._sessions.revoke(Before(instant), reason, by=operator.by)
