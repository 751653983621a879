"""What caused a change, and why a session ended: words that operators search for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Actor(StrEnum):
    """The kind of caller that a change goes back to."""

    USER = "user"
    """A request over HTTP with the user's own password or token."""

    CLIENT = "client"
    """An OAuth client that authenticated, or named itself where it has no secret."""

    OPERATOR = "operator"
    """A command of `watchword`, run on a machine that can read the store."""

    APP = "app"
    """The code of an application that embeds Watchword."""

    SYSTEM = "system"
    """Watchword itself: reuse of a token, a sign-in taken back, key rotation."""


class By(msgspec.Struct, frozen=True):
    """The caller of a verb that changes something, as the audit log shows it.

    `address` is the network address of the request. `name` is the operating system's
    name of an operator.
    """

    actor: Actor
    address: str = ""
    name: str = ""

    def detail(self, **more: str | int | bool) -> dict[str, str | int | bool]:
        """The `detail` of an audit event: these facts, `by`, and `operator`."""
        named = {"operator": self.name} if self.name else {}
        return {**more, "by": self.actor, **named}


APP: Final = By(Actor.APP)
"""The default of verbs that applications call: every other caller names itself."""

SYSTEM: Final = By(Actor.SYSTEM)


class EndReason(StrEnum):
    """Why a session was revoked: in its row, and in the audit event."""

    LOGOUT = "logout"
    LOGOUT_EVERYWHERE = "logout everywhere"
    ENDED_BY_USER = "ended by user"
    SIGNED_IN_AGAIN = "signed in again"
    REVOKED_BY_CLIENT = "revoked by client"
    REVOKED_BY_OPERATOR = "revoked by operator"
    ENDED_BY_APP = "ended by the app"
    PASSWORD_CHANGED = "password changed"  # noqa: S105 - a reason
    ACCOUNT_DISABLED = "account disabled"
    ACCOUNT_DELETED = "account deleted"
    CLIENT_DISABLED = "client disabled"
    TAKEN_BACK = "taken back"
    """A sign-in that could not be finished, or whose account or client had changed."""

    REUSE = "reuse"
    RESTORED = "restored"
