"""What the pages show that are about a client: what it may have, and its sign-out."""

from __future__ import annotations

from watchword.server.pages.views import View


class Consent(View, frozen=True, kw_only=True):
    """Whether the client that waits may have these scopes and resources.

    `name` is that of the account, `email` and `roles` what the client would learn.
    `is_local`: any program of this device may be what asks, so it is asked each time.
    """

    template = "consent.html"

    name: str
    scope: tuple[str, ...]
    resources: tuple[str, ...] = ()
    email: str = ""
    roles: tuple[str, ...] = ()
    is_local: bool = False


class SignedOut(View, frozen=True, kw_only=True):
    """After a sign-out; with the `name` of the account, before it.

    `client` has asked for the sign-out, `ticket` is its request. `apps` are the names
    of those that are signed out too. After it `home` is the front page of its site, if
    it has one. `is_faulty`: it may not say where the user goes.
    """

    template = "signed-out.html"

    name: str = ""
    client: str = ""
    ticket: str = ""
    apps: tuple[str, ...] = ()
    home: str = ""
    is_faulty: bool = False
