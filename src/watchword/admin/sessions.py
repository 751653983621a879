"""Sessions of all accounts, as operators see and end them."""

from __future__ import annotations

from watchword.admin.operators import Operator
from watchword.admin.pages import Cursors, Page
from watchword.core import limits
from watchword.core.session import Session
from watchword.ports import Stores
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
        """Live sessions, newest sign-in first. Raises InvalidRequest."""
        raise NotImplementedError

    async def get(self, session_id: str) -> Session:
        """A session, also one that has ended. Raises NotFound."""
        raise NotImplementedError

    async def end(self, operator: Operator, session_id: str) -> int:
        """End it and its group. Raises NotFound, InsufficientRole."""
        raise NotImplementedError

    async def end_before(self, operator: Operator, instant: int) -> int:
        """End every session that was signed in before; how many.

        Raises InsufficientRole for a client: sessions of admins would be among them.
        """
        raise NotImplementedError
