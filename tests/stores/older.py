"""What servers of 0.4.0 and 0.5.0 read and write beside those of today."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from watchword.core.session import Session
from watchword.ports import Stores
from watchword.ports.audit import EventType, Trail
from watchword.ports.clients import Client
from watchword.ports.keys import KeyState, KeyUse, SealedKey
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import (
    a_consent,
    a_key,
    a_session,
    an_account,
    an_event,
    put,
)

Run = Callable[[str], Awaitable[list[Any]]]
"""Runs a statement; `{at}` is where the tables are, `{bytes}` the type of bytes."""

READ_KEYS = "SELECT kid FROM {at}signing_keys ORDER BY changed_at, kid"
DROP_KEYS = "DELETE FROM {at}signing_keys"
ADD_KEY = """
INSERT INTO {at}signing_keys (kid, alg, state, sealed, changed_at)
VALUES ('kid-9', 'ES256', 'active', CAST('new' AS {bytes}), 1)
"""
RAISE_REVISION = "UPDATE {at}store SET key_revision = key_revision + 1"
ADD_CLIENT = """
INSERT INTO {at}clients (
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    checks_dpop, grace, disabled, version
)
SELECT
    'beside', secret_hash, created_at, scope, audience, access_ttl, grants, rights,
    dpop, checks_dpop, grace, disabled, version
FROM {at}clients
"""
ROTATE = "UPDATE {at}sessions SET generation = 1, version = 1"
ADD_ACCOUNT = """
INSERT INTO {at}accounts (
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
)
SELECT
    CAST('0123456789abcdef' AS {bytes}), 'beside', password_hash, 'admin clerk',
    created_at, epoch, version, disabled, email, email_key, email_confirmed_at, locale
FROM {at}accounts
"""
CHANGE_ACCOUNT = """
UPDATE {at}accounts SET name = 'elsewhere', roles = 'clerk writer'
WHERE name = 'beside'
"""
DELETE_ACCOUNT = "DELETE FROM {at}accounts"


async def goes_on_beside(stores: Stores, run: Run) -> None:
    """It sees its own keys alone, and loses nothing that it does not know of."""
    ring = [
        a_key(3, now=START - 1, use=KeyUse.ID_TOKEN_RS256),
        a_key(1),
        a_key(2, KeyState.NEXT, now=START + 1),
    ]
    assert await stores.keys.swap(0, ring, an_event(EventType.KEY_CHANGED))
    assert [row[0] for row in await run(READ_KEYS)] == ["kid-1", "kid-2"]
    for statement in (RAISE_REVISION, DROP_KEYS, ADD_KEY):
        await run(statement)
    theirs = SealedKey("kid-9", "ES256", KeyState.ACTIVE, b"new", 1)
    assert await stores.keys.load() == (2, [theirs, ring[0]])

    client = Client(id="app", secret_hash=None, created_at=START)
    await stores.clients.add(client, an_event(EventType.CLIENT_CREATED))
    await run(ADD_CLIENT)
    beside = Client(id="beside", secret_hash=None, created_at=START)
    assert await stores.clients.load("beside") == beside

    root = a_session(1)
    member = a_session(2, started_from=root.id)
    await put(stores, member)
    await run(ROTATE)
    (row,) = await stores.sessions.load([member.id])
    assert isinstance(row, Session)
    assert (row.version, row.group) == (1, root.id)

    account = an_account()
    await stores.accounts.add(account, Trail())
    await stores.consents.put(a_consent(), None)
    await run(ADD_ACCOUNT)
    assert await of_role(stores, "admin", "clerk") == [["beside"], ["beside"]]
    await run(CHANGE_ACCOUNT)
    assert await of_role(stores, "admin", "writer") == [[], ["elsewhere"]]
    await run(DELETE_ACCOUNT)
    assert await of_role(stores, "clerk", *account.roles) == [[], []]
    assert await stores.consents.of_account(account.id) == []


async def of_role(stores: Stores, *roles: str) -> list[list[str]]:
    """The names of the accounts that have each of the roles."""
    search = stores.accounts.search
    pages = [await search("", role=role, limit=9, look=9) for role in roles]
    return [[account.name for account in page.accounts] for page in pages]
