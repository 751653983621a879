"""Rows to values and back. Columns are in the order of fields, lists are words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec

from watchword.core.session import Session
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, EventType
from watchword.ports.clients import Client
from watchword.ports.confirmations import Confirmation, Purpose
from watchword.ports.consents import Consent
from watchword.ports.credentials import Credential, CredentialKind
from watchword.ports.keys import KeyState, KeyUse, SealedKey
from watchword.ports.registrations import Registration
from watchword.ports.sessions import Change, SessionLimit

Row = tuple[Any, ...]

AFTER_ALL: Final = b"\xff" * 17
"""Sorts after every id, since ids have 16 bytes."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

# The SQL statements name the columns in the order of these fields.
_FIELDS: Final = Session.__struct_fields__
_LISTS: Final = [_FIELDS.index(name) for name in ("roles", "scope", "audience", "amr")]
_COOKIE: Final = _FIELDS.index("cookie")


def can_be_stored(*texts: str) -> bool:
    """Whether a database takes these texts at all: otherwise no row has them."""
    return not any("\0" in text or _SURROGATE.search(text) for text in texts)


@lru_cache(1024)
def words(text: str) -> tuple[str, ...]:
    """The words of a stored list, which are separated by spaces.

    Cached: there are few different lists, and every load of a session reads four.
    """
    return tuple(text.split(" ")) if text else ()


def as_row(struct: msgspec.Struct) -> Row:
    """The fields in their order, which is that of the columns.

    Lists are joined by spaces, as `words` reads them.
    """
    return tuple(
        " ".join(value) if isinstance(value, tuple) else value
        for value in msgspec.structs.astuple(struct)
    )


def session_of(row: Iterable[Any]) -> Session:
    """The session in a row of all columns."""
    # Changed in place: that is faster than slices, and this runs at every refresh.
    values = list(row)
    for place in _LISTS:
        values[place] = words(values[place])
    values[_COOKIE] = values[_COOKIE] == 1
    return Session(*values)


def swap_row(change: Change) -> Row:
    """The id and the version that a swap looks for, then what a rotation writes."""
    after = change.after
    return (
        after.id,
        change.before.version,
        after.generation,
        after.version,
        after.retry_hash,
        after.rotated_at,
        after.idle_expires_at,
        after.address,
    )


def whole_swap_row(change: Change) -> Row:
    """The values of `swap_row`, then what an end writes and what was proved."""
    after = change.after
    return (
        *swap_row(change),
        *(after.revoked_at, after.revoked_reason),
        *(after.auth_time, " ".join(after.amr), after.acr),
    )


def others_row(session: Session, limit: SessionLimit) -> Row:
    """The values by which a new session finds those that there are too many of.

    They are the account, the two groups that do not count, the least instants of a
    session that is alive, and how many other groups there may be.
    """
    alive = msgspec.structs.astuple(limit.alive)
    group = session.group
    return (session.account_id, group, limit.replaced or group, *alive, limit.most - 1)


def account_of(row: Iterable[Any]) -> Account:
    """The account in a row of all columns."""
    account_id, name, password_hash, roles, created_at, epoch, version, *rest = row
    disabled, *address = rest
    return Account(
        account_id,
        name,
        password_hash,
        words(roles),
        created_at,
        epoch,
        version,
        disabled == 1,
        *address,
    )


def account_swap_row(before: Account, after: Account) -> Row:
    """The values that a swap writes, then the id and the version that it looks for."""
    return (
        *(after.name, after.password_hash, " ".join(after.roles)),
        *(after.epoch, after.version, after.disabled),
        *(after.email, after.email_key, after.email_confirmed_at, after.locale),
        *(before.id, before.version),
    )


def registration_of(row: Iterable[Any]) -> Registration:
    """The registration in a row of all columns."""
    return Registration(**dict(zip(Registration.__struct_fields__, row, strict=True)))


def confirmation_of(row: Iterable[Any]) -> Confirmation:
    """The confirmation in a row of all columns."""
    token_hash, account_id, purpose, email, email_key, created_at, until, roles = row
    return Confirmation(
        token_hash=token_hash,
        account_id=account_id,
        purpose=Purpose(purpose),
        email=email,
        email_key=email_key,
        created_at=created_at,
        until=until,
        roles=words(roles),
    )


def credential_of(row: Iterable[Any]) -> Credential:
    """The credential in a row of all columns."""
    values = dict(zip(Credential.__struct_fields__, row, strict=True))
    return Credential(**{**values, "kind": CredentialKind(values["kind"])})


def credential_swap_row(before: Credential, after: Credential) -> Row:
    """The values that a swap writes, then the id and the version that it looks for."""
    return (
        *(after.label, after.sealed, after.used_at, after.step, after.version),
        *(before.id, before.version),
    )


def consent_of(row: Iterable[Any]) -> Consent:
    """The consent in a row of all columns."""
    account_id, client_id, scope, resource, created_at, used_at = row
    return Consent(
        account_id=account_id,
        client_id=client_id,
        scope=words(scope),
        resource=words(resource),
        created_at=created_at,
        used_at=used_at,
    )


def client_of(row: Iterable[Any]) -> Client:
    """The client in a row of all columns."""
    client_id, secret_hash, created_at, scope, audience, access_ttl, *rest = row
    grants, rights, dpop, checks_dpop, grace, disabled, version, *door = rest
    name, redirect_uris, post_logout, id_token_alg, trusted, pkce, par = door
    return Client(
        id=client_id,
        secret_hash=secret_hash,
        created_at=created_at,
        scope=words(scope),
        audience=words(audience),
        access_ttl=access_ttl,
        grants=words(grants),
        rights=words(rights),
        dpop=dpop == 1,
        checks_dpop=checks_dpop == 1,
        grace=grace,
        disabled=disabled == 1,
        version=version,
        name=name,
        redirect_uris=words(redirect_uris),
        post_logout_redirect_uris=words(post_logout),
        id_token_alg=id_token_alg,
        trusted=trusted == 1,
        pkce=pkce == 1,
        par=par == 1,
    )


def client_swap_row(before: Client, after: Client) -> Row:
    """The values that a swap writes, then the id and the version that it looks for."""
    return (
        *(after.secret_hash, " ".join(after.scope), " ".join(after.audience)),
        *(after.access_ttl, " ".join(after.grants), " ".join(after.rights)),
        *(after.dpop, after.checks_dpop, after.grace, after.disabled),
        *(after.version, after.name, " ".join(after.redirect_uris)),
        *(" ".join(after.post_logout_redirect_uris), after.id_token_alg),
        *(after.trusted, after.pkce, after.par, before.id, before.version),
    )


def key_of(row: Iterable[Any]) -> SealedKey:
    """The signing key in a row of all columns."""
    kid, alg, state, sealed, changed_at, use = row
    return SealedKey(kid, alg, KeyState(state), sealed, changed_at, KeyUse(use))


def event_row(event: Event) -> Row:
    """The fields in the order of the columns, with the detail as JSON."""
    return (
        *(event.type, event.at, event.account_id, event.session_id),
        *(event.client_id, event.address),
        msgspec.json.encode(event.detail).decode(),
    )


def event_of(row: Iterable[Any]) -> tuple[int, Event]:
    """The sequence number and the event in a row of all columns."""
    sequence, kind, at, account_id, session_id, client_id, address, detail = row
    return sequence, Event(
        type=EventType(kind),
        at=at,
        account_id=account_id,
        session_id=session_id,
        client_id=client_id,
        address=address,
        detail=msgspec.json.decode(detail),
    )
