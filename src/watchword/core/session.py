"""A session: one sign-in on one device, and the policy that it is made under.

A session has one row, whatever the number of its refreshes. It is a value: a change
makes a new session with the next ``version``, and stores write it only where the row
still has the version that it was made from.
"""

from __future__ import annotations

import uuid
from typing import Final, Self

import msgspec

from watchword.core import limits
from watchword.core.actor import EndReason


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The lifetimes of sessions and tokens (ms), and what a retry may do.

    ``access_ttl``, ``grace`` and ``hold_off`` are fixed per session at sign-in; the
    others are read at every refresh, and a longer one never revives a dead session.
    """

    access_ttl: int = limits.ACCESS_TTL
    refresh_idle: int = limits.REFRESH_IDLE
    refresh_absolute: int = limits.REFRESH_ABSOLUTE
    grace: int = 0
    hold_off: int = 0
    retry_window: int = limits.RETRY_WINDOW
    rewind_limit: int = limits.REWIND_LIMIT
    audience: str = "api"
    """The audience of the access tokens of a session that names none itself."""


STRICT: Final = Policy()
"""For tokens in bodies: a spent token without its retry key is reuse at once."""

BROWSER: Final = Policy(grace=limits.BROWSER_GRACE, hold_off=limits.BROWSER_HOLD_OFF)
"""For tokens in cookies: several tabs share one jar, and none can keep a retry key."""


AAL1: Final = "aal1"
"""The `acr` of a sign-in with one factor (NIST SP 800-63B-4 §2.1)."""

AAL2: Final = "aal2"
"""The `acr` of a sign-in with two factors, or with a passkey that checks its user."""

PASSWORD_ALONE: Final = ("pwd",)
"""The `amr` of a sign-in with a password and nothing else (RFC 8176 §2)."""


class Authenticated(msgspec.Struct, frozen=True):
    """What a way in has proved: of which user, by which methods, and when (ms).

    `epoch` is the user's at the beginning of the proof. It rises with each change that
    must end the user's sessions: a session that begins after such a change is taken
    back. `amr` are the methods (RFC 8176), `acr` is the class that they make together.
    """

    account_id: bytes
    roles: tuple[str, ...]
    epoch: int
    amr: tuple[str, ...]
    acr: str
    at: int

    @classmethod
    def by_password(
        cls, account_id: bytes, roles: tuple[str, ...] = (), epoch: int = 0, *, at: int
    ) -> Self:
        """Proved by a password alone."""
        return cls(account_id, roles, epoch, PASSWORD_ALONE, AAL1, at)


class SessionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-in asked for: fixed for the session's life.

    `access_ttl` and `grace` (ms) are the policy's where None, `audience` is the
    policy's where empty. `jkt` is the thumbprint (RFC 7638) of the key that every
    refresh must prove. With `cookie` the refresh token is accepted from a cookie only.
    `started_from` is the id of the browser's sign-in that it comes from: its root.
    """

    client_id: str
    access_ttl: int | None = None
    grace: int | None = None
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    jkt: str | None = None
    cookie: bool = False
    started_from: bytes | None = None


class RequestedToken(msgspec.Struct, frozen=True):
    """What a request wants in its access token: all or a part of what the session has.

    None stands for all. `jkt` is the thumbprint of the key that this request proved.
    """

    scope: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    jkt: str | None = None


EVERYTHING: Final = RequestedToken()


class Session(msgspec.Struct, frozen=True):
    """The row of a session. Instants in milliseconds since the epoch; ids are 16 bytes.

    The fields that `SessionOptions` has too are fixed at sign-in. `amr`, `acr` and
    `auth_time` change where the user proves more, or anew; `authenticated_at` stays.
    """

    id: bytes
    account_id: bytes
    client_id: str
    secret_hash: bytes
    retry_hash: bytes
    generation: int
    version: int
    authenticated_at: int
    rotated_at: int
    idle_expires_at: int
    expires_at: int
    access_ttl: int
    grace: int
    hold_off: int
    roles: tuple[str, ...]
    address: str
    user_agent: str
    revoked_at: int | None = None
    revoked_reason: str | None = None
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    jkt: str | None = None
    amr: tuple[str, ...] = PASSWORD_ALONE
    acr: str = AAL1
    cookie: bool = False
    auth_time: int = 0
    """The instant of the latest proof of the user: the sign-in, or a step-up later."""
    started_from: bytes | None = None
    """Its root: the session of the browser at this server that it comes from."""

    @classmethod
    def started(
        cls,
        authenticated: Authenticated,
        options: SessionOptions,
        policy: Policy,
        *,
        randomness: bytes,
        secret_hash: bytes,
        retry_hash: bytes,
        address: str,
        user_agent: str,
        now: int,
    ) -> Session:
        """The session of a sign-in at `now`. `randomness` is 10 bytes, for its id."""
        grace, hold_off = _leniency(policy, options)
        return cls(
            id=time_ordered_id(now, randomness),
            account_id=authenticated.account_id,
            client_id=options.client_id,
            secret_hash=secret_hash,
            retry_hash=retry_hash,
            generation=0,
            version=0,
            authenticated_at=authenticated.at,
            rotated_at=now,
            idle_expires_at=now + min(policy.refresh_idle, policy.refresh_absolute),
            expires_at=now + policy.refresh_absolute,
            access_ttl=options.access_ttl or policy.access_ttl,
            grace=grace,
            hold_off=hold_off,
            roles=authenticated.roles,
            address=address,
            user_agent=user_agent[: limits.USER_AGENT_MAX],
            scope=options.scope,
            audience=options.audience,
            jkt=options.jkt,
            amr=authenticated.amr,
            acr=authenticated.acr,
            cookie=options.cookie,
            auth_time=authenticated.at,
            started_from=options.started_from,
        )

    @property
    def group(self) -> bytes:
        """The id of its group: that of its root, or its own where it has none."""
        return self.started_from or self.id

    @property
    def sid(self) -> str:
        """The id as its access tokens have it."""
        return as_text(self.id)

    def ends_at(self, policy: Policy) -> int:
        """The instant from which no token of this session works.

        The stored deadlines were made under the policy of their time. The policy of
        today can shorten them, but not extend them.
        """
        return min(
            self.idle_expires_at,
            self.rotated_at + policy.refresh_idle,
            self.expires_at,
            self.authenticated_at + policy.refresh_absolute,
        )

    def renewable_until(self, policy: Policy, now: int) -> int:
        """What `ends_at` would be after a rotation at `now`."""
        return min(
            now + policy.refresh_idle,
            self.expires_at,
            self.authenticated_at + policy.refresh_absolute,
        )

    def seconds_left(self, policy: Policy, now: int) -> int:
        """Whole seconds until the session ends; at least 1, since it is alive now."""
        return max((self.ends_at(policy) - now) // limits.SECOND, 1)

    def rotated(
        self,
        generation: int,
        retry_hash: bytes,
        address: str,
        policy: Policy,
        now: int,
        *,
        early: bool = False,
    ) -> Session:
        """This session after a rotation at `now`.

        The idle lifetime starts anew, the absolute one stays as it was. An `early`
        rotation leaves `rotated_at`: it is the one before that the hold-off and the
        grace of its tokens are counted from.
        """
        return msgspec.structs.replace(
            self,
            generation=generation,
            version=self.version + 1,
            retry_hash=retry_hash,
            rotated_at=self.rotated_at if early else now,
            idle_expires_at=min(now + policy.refresh_idle, self.expires_at),
            address=address,
        )

    def proved(self, proof: Authenticated) -> Session:
        """This session after another proof of its user.

        `auth_time` is the latest proof of the class that `acr` says. So a weaker proof
        changes nothing, nor does one that is older. Methods are added.
        """
        if proof.acr < self.acr or proof.at < self.auth_time:
            return self
        return msgspec.structs.replace(
            self,
            auth_time=proof.at,
            amr=tuple(dict.fromkeys((*self.amr, *proof.amr))),
            acr=proof.acr,
        )

    def signed_in_anew(self, proof: Authenticated) -> Session:
        """This session of a browser after another sign-in of its user.

        As after `proved`, but a weaker proof takes the place of all. It is let in only
        where the user has no second factor any more, and has to count as recent.
        """
        if proof.acr >= self.acr:
            return self.proved(proof)
        return msgspec.structs.replace(
            self, auth_time=proof.at, amr=proof.amr, acr=proof.acr
        )

    def ended(self, reason: EndReason, now: int) -> Session:
        """This session, revoked at `now` for that reason."""
        return msgspec.structs.replace(
            self, version=self.version + 1, revoked_at=now, revoked_reason=reason
        )

    def feed_entry(self) -> Ended:
        """The feed's entry for this revoked session."""
        at = self.revoked_at or 0
        return Ended(self.id, at, known_until(at, self.rotated_at, self.access_ttl))


class Alive(msgspec.Struct, frozen=True):
    """The least value that each instant of a session may have if the session is alive.

    It says what `ends_at` says, in a form that a store can compare its columns with.
    """

    deadline: int
    rotated_at: int
    authenticated_at: int

    @classmethod
    def at(cls, now: int, policy: Policy) -> Alive:
        """The sessions that end after `now`."""
        least = now + 1
        return cls(least, least - policy.refresh_idle, least - policy.refresh_absolute)

    def includes(self, session: Session) -> bool:
        """Whether the session is neither revoked nor expired."""
        return (
            session.revoked_at is None
            and session.idle_expires_at >= self.deadline
            and session.expires_at >= self.deadline
            and session.rotated_at >= self.rotated_at
            and session.authenticated_at >= self.authenticated_at
        )


def _leniency(policy: Policy, options: SessionOptions) -> tuple[int, int]:
    """The grace and the hold-off (ms) of a session.

    They are for clients that cannot send a retry key.
    """
    grace = policy.grace if options.grace is None else options.grace
    hold_off = policy.hold_off
    if options.jkt is not None:  # its key is proved at every refresh
        grace = max(grace, limits.DPOP_GRACE)
    if options.cookie:
        grace = max(grace, BROWSER.grace)
        # An answer may come as late as the grace allows, and its cookie stays in the
        # browser until the next answer. The token in that cookie must not have been
        # rotated away before the browser sends it.
        hold_off = grace + BROWSER.hold_off - BROWSER.grace
    return grace, hold_off


class Ended(msgspec.Struct, frozen=True):
    """An entry of the revocation feed: this session ended before its time.

    From ``until`` on its last access token has expired and the entry may be dropped.
    """

    session_id: bytes
    at: int
    until: int


def known_until(at: int, rotated_at: int, access_ttl: int) -> int:
    """Until when a session that ended must be remembered.

    All times are in milliseconds. The later of `at` and `rotated_at` counts: the last
    access token may have been issued while the end was being written, or by a clock
    that has been set back since.
    """
    return max(at, rotated_at) + access_ttl + limits.FEED_LEEWAY


class TokenSet(msgspec.Struct, frozen=True):
    """What a client gets: an access token for the API, and a refresh token.

    `expires_in` and `refresh_expires_in` are whole seconds from now. `scope` is that of
    the access token. `bound` says that the token works with a DPoP proof only.
    """

    session: Session
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    scope: tuple[str, ...] = ()
    bound: bool = False


def as_text(identifier: bytes) -> str:
    """An id as tokens and answers show it: the canonical form of a UUID."""
    digits = identifier.hex()  # four times as fast as through uuid.UUID
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def from_text(text: str) -> bytes | None:
    """The id that ``as_text`` gave; None for any other spelling."""
    try:
        identifier = uuid.UUID(text)
    except ValueError:
        return None
    return identifier.bytes if str(identifier) == text else None


def time_ordered_id(now: int, randomness: bytes) -> bytes:
    """A UUID of version 7 (RFC 9562 §5.7) from an instant and 10 random bytes.

    It is an identifier, never a secret. Time order keeps new rows side by side in the
    store.
    """
    stamp = (now & (2**48 - 1)).to_bytes(6)
    return (
        stamp
        + bytes([0x70 | randomness[0] & 0x0F, randomness[1]])
        + bytes([0x80 | randomness[2] & 0x3F])
        + randomness[3:10]
    )
