"""Contract: second factors, recovery codes and whatever else is a credential.

Each test is one promise of the port, or of those that delete its rows.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from watchword.core.limits import DAY
from watchword.errors import SecondFactorInvalid
from watchword.ports import Stores
from watchword.ports.audit import EventType, Trail
from watchword.ports.credentials import Credential, CredentialKind, Spending
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_credential,
    a_limit,
    a_message,
    a_session,
    a_trail,
    an_account,
    identifier,
    living,
    put,
    sign_in,
    sweep_up,
)

TOTP: Final = CredentialKind.TOTP
PASSKEY: Final = CredentialKind.PASSKEY
CODE: Final = CredentialKind.RECOVERY_CODE
ENROLMENT: Final = CredentialKind.ENROLMENT
EVERY_KIND: Final = tuple(CredentialKind)
ADA: Final = an_account()
ADDED: Final = a_trail(EventType.FACTOR_ADDED)
REMOVED: Final = a_trail(EventType.FACTOR_REMOVED)
_USED: Final = a_trail(EventType.RECOVERY_CODE_USED)


async def having(stores: Stores, *rows: Credential) -> None:
    """Write these rows, without any event."""
    for row in rows:
        assert await stores.credentials.add([row], Trail())


async def left(stores: Stores, account: int = 1) -> list[Credential]:
    """What the account has."""
    return await stores.credentials.of_account(identifier(account))


def moved(row: Credential, **fields: Any) -> Credential:  # noqa: ANN401
    """The row as its next version."""
    return msgspec.structs.replace(row, version=row.version + 1, **fields)


async def entered(stores: Stores, number: int, code: Credential) -> bool:
    """Whether a session could be made with that code."""
    session = a_session(number)
    try:
        await stores.sessions.create(
            session, sign_in(session), spends=Spending(code, _USED)
        )
    except SecondFactorInvalid:
        return False
    return True


class Credentials(OnAStore):
    """One table for all that users prove themselves by, besides a password."""

    async def test_credential_is_found_by_key_and_by_account(
        self, stores: Stores
    ) -> None:
        """It comes back as it was added, the oldest first, with event and message."""
        full = a_credential(
            *(1, PASSKEY),
            label="Ada's ключ",
            sealed=bytes(range(256)),
            used_at=START,
            until=START + 1,
            step=2**40,
            version=7,
            created_at=START + 1,
        )
        rows = [full, *(a_credential(n, k) for n, k in enumerate(EVERY_KIND, 2))]
        others = a_credential(99, account=2)
        trail = a_trail(EventType.FACTOR_ADDED, a_message())
        assert await stores.credentials.add(rows, trail)
        await having(stores, others)
        assert await left(stores) == [*rows[1:], full]
        assert await left(stores, 2) == [others]
        find = stores.credentials.by_key
        for row in (*rows, others):
            assert await find(row.kind, row.key) == (row if row.key else None)
        assert await find(TOTP, full.key) is None
        assert [one.message for one in await stores.outbox.list(limit=9)] == [
            a_message()
        ]
        assert await stores.audit.last() == 1

    async def test_addition_takes_the_place_of_what_it_replaces_and_spends(
        self, stores: Stores
    ) -> None:
        """A set of codes replaces the one before; an enrolment goes with its factor."""
        old, new = ([a_credential(n, CODE) for n in range(s, s + 3)] for s in (1, 10))
        token = a_credential(20, ENROLMENT)
        totp, others = a_credential(30), a_credential(40, CODE, account=2)
        await having(stores, *old, token, others)
        assert await stores.credentials.add(
            [totp, *new], ADDED, replaces=[CODE, ENROLMENT], spends=token
        )
        assert await left(stores) == [*new, totp]
        assert await left(stores, 2) == [others]
        # The last factor goes, and the codes with it: nothing is added.
        assert await stores.credentials.add(
            [], REMOVED, replaces=[CODE], spends=totp, seen=[totp.id]
        )
        assert await left(stores) == []
        assert await stores.audit.last() == 2

    async def test_refused_addition_writes_nothing(self, stores: Stores) -> None:
        """Neither the rows that could be added nor what they would have replaced."""
        totp, passkey = a_credential(1), a_credential(2, PASSKEY)
        code, token = a_credential(3, CODE), a_credential(4, ENROLMENT)
        others = a_credential(9, PASSKEY, account=2)
        rows = [totp, passkey, code, token]
        await having(stores, *rows, others)
        free = a_credential(5, PASSKEY)
        stale, gone = moved(token), a_credential(6, ENROLMENT)
        seen = [totp.id, passkey.id]
        refused: Sequence[tuple[list[Credential], dict[str, Any]]] = [
            ([a_credential(5, id=totp.id)], {}),
            ([a_credential(5, id=others.id)], {}),
            ([a_credential(5, PASSKEY, key=passkey.key)], {}),
            ([a_credential(5, PASSKEY, key=others.key)], {}),
            ([free, a_credential(7, PASSKEY)], {"at_most": 2}),
            ([free], {"at_most": 1}),
            ([free], {"spends": stale}),
            ([free], {"spends": gone}),
            ([], {"spends": gone}),
            ([free], {"seen": []}),
            ([free], {"seen": seen[:1]}),
            ([free], {"seen": [*seen, others.id]}),
            ([], {"spends": passkey, "seen": [passkey.id]}),
        ]
        for added, options in refused:
            assert not await stores.credentials.add(
                [a_credential(8), *added] if added else [],
                ADDED,
                **{"replaces": [CODE], **options},
            ), options
        assert await left(stores) == rows
        assert await stores.audit.last() == 0
        assert await stores.credentials.add(
            [free], ADDED, at_most=2, spends=token, seen=seen
        )

    async def test_swap_wants_the_version_that_was_read(self, stores: Stores) -> None:
        """A row is used, renamed or deleted once for each version, with its event."""
        row, others = a_credential(1, sealed=b"secret"), a_credential(2)
        await having(stores, row, others)
        used = moved(row, label="phone", sealed=b"new", used_at=START, step=7)
        assert await stores.credentials.swap(row, used, ADDED)
        for after in (used, moved(row, step=9), None):
            assert not await stores.credentials.swap(row, after, ADDED)
        assert await left(stores) == [used, others]
        assert await stores.credentials.swap(used, None, REMOVED)
        for after in (moved(used), None):
            assert not await stores.credentials.swap(used, after, REMOVED)
        assert await left(stores) == [others]
        assert await stores.audit.last() == 2

    async def test_drop_leaves_what_an_operator_demands(self, stores: Stores) -> None:
        """Factors, codes, enrolments and the handle go; demand and epoch stay."""
        rows = [a_credential(number, kind) for number, kind in enumerate(EVERY_KIND)]
        others = a_credential(99, account=2)
        await having(stores, *rows, others)
        assert await stores.credentials.drop(identifier(1), REMOVED) == 2
        kept = {CredentialKind.DEMAND, CredentialKind.EPOCH}
        assert await left(stores) == [row for row in rows if row.kind in kept]
        assert await left(stores, 2) == [others]
        assert await stores.credentials.drop(identifier(1), Trail()) == 0
        assert await stores.audit.last() == 1

    async def test_sealed_contents_are_counted_and_sealed_anew(
        self, stores: Stores
    ) -> None:
        """Not where they have changed; a swap of what was read before misses."""
        rows = [
            a_credential(number, sealed=secret * 8 + bytes(number))
            for number, secret in enumerate((b"a", b"b", b"a"))
        ]
        await having(stores, *rows, a_credential(9, CODE))
        assert await stores.credentials.sealed_under() == {b"a" * 8: 2, b"b" * 8: 1}
        page = await stores.credentials.sealed(after=b"", limit=2)
        assert page == rows[:2]
        assert await stores.credentials.sealed(after=page[-1].id, limit=2) == rows[2:]
        new = b"b" * 8 + b"new"
        await stores.credentials.reseal(
            {
                rows[0].id: (rows[0].sealed, new),
                rows[2].id: (b"another", new),
                identifier(9): (b"", new),
            }
        )
        assert await left(stores) == [
            moved(rows[0], sealed=new),
            *rows[1:],
            a_credential(9, CODE),
        ]
        assert not await stores.credentials.swap(rows[0], moved(rows[0]), ADDED)

    async def test_code_that_is_gone_makes_no_session(self, stores: Stores) -> None:
        """Then no other session ends either, and nothing is recorded."""
        code, stale = a_credential(1, CODE), a_credential(2, CODE)
        await having(stores, code, moved(stale))
        await put(stores, a_session(90))
        assert await entered(stores, 1, code)
        last = await stores.audit.last()
        assert last == 3
        for number, gone in enumerate((code, stale), 2):
            session = a_session(number)
            for limit in (None, a_limit(1)):
                with pytest.raises(SecondFactorInvalid):
                    await stores.sessions.create(
                        session, sign_in(session), limit, Spending(gone, _USED)
                    )
        rows = await living(stores)
        assert {row.id for row in rows} == {a_session(n).id for n in (1, 90)}
        assert await stores.audit.last() == last
        third = a_session(95)
        ended = await stores.sessions.create(
            third, sign_in(third), a_limit(1), Spending(moved(stale), _USED)
        )
        assert [one.session_id for one in ended] == sorted(row.id for row in rows)
        assert await left(stores) == []

    async def test_account_changes_with_its_code_or_not_at_all(
        self, stores: Stores
    ) -> None:
        """A new password spends a recovery code; a stale change spends none."""
        await stores.accounts.add(ADA, a_trail(EventType.ACCOUNT_CREATED))
        codes = [a_credential(number, CODE) for number in (1, 2)]
        await having(stores, *codes)
        after = msgspec.structs.replace(ADA, epoch=1, version=1)
        stale = msgspec.structs.replace(after, version=9)
        trail = a_trail(EventType.PASSWORD_CHANGED)
        swap = stores.accounts.swap
        assert not await swap(stale, after, trail, spends_code=codes[0])
        assert await left(stores) == codes
        assert await swap(ADA, after, trail, spends_code=codes[0])
        later = msgspec.structs.replace(after, version=2)
        with pytest.raises(SecondFactorInvalid):
            await swap(after, later, trail, spends_code=codes[0])
        assert await stores.accounts.by_id(ADA.id) == after
        assert await left(stores) == codes[1:]
        assert await stores.audit.last() == 2

    @pytest.mark.parametrize("older", [(), (TOTP,), (PASSKEY,)])
    async def test_change_takes_along_what_a_thief_has_added(
        self, stores: Stores, older: tuple[CredentialKind, ...]
    ) -> None:
        """Codes of before stay where a factor of before stays, and only there."""
        await stores.accounts.add(ADA, a_trail(EventType.ACCOUNT_CREATED))
        before = [a_credential(n, kind) for n, kind in enumerate((*older, CODE), 1)]
        late = [
            a_credential(number, kind, created_at=START + 1)
            for number, kind in enumerate(EVERY_KIND, 10)
        ]
        others = a_credential(90, account=2, created_at=START + 1)
        await having(stores, *before, *late, others)
        back = msgspec.structs.replace(ADA, epoch=1, version=1)
        assert await stores.accounts.swap(
            ADA, back, REMOVED, drops_factors_after=START + 1
        )
        stays = {CredentialKind.HANDLE, CredentialKind.DEMAND, CredentialKind.EPOCH}
        kept = [row for row in late if row.kind in stays]
        assert await left(stores) == [*(before if older else []), *kept]
        assert await left(stores, 2) == [others]

    async def test_credentials_go_with_their_account(self, stores: Stores) -> None:
        """All of them; those of an app's own users belong to no account."""
        await stores.accounts.add(ADA, a_trail(EventType.ACCOUNT_CREATED))
        rows = [a_credential(number, kind) for number, kind in enumerate(EVERY_KIND)]
        others = a_credential(90, account=2)
        await having(stores, *rows, others)
        gone = a_trail(EventType.ACCOUNT_DELETED)
        assert await stores.accounts.swap(ADA, None, gone)
        assert await left(stores) == []
        assert await left(stores, 2) == [others]

    async def test_sweep_deletes_credentials_that_are_over(
        self, stores: Stores
    ) -> None:
        """Those with an instant `until`, and not before it."""
        lasting = a_credential(99)
        over = [a_credential(n, ENROLMENT, until=START + DAY) for n in range(4)]
        await having(stores, *over, lasting)
        assert await sweep_up(stores, START + DAY - 1) == 0
        assert await sweep_up(stores, START + DAY) == 4
        assert await left(stores) == [lasting]
