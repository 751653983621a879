"""Changes of what a client may have and sends users here with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict

from watchword.clients.rules import GrantType, is_admin
from watchword.errors import InvalidRequest
from watchword.ports.clients import Client


class DoorChanges(TypedDict, total=False):
    """What of a client can be changed. None leaves it as it is.

    Of a list either the whole is given, or words to add and to remove.
    """

    name: str | None
    """What users are shown; "" for its id."""

    scope: Iterable[str] | None
    add_scope: Iterable[str] | None
    remove_scope: Iterable[str] | None
    """Scopes that it may ask for. Sessions that began keep what they were given."""

    audience: Iterable[str] | None
    add_audience: Iterable[str] | None
    remove_audience: Iterable[str] | None
    """Resources that it may ask tokens for; the server's, where it has none."""

    redirect_uris: Iterable[str] | None
    add_redirect_uris: Iterable[str] | None
    remove_redirect_uris: Iterable[str] | None
    """With the first one comes the grant for codes, and it goes with the last."""

    post_logout_redirect_uris: Iterable[str] | None
    add_post_logout_redirect_uris: Iterable[str] | None
    remove_post_logout_redirect_uris: Iterable[str] | None

    rights: Iterable[str] | None
    add_rights: Iterable[str] | None
    remove_rights: Iterable[str] | None
    """With the first right to administer comes the grant for its own tokens."""

    id_token_alg: str | None
    """RS256, ES256 or EdDSA."""

    trusted: bool | None
    """Whether users are not asked for consent."""

    pkce: bool | None
    """Whether it has to send a challenge (RFC 7636); a public one always has to."""

    par: bool | None
    """Whether it has to push its requests (RFC 9126)."""


_LISTS: Final = {
    "scope": "scope",
    "audience": "audience",
    "redirect_uris": "URI",
    "post_logout_redirect_uris": "URI",
    "rights": "right",
}
"""What has words that can be added and removed, and what one of them is called."""


def fields_after(client: Client, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a client has after these changes, for those that change.

    Raises InvalidRequest for a word to remove that it has not.
    """
    fields = dict(wanted)
    for name, kind in _LISTS.items():
        whole = fields.pop(name, None)
        added = tuple(fields.pop(f"add_{name}", ()))
        removed = tuple(fields.pop(f"remove_{name}", ()))
        if whole is None and not (added or removed):
            continue
        before: tuple[str, ...] = getattr(client, name) if whole is None else whole
        for word in removed:
            if word not in before:
                message = f"{client.id} has no such {kind}: {word}"
                raise InvalidRequest(message)
        kept = [word for word in before if word not in removed]
        fields[name] = tuple(dict.fromkeys((*kept, *added)))
    grants = client.grants
    if "redirect_uris" in fields:
        grants = _by_code(grants, has_uris=bool(fields["redirect_uris"]))
    if is_admin(fields.get("rights", ())):
        grants = tuple(dict.fromkeys((*grants, GrantType.CLIENT_CREDENTIALS)))
    if grants != client.grants:
        fields["grants"] = grants
    return fields


def _by_code(grants: tuple[str, ...], *, has_uris: bool) -> tuple[str, ...]:
    by_code = GrantType.AUTHORIZATION_CODE
    others = tuple(one for one in grants if one != by_code)
    if not has_uris:
        return others
    return grants if by_code in grants else (by_code, *others)
