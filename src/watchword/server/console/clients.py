"""Clients: the list, one of them, and the form for a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchword.clients.rules import BUILT_IN, ID_TOKEN_ALGS, GrantType, Right
from watchword.ports.clients import Client
from watchword.server.console.screens import Screen, Secret

RIGHTS: Final = {
    Right.INTROSPECT: "Ask whether a token is active",
    Right.FEED: "Follow which sessions have ended",
    Right.ADMIN_READ: "Read the admin API",
    Right.ADMIN_WRITE: "Change things by the admin API",
}
"""What each right lets a client do."""


KINDS: Final = [
    ("public", "Public: an app on a device or in a browser"),
    ("confidential", "Confidential: a program on a server, which keeps a secret"),
]
"""What a new client may be: values and words."""


def kind_of(client: Client) -> str:
    """What sort of program it is, in a word or two."""
    if client.secret_hash is None:
        return "Public"
    if client.redirect_uris:
        return "Confidential, trusted" if client.trusted else "Confidential"
    if GrantType.CLIENT_CREDENTIALS in client.grants:
        return "Service"
    return "API" if client.rights else "Confidential"


class Clients(Screen, frozen=True, kw_only=True):
    """The list. `q` is its filter, `next` is where it goes on."""

    template = "clients.html"
    here = "clients"

    title: str = "Clients"
    clients: tuple[Client, ...] = ()
    next: str | None = None
    q: str = ""
    is_later: bool = False

    def kind_of(self, client: Client) -> str:
        """What sort of program it is."""
        return kind_of(client)


class ClientForm(Screen, frozen=True, kw_only=True):
    """A screen with the fields of a client.

    `values` are the texts of the fields, by name; of a box that is ticked, `yes`.
    """

    here = "clients"

    values: Mapping[str, str] = {}

    @property
    def algorithms(self) -> list[tuple[str, str]]:
        """What may sign ID tokens: values and words."""
        return [(one, one) for one in ID_TOKEN_ALGS]

    @property
    def rights(self) -> Mapping[Right, str]:
        """The rights that there are, in words."""
        return RIGHTS


class NewClient(ClientForm, frozen=True, kw_only=True):
    """The form for a new one."""

    template = "client-new.html"

    title: str = "Add a client"

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """What it may be: values and words."""
        return KINDS


class ClientScreen(ClientForm, frozen=True, kw_only=True):
    """One client."""

    template = "client.html"

    client: Client

    @property
    def kind(self) -> str:
        """What sort of program it is."""
        return kind_of(self.client)

    @property
    def is_built_in(self) -> bool:
        """Whether it cannot be changed."""
        return self.client.id in BUILT_IN


class ClientSecret(Secret, frozen=True, kw_only=True):
    """The secret of a client."""

    here = "clients"


def values_of(client: Client) -> dict[str, str]:
    """What its form has in its fields."""
    flags = {"trusted": client.trusted, "pkce": client.pkce, "par": client.par}
    rights = {f"right-{one}": one in client.rights for one in Right}
    return {
        "name": client.name,
        "redirect_uris": "\n".join(client.redirect_uris),
        "post_logout_redirect_uris": "\n".join(client.post_logout_redirect_uris),
        "scope": " ".join(client.scope),
        "audience": " ".join(client.audience),
        "id_token_alg": client.id_token_alg,
        **{name: "yes" for name, is_so in (flags | rights).items() if is_so},
    }
