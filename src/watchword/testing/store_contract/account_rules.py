"""Contract: random calls about accounts, and about what waits for a confirmation."""

# ruff: noqa: FBT001, PLR0917 - what is drawn is passed by name

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from watchword.core import limits
from watchword.errors import (
    ConfirmationInvalid,
    EmailTaken,
    LastAdmin,
    NameTaken,
    SecondFactorInvalid,
)
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.audit import EventType, Trail
from watchword.ports.confirmations import Confirmation, Purpose
from watchword.ports.outbox import Lane, MessageKind
from watchword.ports.registrations import Registration
from watchword.testing.store_contract.backend import Place
from watchword.testing.store_contract.examples import (
    a_confirmation,
    a_consent,
    a_message,
    a_registration,
    a_trail,
    an_account,
    an_event,
)
from watchword.testing.store_contract.record_rules import RecordRules

_picks = st.integers(0, 1000)
_names = st.sampled_from(["ada", "bob", "cyd"])
_addresses = st.none() | _names.map(lambda name: f"{name}@example.org")
_networks = st.integers(0, 9).map(lambda number: f"network {number}")
_roles = st.lists(st.sampled_from(["reader", "writer", "admin"]), unique=True)

_REFUSALS = (
    *(NameTaken, EmailTaken, LastAdmin),
    *(ConfirmationInvalid, SecondFactorInvalid),
)

Write = Callable[[Stores], Awaitable[bool | None]]


class AccountRules(RecordRules):
    """Accounts, registrations, confirmations and messages. Versions may be stale."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.accounts: list[Account] = []
        self.registrations: list[Registration] = []
        self.confirmations: list[Confirmation] = []
        self.messages = 0

    def written(self, write: Write) -> bool:
        """Whether both stores wrote it. A refusal must be the same error in both."""

        async def told(stores: Stores) -> str:
            try:
                return str(await write(stores) is not False)
            except _REFUSALS as error:
                return error.code

        return self.same(told) == str(True)

    def trail(self, **fields: Any) -> Trail:  # noqa: ANN401
        """An event and a message."""
        self.messages += 1
        message = a_message(self.messages, not_before=self.clock(), **fields)
        return a_trail(EventType.ACCOUNT_CHANGED, message, at=self.clock())

    def token(self, number: int, *, any_at_all: bool) -> bytes | None:
        """The token hash of a registration or confirmation, used or not; or None."""
        tokens = [row.token_hash for row in self.registrations]
        tokens += [row.token_hash for row in self.confirmations]
        return tokens[number % len(tokens)] if any_at_all and tokens else None

    @rule(
        name=_names,
        address=_addresses,
        number=_picks,
        spends=st.booleans(),
        by_operator=st.booleans(),
    )
    def add_account(
        self,
        name: str,
        address: str | None,
        number: int,
        spends: bool,
        by_operator: bool,
    ) -> None:
        """A confirmation, or the command of an operator."""
        now = self.clock()
        account = an_account(
            name,
            len(self.accounts),
            created_at=now,
            email=address,
            email_key=address,
            email_confirmed_at=address and now,
        )
        token, trail = self.token(number, any_at_all=spends), self.trail()
        if self.written(
            lambda stores: stores.accounts.add(
                account, trail, spends=token, ignore_holds=by_operator
            )
        ):
            self.accounts.append(account)

    @precondition(lambda self: self.accounts)
    @rule(
        number=_picks,
        name=st.none() | _names,
        address=_addresses,
        roles=_roles,
        delete=st.booleans(),
        spends=st.booleans(),
        keeps_role=st.none() | st.sampled_from(["reader", "admin"]),
    )
    def swap_account(
        self,
        number: int,
        name: str | None,
        address: str | None,
        roles: list[str],
        delete: bool,
        spends: bool,
        keeps_role: str | None,
    ) -> None:
        """A change or a deletion. Where the address moves, there is a way back."""
        before = self.accounts[number % len(self.accounts)]
        after = msgspec.structs.replace(
            before,
            name=name or before.name,
            email=address,
            email_key=address,
            roles=tuple(roles),
            epoch=before.epoch + 1,
            version=before.version + 1,
            disabled=not before.disabled,
        )
        grants = []
        if before.email_key not in {None, address} and not delete:
            email = str(before.email_key)
            grants = [self.confirmation(Purpose.REVERT, before.id, email)]
        token, trail = self.token(number, any_at_all=spends), self.trail()
        changed = None if delete else after
        if self.written(
            lambda stores: stores.accounts.swap(
                before,
                changed,
                trail,
                spends=token,
                grants=grants,
                keeps_role=keeps_role,
            )
        ):
            self.confirmations += grants
            if not delete:
                self.accounts.append(after)

    @precondition(lambda self: self.accounts)
    @rule(number=_picks, client=st.sampled_from(["app", "wiki"]), gives=st.booleans())
    def consent(self, number: int, client: str, gives: bool) -> None:
        """A user lets a client have something, or no longer."""
        account, now = self.accounts[number % len(self.accounts)], self.clock()
        given = a_consent(client, account_id=account.id, created_at=now, used_at=now)
        kind = EventType.CONSENT_GIVEN if gives else EventType.CONSENT_WITHDRAWN
        event = an_event(kind, at=now)
        self.same(lambda stores: stores.consents.used(account.id, client, now))
        if gives:
            told = event if number % 2 else None
            self.same(lambda stores: stores.consents.put(given, told))
        else:
            self.same(lambda stores: stores.consents.drop(account.id, client, event))

    @rule(name=_names, network=_networks)
    def register(self, name: str, network: str) -> None:
        """A stranger asks for an account."""
        number, now = len(self.registrations), self.clock()
        row = a_registration(number, name=name, network=network, at=now)
        trail = self.trail(lane=Lane.UNKNOWN, network=network)
        self.same(lambda stores: stores.registrations.add(row, trail))
        self.registrations.append(row)

    @precondition(lambda self: self.accounts)
    @rule(number=_picks, purpose=st.sampled_from(Purpose))
    def confirm(self, number: int, purpose: Purpose) -> None:
        """A mail with a token."""
        account = self.accounts[number % len(self.accounts)]
        owner = None if purpose is Purpose.INVITATION else account.id
        row = self.confirmation(purpose, owner, "ada@example.org")
        trail = self.trail(account_id=owner)
        self.same(lambda stores: stores.confirmations.add(row, trail))
        self.confirmations.append(row)

    def confirmation(
        self, purpose: Purpose, account_id: bytes | None, email: str
    ) -> Confirmation:
        """A new one."""
        return a_confirmation(
            len(self.confirmations),
            purpose,
            at=self.clock(),
            account_id=account_id,
            email=email,
            email_key=email,
        )

    @rule(limit=st.integers(1, 5), sent=st.booleans())
    def send(self, limit: int, sent: bool) -> None:
        """A sender takes messages. It sends one, fails at another, keeps the rest."""
        now = self.clock()
        leased = self.same(
            lambda stores: stores.outbox.lease(
                MessageKind.MAIL, now, now + limits.MINUTE, limit
            )
        )
        ids = [one.message.id for one in leased]
        if sent:
            self.same(lambda stores: stores.outbox.done(ids[:1]))
        if sent and len(ids) > 1:
            later = now + limits.SECOND
            self.same(lambda stores: stores.outbox.postpone(ids[1], later, 1))

    async def all_waiting(self, stores: Stores) -> list[Any]:
        """Registrations, confirmations and messages as a store has them."""
        registrations = [
            await stores.registrations.by_id(row.id_hash) for row in self.registrations
        ]
        confirmations = [
            await stores.confirmations.by_token(row.token_hash)
            for row in self.confirmations
        ]
        return [registrations, confirmations, await stores.outbox.list(limit=1000)]

    async def all_consents(self, stores: Stores) -> list[Any]:
        """What the users let clients have."""
        ids = sorted({account.id for account in self.accounts})
        return [await stores.consents.of_account(one) for one in ids]
