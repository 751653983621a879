"""What an OAuth client may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

from watchword.core import limits, redirect_uri
from watchword.core.policies import FIRST_PARTY_ID, PAGES
from watchword.core.scopes import ADMIN_SCOPES, is_reserved
from watchword.core.session import from_text
from watchword.errors import InvalidRequest
from watchword.ports.clients import Client
from watchword.ports.keys import ID_TOKEN_USES


class GrantType(StrEnum):
    """For what a client may get tokens at `/oauth/token` (RFC 6749 §1.3)."""

    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a grant type
    CLIENT_CREDENTIALS = "client_credentials"


class Right(StrEnum):
    """What a client may do that concerns more than its own sessions."""

    INTROSPECT = "introspect"
    """Ask whether a token is active (RFC 7662)."""

    FEED = "feed"
    """Follow which sessions have ended."""

    ADMIN_READ = "admin:read"
    """Call what the admin API shows, by its own token."""

    ADMIN_WRITE = "admin:write"
    """Call what the admin API changes, too."""


_ADMIN_RIGHTS: Final = frozenset({Right.ADMIN_READ, Right.ADMIN_WRITE})

FIRST_PARTY: Final = Client(
    id=FIRST_PARTY_ID,
    secret_hash=None,
    created_at=0,
    grants=(GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN),
    name="watchword",
    redirect_uris=redirect_uri.LOOPBACK,
    trusted=True,
)
"""The client of the native login: built in, public, and not kept in any store.

Its scope and grace come from settings; here it has neither. By code it serves programs
on the machine of the user, such as `watchword login`, which its name is for: the
redirect to them always shows a page.
"""

PAGES_CLIENT: Final = Client(id=PAGES, secret_hash=None, created_at=0)
"""The client of the pages of this server: built in, with no grant.

It cannot authenticate: nothing that a client sends can be in its name.
"""

ID_TOKEN_ALGS: Final = tuple(ID_TOKEN_USES)
ID_TOKEN_ALG: Final = ID_TOKEN_ALGS[0]
"""What signs ID tokens unless a client says otherwise (OpenID Connect Core §15.1)."""

BUILT_IN: Final = frozenset({FIRST_PARTY.id, PAGES_CLIENT.id})

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_SCOPE: Final = re.compile(limits.SCOPE_CHARACTERS)
# A name, or an absolute URI (RFC 3986 §4.3). Characters that would break a header or a
# log line are not allowed in it.
_AUDIENCE: Final = re.compile(
    r"[A-Za-z0-9._~-]+|[A-Za-z][A-Za-z0-9+.-]*:[\x21\x24-\x5B\x5D\x5F-\x7E]+"
)


def is_client_id(text: str) -> bool:
    """Whether a client may have that id."""
    return len(text) <= limits.CLIENT_ID_MAX and _ID.fullmatch(text) is not None


def is_admin(rights: Iterable[str]) -> bool:
    """Whether one of these rights is to call the admin API."""
    return not _ADMIN_RIGHTS.isdisjoint(rights)


def check(client: Client) -> None:
    """Raises InvalidRequest, with a sentence, for a client that is not allowed."""
    for fault in _faults(client):
        raise InvalidRequest(fault)


def _faults(client: Client) -> Iterator[str]:
    """What is wrong with a client that is to be made or changed, a sentence each."""
    if not is_client_id(client.id):
        yield (
            f"A client id is 1 to {limits.CLIENT_ID_MAX} letters, digits and . _ - "
            "(ASCII), and begins with a letter or digit."
        )
    if client.id in BUILT_IN:
        yield f"{client.id} is built in: choose another client id."
    if from_text(client.id.lower()) is not None:
        # RFC 9700 §4.15.1: no API may take a client for a user.
        yield "A client id cannot be a UUID: those are the subjects of users."
    yield from _too_wide(client.scope, client.audience)
    ttl = client.access_ttl
    if ttl is not None and not limits.SECOND <= ttl <= limits.ACCESS_TTL_MAX:
        longest = limits.ACCESS_TTL_MAX // limits.SECOND
        yield f"An access lifetime is 1 to {longest} seconds."
    if not 0 <= client.grace <= limits.GRACE_MAX:
        yield f"A grace is 0 to {limits.GRACE_MAX // limits.SECOND} seconds."
    yield from _faults_of_rights(client)
    yield from _faults_of_sign_in(client)


def _faults_of_rights(client: Client) -> Iterator[str]:
    """What is wrong with the grants and rights of a client."""
    for kind, known, given in (
        ("grant", GrantType, client.grants),
        ("right", Right, client.rights),
    ):
        if not set(given) <= set(known):
            yield f"A {kind} is one of: {', '.join(known)}."
    if client.secret_hash is None and (
        client.rights or GrantType.CLIENT_CREDENTIALS in client.grants
    ):
        yield (
            "A public client proves nothing: it may have neither rights nor the grant "
            f"{GrantType.CLIENT_CREDENTIALS}. Make it confidential."
        )
    if is_admin(client.rights) and GrantType.CLIENT_CREDENTIALS not in client.grants:
        yield (
            "A client administers by its own tokens: it needs the grant "
            f"{GrantType.CLIENT_CREDENTIALS}."
        )
    if client.checks_dpop and Right.INTROSPECT not in client.rights:
        right = Right.INTROSPECT
        yield f"Only a client with the right {right} can be one that checks DPoP."


def _faults_of_sign_in(client: Client) -> Iterator[str]:
    """What is wrong with what a client has for sending users here to sign in."""
    name = client.name
    if len(name) > limits.CLIENT_NAME_MAX or not name.isprintable():
        yield f"A name for users is {limits.CLIENT_NAME_MAX} visible characters."
    for uris in (client.redirect_uris, client.post_logout_redirect_uris):
        if len(uris) > limits.REDIRECT_URIS_MAX:
            yield f"A client has {limits.REDIRECT_URIS_MAX} redirect URIs at most."
        for uri in uris:
            if fault := redirect_uri.fault_of(uri):
                yield f"{uri}: {fault}"
    if (GrantType.AUTHORIZATION_CODE in client.grants) != bool(client.redirect_uris):
        yield (
            f"The grant {GrantType.AUTHORIZATION_CODE} and redirect URIs go together: "
            "name at least one URI, or leave the grant out."
        )
    if client.id_token_alg not in ID_TOKEN_ALGS:
        yield f"ID tokens are signed by one of: {', '.join(ID_TOKEN_ALGS)}."
    if client.secret_hash is None and not client.pkce:
        yield (
            "A public client always has to send a PKCE challenge: that is all that "
            "protects its code. Make it confidential, or leave PKCE required."
        )


def _too_wide(scope: tuple[str, ...], audience: tuple[str, ...]) -> Iterator[str]:
    if not all(map(_SCOPE.fullmatch, scope)):
        yield "A scope is visible ASCII without blank, quote or backslash."
    if any(map(is_reserved, scope)):
        yield (
            f"No scope begins with {ADMIN_SCOPES}: what a client may administer is a "
            "right."
        )
    if not all(map(_AUDIENCE.fullmatch, audience)):
        yield "An audience is an absolute URI without fragment, or a plain name."
    for words in (scope, audience):  # both go into every token
        if len(" ".join(words)) > limits.SCOPE_MAX:
            yield f"All scopes together, or audiences: {limits.SCOPE_MAX} characters."
