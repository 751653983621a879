"""Browsers that are signed in at an app's server, and sessions that they let in."""

from __future__ import annotations

from typing import Any

from tests.codes import APP, HOME, SCOPE, SHOP, App
from tests.scenarios.api import PASSWORD
from watchword.core.actor import Actor, By
from watchword.core.session import Authenticated, Session, SessionOptions

USER = By(Actor.USER, HOME)
OFFLINE = (*SCOPE, "offline_access")


class Group:
    """A browser of a user, and the sessions of three clients that it let in.

    They are called `root`, `app`, `shop` and `offline`.
    """

    def __init__(self, app: App, name: str = "alice") -> None:
        self.app = app
        self.engine = app.engine
        self.name = name
        self.cookie = ""
        self.rows: dict[str, Session] = {}
        service = app.engine.self_service
        assert service is not None
        self.browser = service.browser

    async def sign_in(self, name: str | None = None) -> Session:
        """The browser signs in, with the cookie that it has."""
        proof = await self.engine.sign_in.check_password(name or self.name, PASSWORD)
        begun = await self.browser.begin(
            proof, cookie=self.cookie, address=HOME, user_agent="Firefox"
        )
        self.cookie = begun.refresh_token
        return begun.session

    async def begin(self) -> Group:
        root = self.rows["root"] = await self.sign_in()
        for name, client, scope in (
            ("app", APP, SCOPE),
            ("shop", SHOP, SCOPE),
            ("offline", APP, OFFLINE),
        ):
            self.rows[name] = await member_of(self.app, root, client, scope)
        return self

    async def alive(self) -> set[str]:
        """The names of those that live."""
        rows = {name: await self.engine.sessions.get(row.id) for name, row in self}
        return {
            name
            for name, row in rows.items()
            if row is not None
            and row.revoked_at is None
            and self.app.clock() < self.engine.sessions.ends_at(row)
        }

    def __iter__(self) -> Any:
        return iter(self.rows.items())

    def __getitem__(self, name: str) -> Session:
        return self.rows[name]


async def member_of(
    app: App, root: Session, client: str = APP, scope: tuple[str, ...] = SCOPE
) -> Session:
    """A session of a client, as a code of that root makes one."""
    proof = Authenticated(
        root.account_id, root.roles, 0, root.amr, root.acr, root.auth_time
    )
    options = SessionOptions(client_id=client, scope=scope, started_from=root.id)
    return (await app.engine.sessions.start(proof, options, address=HOME)).session
