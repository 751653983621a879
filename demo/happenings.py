"""What has happened to accounts and sessions, each with its time and its write."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from demo.clients import CLIENTS
from demo.people import Person, network, people
from demo.traffic import busy
from watchword.bootstrap import Watchword
from watchword.core.actor import SYSTEM, Actor, By, EndReason
from watchword.core.limits import DAY, HOUR, INVITATION_LIFE, MINUTE
from watchword.core.policies import PAGES
from watchword.core.session import (
    AAL1,
    AAL2,
    PASSWORD_ALONE,
    Authenticated,
    Policy,
    Session,
    SessionOptions,
)
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.confirmations import Confirmation, Purpose
from watchword.ports.consents import Consent

SESSIONS: Final = 10_600
FAILED: Final = 1_700
ENDED: Final = 6_000

_WEEK: Final = 7 * DAY
_BOTH: Final = ("pwd", "otp", "mfa")
_APPS: Final = ("tide-tables", "berth-planner", PAGES, "grafana", "watchword-cli")
_SHARES: Final = (60, 22, 12, 3, 3)
Write = tuple[int, Callable[[], Awaitable[Any]]]


class Happenings:
    """All of a week, for the stores of an engine. `admin` is the first account."""

    def __init__(
        self, engine: Watchword, draw: random.Random, now: int, admin: Person, by: By
    ) -> None:
        self._engine = engine
        self._stores = engine.stores
        self._draw = draw
        self._now = now
        self._admin = admin
        self._by = by
        self._people = people(draw, now)
        begin = (now - 8 * HOUR) // MINUTE * MINUTE
        self.attack = (begin, begin + 40 * MINUTE)
        self.reuses: set[int] = set()

    def writes(self) -> list[Write]:
        """All of them, in order of time."""
        found = [
            *self._accounts(),
            *self._sessions(),
            *self._failures(),
            *self._reused(),
            *self._notable(),
            *self._invitations(),
        ]
        return sorted(found, key=lambda one: one[0])

    def _accounts(self) -> Iterator[Write]:
        """Accounts, their factors, and what they allow apps."""
        for one in self._people:
            yield one.account.created_at, self._added(one)
            if one.factors:
                yield one.factors[0].created_at, self._factors_added(one)
            if self._draw.random() < 0.3:
                at = self._between(one.account.created_at)
                yield at, self._consent(one.account, at)

    def _added(self, one: Person) -> Callable[[], Awaitable[Any]]:
        account = one.account
        event = Event(
            type=EventType.ACCOUNT_CREATED,
            at=account.created_at,
            account_id=account.id,
            address=one.address,
            detail=By(Actor.USER).detail(),
        )
        is_new = account.created_at > self._now - _WEEK
        trail = Trail((event,)) if is_new else Trail()
        return lambda: self._stores.accounts.add(account, trail)

    def _factors_added(self, one: Person) -> Callable[[], Awaitable[Any]]:
        sealing, first = self._engine.credential_sealing, one.factors[0]
        sealed = sealing.seal(self._draw.randbytes(20), first.account_id + first.id)
        rows = [replace(first, sealed=sealed), *one.factors[1:]]
        event = Event(
            type=EventType.FACTOR_ADDED,
            at=first.created_at,
            account_id=one.account.id,
            address=one.address,
            detail=By(Actor.USER).detail(kind="totp"),
        )
        is_new = first.created_at > self._now - _WEEK
        trail = Trail((event,)) if is_new else Trail()
        return lambda: self._stores.credentials.add(rows, trail)

    def _consent(self, account: Account, at: int) -> Callable[[], Awaitable[Any]]:
        client_id = self._draw.choice(("tide-tables", "berth-planner"))
        consent = Consent(
            account_id=account.id,
            client_id=client_id,
            scope=tuple(CLIENTS[client_id]["scope"]),
            resource=(),
            created_at=at,
            used_at=at + int(self._draw.random() * (self._now - at)),
        )
        event = Event(
            type=EventType.CONSENT_GIVEN,
            at=at,
            account_id=account.id,
            client_id=client_id,
            detail=By(Actor.USER).detail(scope=" ".join(consent.scope)),
        )
        is_new = at > self._now - _WEEK
        return lambda: self._stores.consents.put(consent, event if is_new else None)

    def _sessions(self) -> Iterator[Write]:
        """Those that live, and those of the week that have ended."""
        some = [one for one in self._people if not one.account.disabled]
        for k in range(SESSIONS + ENDED):
            one = self._admin if k < 2 else some[self._draw.randrange(len(some))]
            at = self._between(max(one.account.created_at, self._now - _WEEK))
            session = self._session(one, at)
            event = Event.about(
                EventType.SIGN_IN,
                session,
                session.address,
                at,
                **By(Actor.USER).detail(acr=session.acr, amr=" ".join(session.amr)),
            )
            if k < SESSIONS:
                yield at, self._created(session, event)
                continue
            yield at, self._recorded(event)
            until = self._between(at)
            reason = self._draw.choice(
                (EndReason.LOGOUT, EndReason.LOGOUT, EndReason.ENDED_BY_USER)
            )
            yield (
                until,
                self._recorded(
                    Event.about(
                        EventType.SESSION_REVOKED,
                        session,
                        session.address,
                        until,
                        **By(Actor.USER).detail(reason=reason),
                    )
                ),
            )

    def _session(self, one: Person, at: int) -> Session:
        (client_id,) = self._draw.choices(_APPS, _SHARES)
        proved = Authenticated(
            one.account.id,
            one.account.roles,
            one.account.epoch,
            _BOTH if one.is_strong else PASSWORD_ALONE,
            AAL2 if one.is_strong else AAL1,
            at,
        )
        policy = Policy(refresh_idle=14 * DAY, refresh_absolute=60 * DAY)
        started = Session.started(
            proved,
            SessionOptions(client_id=client_id, scope=("openid",)),
            policy,
            randomness=self._draw.randbytes(10),
            secret_hash=self._draw.randbytes(32),
            retry_hash=self._draw.randbytes(32),
            address=one.address,
            user_agent=one.device,
            now=at,
        )
        used = self._between(at)
        return replace(started, generation=7, rotated_at=used)

    def _created(self, session: Session, event: Event) -> Callable[[], Awaitable[Any]]:
        return lambda: self._stores.sessions.create(session, event)

    def _recorded(self, event: Event) -> Callable[[], Awaitable[Any]]:
        return lambda: self._stores.audit.record(event)

    def _failures(self) -> Iterator[Write]:
        """Wrong passwords of a week, and a network that guesses for 40 minutes."""
        begin, end = self.attack
        for _ in range(FAILED):
            at = self._between(self._now - _WEEK)
            one = self._draw.choice(self._people)
            yield (
                at,
                self._recorded(
                    Event(
                        type=EventType.SIGN_IN_FAILED,
                        at=at,
                        account_id=one.account.id
                        if self._draw.random() < 0.8
                        else None,
                        address=one.address,
                    )
                ),
            )
        for at in range(begin, end, MINUTE):
            kind = EventType.SIGN_IN_THROTTLED
            event = Event(type=kind, at=at, address="192.0.2.118")
            yield at, self._recorded(event)

    def _reused(self) -> Iterator[Write]:
        """Two a day of spent tokens that came again, each from another network."""
        for k in range(9):
            at = self._now - int((0.2 + 0.6 * k + 0.2 * self._draw.random()) * DAY)
            self.reuses.add(at // MINUTE * MINUTE)
            one = self._draw.choice(self._people)
            session = self._session(one, at - HOUR)
            yield (
                at,
                self._recorded(
                    Event.about(
                        EventType.TOKEN_REUSE,
                        session,
                        network(self._draw),
                        at,
                        **SYSTEM.detail(reason=EndReason.REUSE),
                        presented=6,
                        current=7,
                        rotated_from=one.address,
                    )
                ),
            )

    def _notable(self) -> Iterator[Write]:
        """What operators and others did, and what failed."""
        by = self._by
        some = self._people[::997]
        for k, one in enumerate(some):
            at = self._now - int((k + 0.4) * 0.6 * DAY)
            yield (
                at,
                self._recorded(
                    Event(
                        type=EventType.ACCOUNT_CHANGED,
                        at=at,
                        account_id=one.account.id,
                        address=by.address,
                        detail=by.detail(change="roles"),
                    )
                ),
            )
        of_minutes: tuple[tuple[EventType, int, dict[str, Any]], ...] = (
            (EventType.PASSWORD_CHANGED, 41, By(Actor.USER).detail()),
            (
                EventType.NEW_NETWORK,
                130,
                {"by": "user", "user_agent": self._admin.device},
            ),
            (EventType.CLIENT_CHANGED, 190, by.detail(change="secret")),
            (EventType.CLIENT_FAILED, 700, {"reason": "secret", "throttled": False}),
            (EventType.MAIL_FAILED, 2100, {"purpose": "reset", "reason": "550"}),
            (EventType.TOKEN_REWOUND, 3300, {**SYSTEM.detail(), "lost": 1}),
        )
        for kind, ago, detail in of_minutes:
            at = self._now - ago * MINUTE
            is_client = kind in {EventType.CLIENT_CHANGED, EventType.CLIENT_FAILED}
            yield (
                at,
                self._recorded(
                    Event(
                        type=kind,
                        at=at,
                        account_id=None if is_client else self._admin.account.id,
                        client_id="grafana" if is_client else None,
                        address=by.address,
                        detail=detail,
                    )
                ),
            )

    def _invitations(self) -> Iterator[Write]:
        """Some that are open."""
        names = ("mira.halvorsen", "jo.tan", "wilhelmina.von-und-zu-oberkirchner")
        for k, name in enumerate(names):
            at = self._now - (k + 1) * DAY
            address = f"{name}@north-basin.harbour.example"
            roles = ("harbour-pilot",) if k else ()
            row = Confirmation(
                token_hash=self._draw.randbytes(32),
                account_id=None,
                purpose=Purpose.INVITATION,
                email=address,
                email_key=address,
                created_at=at,
                until=at + INVITATION_LIFE,
                roles=roles,
            )
            event = Event(
                type=EventType.INVITED,
                at=at,
                address=self._by.address,
                detail=self._by.detail(roles=" ".join(roles)),
            )
            yield at, self._invited(row, event)

    def _invited(self, row: Confirmation, event: Event) -> Callable[[], Awaitable[Any]]:
        return lambda: self._stores.confirmations.add(row, Trail((event,)))

    def _between(self, begin: int) -> int:
        """An instant from then until now, when there is something going on."""
        while True:
            at = begin + int(self._draw.random() * (self._now - begin))
            if self._draw.random() * 2 < busy(at):
                return at
