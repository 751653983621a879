"""Contract: what operators look for among many events, accounts and invitations."""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from watchword.core.limits import AUDIT_DISORDER, MINUTE
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, EventFilter, EventType, Trail
from watchword.ports.confirmations import Confirmation, Purpose
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_confirmation,
    a_trail,
    an_account,
    identifier,
    with_address,
)

_CREATED: Final = a_trail(EventType.ACCOUNT_CREATED)
_KINDS: Final = (
    EventType.SIGN_IN,
    EventType.SIGN_IN_FAILED,
    EventType.TOKEN_REUSE,
    EventType.SESSION_REVOKED,
)
_FAILED: Final = frozenset({EventType.SIGN_IN_FAILED})
_LOGGED: Final = [
    Event(
        type=_KINDS[number % 4],
        # One in three was recorded later than it happened.
        at=START + number * MINUTE - (number % 3 == 0) * AUDIT_DISORDER,
        account_id=identifier(number % 5) if number % 5 else None,
        session_id=identifier(number % 7, "session") if number % 7 else None,
        address="192.0.2.1" if number % 3 else "",
    )
    for number in range(150)
]
_SEVERAL: Final = frozenset({*_FAILED, EventType.TOKEN_REUSE, EventType.MAIL_FAILED})
_FILTERS: Final = (
    EventFilter(),
    EventFilter(types=_FAILED),
    EventFilter(types=_SEVERAL),
    EventFilter(account_id=identifier(2)),
    EventFilter(session_id=identifier(3, "session")),
    EventFilter(address="192.0.2.1"),
    EventFilter(address="192.0.2.1", types=_FAILED),
    EventFilter(account_id=identifier(2), session_id=identifier(3, "session")),
    EventFilter(account_id=identifier(1), types=_FAILED, address="192.0.2.1"),
    EventFilter(since=START + 60 * MINUTE),
    EventFilter(until=START + 60 * MINUTE, types=_SEVERAL),
    EventFilter(since=START + 20 * MINUTE, until=START + 40 * MINUTE),
    EventFilter(since=START + 20 * MINUTE, account_id=identifier(3)),
    EventFilter(since=START + 900 * MINUTE),
    EventFilter(until=START - 900 * MINUTE),
    EventFilter(types=frozenset({EventType.MAIL_FAILED})),
    EventFilter(account_id=identifier(99)),
    EventFilter(address="\0"),
    EventFilter(address="\ud800"),
)
# In the order of their bytes, which is not that of UTF-16. Some are patterns in SQL.
_NAMES: Final = (
    *("%", "a", "a%b", "a_b", "aa", "ab", "ab\\", "abc", "b", "ba"),
    *("\u00e9", "\ue000", "\uffee", "\U0001f600"),
)


async def _events(stores: Stores, wanted: EventFilter) -> list[Event]:
    """The events of all pages. Others are recorded between two pages."""
    found: list[Event] = []
    page = await stores.audit.search(wanted, limit=15, look=60)
    while True:
        assert len(page.events) <= 15
        found += [event for _, event in page.events]
        if page.onward is None:
            return found
        await stores.audit.record(_LOGGED[0])
        page = await stores.audit.search(wanted, before=page.onward, limit=15, look=60)


async def _accounts(
    stores: Stores,
    prefix: str = "",
    role: str | None = None,
    disabled: bool | None = None,  # noqa: FBT001 - as it is drawn from a table
) -> list[Account]:
    """The accounts of all pages."""
    found: list[Account] = []
    after: str | None = ""
    while after is not None:
        page = await stores.accounts.search(
            prefix, after=after, limit=3, look=6, role=role, disabled=disabled
        )
        assert len(page.accounts) <= 3
        found += page.accounts
        after = page.onward
    return found


class Searches(OnAStore):
    """Each is a walk of one index, whatever is asked for, a page at a time."""

    async def test_events_are_found_by_what_is_asked_for(self, stores: Stores) -> None:
        """Newest first and each once, by each field, by several and by time."""
        logged = [(f"{n}", event) for n, event in enumerate(_LOGGED)]
        await stores.audit.adopt(logged)
        for wanted in _FILTERS:
            meant = [event for event in _LOGGED[::-1] if wanted.includes(event)]
            # What the pages of a walk record is newer than where it began.
            found = await _events(stores, wanted)
            assert found[len(found) - len(meant) :] == meant, wanted

    async def test_event_search_looks_at_so_many_rows_and_no_more(
        self, stores: Stores
    ) -> None:
        """A page may be empty: it says where the next one goes on."""
        mine = Event(type=EventType.SIGN_IN, at=START, account_id=identifier(1))
        other = msgspec.structs.replace(mine, type=EventType.STEP_UP)
        logged = [mine, *[other] * 50]
        await stores.audit.adopt([(f"{n}", event) for n, event in enumerate(logged)])
        wanted = EventFilter(account_id=identifier(1), types=frozenset({mine.type}))
        page = await stores.audit.search(wanted, limit=5, look=20)
        assert page.events == []
        assert page.onward is not None
        found = await stores.audit.search(
            wanted, before=page.onward, limit=5, look=1000
        )
        assert ([event for _, event in found.events], found.onward) == ([mine], None)

    async def test_accounts_are_found_by_how_name_or_address_begins(
        self, stores: Stores
    ) -> None:
        """Once each, by name where both do, in the order of bytes, not as patterns."""
        rows: Mapping[str, Account] = {
            name: an_account(name, number) for number, name in enumerate(_NAMES)
        }
        rows = {
            **rows,
            "b@x.org": with_address(an_account("c", 90), "b@x.org"),
            "a@x.org": with_address(an_account("d", 91), "a@x.org"),
            "bb": with_address(an_account("bb", 92), "bc@x.org"),
        }
        for row in rows.values():
            await stores.accounts.add(row, _CREATED)
        for prefix in ("a", "b", "ab", "a%", "a_", "ab\\", "\u00e9", "\U0001f600", "z"):
            found = [rows[key] for key in sorted(rows) if key.startswith(prefix)]
            assert await _accounts(stores, prefix) == found, prefix
        by_name = sorted(rows.values(), key=lambda row: row.name)
        assert await _accounts(stores) == by_name
        for strange in ("\0", "a\0", "\ud800", "a\udfff", "\U0010ffff"):
            assert await _accounts(stores, strange) == []

    async def test_accounts_are_found_by_role_and_whether_disabled(
        self, stores: Stores
    ) -> None:
        """By the roles and the name that an account has now, not by parts of them."""
        rows = [
            an_account(
                f"user{number}",
                number,
                roles=(("ad", "min"), ("admin",), ("admin", "clerk"), ())[number % 4],
                disabled=number % 3 == 0,
            )
            for number in range(10)
        ]
        for row in rows:
            await stores.accounts.add(row, _CREATED)
        replace = msgspec.structs.replace
        renamed = replace(rows[1], name="z", version=1)
        demoted = replace(rows[2], roles=("clerk",), version=1)
        promoted = replace(rows[3], roles=("admin",), version=1)
        for before, after in (
            (rows[1], renamed),
            (rows[2], demoted),
            (rows[3], promoted),
            (rows[5], None),
        ):
            assert await stores.accounts.swap(before, after, _CREATED)
        there = [rows[0], demoted, promoted, rows[4], *rows[6:], renamed]
        for role in (None, "admin", "ad", "clerk", "min", "\0", "\ud800"):
            for disabled in (None, True, False):
                for prefix in ("", "user"):
                    found = await _accounts(stores, prefix, role, disabled)
                    assert found == [
                        row
                        for row in there
                        if row.name.startswith(prefix)
                        and role in {None, *row.roles}
                        and disabled in {None, row.disabled}
                    ], (role, disabled, prefix)

    async def test_account_search_looks_at_so_many_rows_and_no_more(
        self, stores: Stores
    ) -> None:
        """A page may be empty: it says where the next one goes on."""
        rows = [an_account(f"a{number:02}", number) for number in range(30)]
        rows[29] = msgspec.structs.replace(rows[29], roles=("admin",))
        for row in rows:
            await stores.accounts.add(row, Trail())
        page = await stores.accounts.search("a", role="admin", limit=2, look=10)
        assert page.accounts == []
        assert page.onward is not None
        page = await stores.accounts.search(
            "a", after=page.onward, role="admin", limit=2, look=100
        )
        assert (page.accounts, page.onward) == ([rows[29]], None)

    async def test_invitations_are_listed_newest_first(self, stores: Stores) -> None:
        """Page by page, those of one instant too, and no other confirmations."""
        rows = [
            a_confirmation(
                number, Purpose.INVITATION, account=None, at=START + number // 3
            )
            for number in range(8)
        ]
        reset = a_confirmation(9)
        for row in (*rows, reset):
            await stores.confirmations.add(row, Trail())
        listed: list[Confirmation] = []
        while page := await stores.confirmations.invitations(
            before=(listed[-1].created_at, listed[-1].token_hash) if listed else None,
            limit=3,
        ):
            assert len(page) <= 3
            listed += page
        assert listed == sorted(
            rows, key=lambda row: (row.created_at, row.token_hash), reverse=True
        )

    async def test_invitation_is_withdrawn_once(self, stores: Stores) -> None:
        """With its event; another confirmation is not, and nothing is written."""
        invitation = a_confirmation(1, Purpose.INVITATION, account=None)
        reset = a_confirmation(2)
        for row in (invitation, reset):
            await stores.confirmations.add(row, Trail())
        trail = a_trail(EventType.INVITED)
        assert not await stores.confirmations.withdraw(reset.token_hash, trail)
        assert await stores.confirmations.withdraw(invitation.token_hash, trail)
        assert not await stores.confirmations.withdraw(invitation.token_hash, trail)
        assert await stores.confirmations.by_token(invitation.token_hash) is None
        assert await stores.confirmations.by_token(reset.token_hash) == reset
        assert [event for _, event in await stores.audit.read(0, 9)] == [*trail.events]
