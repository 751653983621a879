"""What a client keeps of its session, and when it has to refresh. Pure."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from watchword.client.clock import Instant, Random
from watchword.tokens.headers import Scheme

# Shares of an access token's life. When to refresh is drawn anew for each token, so
# that clients which signed in together do not all come back together.
REFRESH_FROM, REFRESH_TO = 0.8, 0.9
# From this share on the token is not sent any more: it might expire on its way.
STALE: Final = 0.95


class StoredRegistration(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The handle of a registration, which proves that this client has asked for it."""

    version: Literal[1] = 1
    issuer: str
    handle: str

    def __repr__(self) -> str:
        return f"StoredRegistration(issuer={self.issuer!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What `rich` prints. It would print the handle otherwise."""
        return [("issuer", self.issuer)]


class StoredSession(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """All that a client keeps of its session, and the content of the token file.

    `life` is how many seconds the access token lives. `fetched_at` is when it was asked
    for, in seconds since the epoch. `retry_key` is set while a refresh is under way.
    `key` (PKCS #8 in PEM) is set where the session is bound to a key that is kept here.
    """

    version: Literal[1] = 1
    issuer: str
    session_id: str
    scheme: Scheme
    access_token: str
    life: float
    fetched_at: float
    refresh_token: str
    retry_key: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return f"StoredSession(issuer={self.issuer!r}, session_id={self.session_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What `rich` prints. It would print all members otherwise, tokens included."""
        return [("issuer", self.issuer), ("session_id", self.session_id)]


class RefreshSchedule(NamedTuple):
    """When an access token was issued, and its ages (s) to refresh and to drop it."""

    since: Instant
    refresh: float
    stale: float

    @classmethod
    def of(
        cls, stored: StoredSession, age: float, now: Instant, random: Random
    ) -> RefreshSchedule:
        """The plan for a token of `age` seconds.

        A token that seems to come from the future is treated as expired.
        """
        if not 0 <= age < stored.life:
            age = stored.life
        share = random.between(REFRESH_FROM, REFRESH_TO)
        # A refresh that was under way when a process died is finished at once, because
        # its retry key is good for a day only.
        refresh = 0 if stored.retry_key else share * stored.life
        since = Instant(now.steady - age, now.wall - age)
        return cls(since, refresh, STALE * stored.life)
