"""Contract: random calls about credentials, and about what spends or drops them."""

# ruff: noqa: FBT001, PLR0917 - what is drawn is passed by name

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from watchword.core import limits
from watchword.ports import Stores
from watchword.ports.credentials import FACTORS, Credential, CredentialKind, Spending
from watchword.testing.store_contract.account_rules import AccountRules
from watchword.testing.store_contract.backend import Place
from watchword.testing.store_contract.examples import (
    a_credential,
    a_limit,
    a_session,
    identifier,
    sign_in,
)

_users = st.integers(0, 2)
_picks = st.integers(0, 1000)
_kinds = st.sampled_from(CredentialKind)
_bounds = st.none() | st.integers(0, 4)


class CredentialRules(AccountRules):
    """Users 0 to 2 may have an account. Versions may be stale, keys may be taken."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.credentials: list[Credential] = []  # every version of every row so far

    @rule(
        user=_users,
        kinds=st.lists(_kinds, min_size=1, max_size=3),
        replaces=st.lists(_kinds, max_size=2),
        number=_picks,
        at_most=_bounds,
        sees=st.booleans(),
    )
    def add_credentials(
        self,
        user: int,
        kinds: list[CredentialKind],
        replaces: list[CredentialKind],
        number: int,
        at_most: int | None,
        sees: bool,
    ) -> None:
        """An enrolment. It may look at the factors first, and spend a row."""
        mine = self.same(lambda stores: stores.credentials.of_account(identifier(user)))
        rows = [
            a_credential(
                len(self.credentials) + place,
                kind,
                account=user,
                created_at=self.clock(),
                sealed=kind.encode(),
                until=self.clock() + limits.HOUR if kind.endswith("ment") else None,
            )
            for place, kind in enumerate(kinds)
        ]
        spends = mine[number % len(mine)] if number % 2 and mine else None
        seen = [row.id for row in mine if row.kind in FACTORS] if sees else None
        trail = self.trail()
        if self.same(
            lambda stores: stores.credentials.add(
                rows,
                trail,
                replaces=replaces,
                spends=spends,
                at_most=at_most,
                seen=seen,
            )
        ):
            self.credentials += rows

    @precondition(lambda self: self.credentials)
    @rule(number=_picks, deletes=st.booleans())
    def swap_credential(self, number: int, deletes: bool) -> None:
        """A use of a credential, or its end."""
        before = self.credentials[number % len(self.credentials)]
        after = msgspec.structs.replace(
            before,
            step=before.step + 1,
            used_at=self.clock(),
            version=before.version + 1,
        )
        given, trail = None if deletes else after, self.trail()
        if self.same(lambda stores: stores.credentials.swap(before, given, trail)):
            self.credentials.append(after)

    @rule(user=_users)
    def drop_credentials(self, user: int) -> None:
        """An operator's reset."""
        trail = self.trail()
        self.same(lambda stores: stores.credentials.drop(identifier(user), trail))

    @precondition(lambda self: self.credentials)
    @rule(number=_picks, most=st.none() | st.integers(1, 3))
    def enter(self, number: int, most: int | None) -> None:
        """A sign-in by a recovery code, or by whatever row."""
        code = self.credentials[number % len(self.credentials)]
        session = a_session(10_000 + self.messages, now=self.clock())
        limit = None if most is None else a_limit(most, now=self.clock())
        spends = Spending(code, self.trail())

        async def create(stores: Stores) -> bool:
            await stores.sessions.create(session, sign_in(session), limit, spends)
            return True

        self.written(create)

    @precondition(lambda self: self.accounts and self.credentials)
    @rule(number=_picks, spends=st.booleans(), ago=st.none() | st.just(limits.SECOND))
    def reset_password(self, number: int, spends: bool, ago: int | None) -> None:
        """A new password: a code is spent, or what a thief has added goes."""
        before = self.accounts[number % len(self.accounts)]
        after = msgspec.structs.replace(before, version=before.version + 1)
        code = self.credentials[number % len(self.credentials)] if spends else None
        since = None if ago is None else self.clock() - ago
        trail = self.trail()
        if self.written(
            lambda stores: stores.accounts.swap(
                before, after, trail, spends_code=code, drops_factors_after=since
            )
        ):
            self.accounts.append(after)

    async def all_credentials(self, stores: Stores) -> list[object]:
        """What the users have, and what seals it."""
        return [
            await stores.credentials.sealed_under(),
            *[await stores.credentials.of_account(identifier(n)) for n in range(3)],
        ]
