"""The request of a client that waits while pages ask, as the pages know it.

Handlers of pages look for it first (`endpoints/pages/on_the_way.py`). From then on it
is in the scope of the request, where everything finds it that makes a page or an
address: it is in the links, and its client in the policy for forms.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from watchword.core import redirect_uri
from watchword.core.authorize import AuthorizationRequest
from watchword.ports.clients import Client

INTERACTION: Final = "interaction"
"""The parameter of the pages, and of their forms' addresses, with the ticket."""

_WAITING: Final = "waiting"


class Waiting(msgspec.Struct, frozen=True):
    """A request that waits for this browser. `ticket` is that of the interaction."""

    ticket: str
    request: AuthorizationRequest
    client: Client

    @property
    def host(self) -> str:
        """Where it returns to, as pages call it."""
        return redirect_uri.shown_as(self.request.redirect_uri)

    @property
    def is_local(self) -> bool:
        """Whether any program of this device may be what asks (RFC 8252 §8.6)."""
        is_public = self.client.secret_hash is None
        return is_public and redirect_uri.is_local(self.request.redirect_uri)

    @property
    def source(self) -> str:
        """The `form-action` of pages with a form that may end there."""
        return redirect_uri.source_of(self.request.redirect_uri)

    @property
    def home(self) -> str:
        """Where a user may begin again, or ""."""
        return home_of(self.request.redirect_uri)


def name_of(client: Client) -> str:
    """What users know the client by."""
    return client.name or client.id


def home_of(uri: str) -> str:
    """The front page of the site of a registered URI; "" where it has none."""
    parts = urlsplit(uri)
    is_site = parts.scheme == "https" and not redirect_uri.is_local(uri)
    return f"https://{parts.netloc}/" if is_site else ""


def set_waiting(request: Request, waiting: Waiting) -> None:
    """From now on the pages of this request know of it."""
    request.scope[_WAITING] = waiting


def waiting_in(request: Request) -> Waiting | None:
    """What `set_waiting` was told, or None."""
    found: Waiting | None = request.scope.get(_WAITING)
    return found
