"""What caused a change, and why a session ended: words that operators search for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Actor(StrEnum):
    """The kind of caller that caused a change."""

    USER = "user"
    """A request over HTTP with the user's own password or token."""

    CLIENT = "client"
    """An OAuth client: it authenticated or, if it has no secret, gave its id."""

    OPERATOR = "operator"
    """A command of `watchword`, run on a machine that can read the store."""

    APP = "app"
    """The code of an application that embeds Watchword."""

    ADMIN = "admin"
    """A user with the admin role, by the admin API or the console."""

    SYSTEM = "system"
    """Watchword itself: it detected reuse, took a sign-in back, or rotated keys."""


class By(msgspec.Struct, frozen=True):
    """The caller of a verb that changes something, as the audit log shows it.

    `address` is the network address of the request. `name` is the operating system's
    name of an operator, the subject of an admin, or the id of a client.
    """

    actor: Actor
    address: str = ""
    name: str = ""

    def detail(self, **more: str | int | bool) -> dict[str, str | int | bool]:
        """The `detail` of an audit event: `more`, the actor as `by`, and a name.

        The name is in `operator`, and only where there is one.
        """
        named = {"operator": self.name} if self.name else {}
        return {**more, "by": self.actor, **named}


APP: Final = By(Actor.APP)
"""The default of verbs that applications call. Every other caller passes its own."""

SYSTEM: Final = By(Actor.SYSTEM)


class EndReason(StrEnum):
    """Why a session was revoked, as its row and the audit event have it."""

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
    SESSIONS_MAX = "too many sessions"
    """A sign-in of the account left no room: `WATCHWORD_SESSIONS_MAX`."""

    TAKEN_BACK = "taken back"
    """The sign-in could not be finished, or its account or client had changed."""

    FACTOR_ADDED = "factor added"
    FACTOR_REQUIRED = "factor required"
    """Sessions that began without a second factor, now that there is one."""

    FACTORS_RESET = "factors reset"
    REUSE = "reuse"
    CODE_REUSED = "code_reused"
    """An authorization code came a second time (RFC 6749 §4.1.2)."""

    CONSENT_WITHDRAWN = "consent withdrawn"
    GROUP_ENDED = "group ended"
    """The sign-in that the session comes from had ended."""

    MEMBERS_MAX = "too many of the client"
    """One sign-in of a browser has so many sessions of a client at most."""

    RESTORED = "restored"
