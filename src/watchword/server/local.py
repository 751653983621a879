"""What is shown "for loopback only": to a developer on the machine that serves."""

from __future__ import annotations

import shlex
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from watchword.bootstrap.parts import program_name
from watchword.core.network import is_loopback
from watchword.mail.url import OUTBOX
from watchword.server.pages.views import KeptMail
from watchword.server.parsing import engine_of
from watchword.tokens.headers import Headers

_FORWARDED: Final = (b"forwarded", b"via", b"x-real-ip")
_FORWARDED_PREFIX: Final = b"x-forwarded-"


def kept_mail(request: Request) -> KeptMail | None:
    """Where it is, for a user of this machine alone. It is never shown itself."""
    settings = engine_of(request).settings
    if settings.effective_mail_url != OUTBOX or not is_local_only(request):
        return None
    data = shlex.quote(str(settings.data.absolute()))
    command = (program_name(), "mail", "show", "--data", data)
    return KeptMail(str(settings.outbox_folder.absolute()), command)


def is_local_only(request: Request) -> bool:
    """Whether only a user of this machine can have sent the request.

    The address alone does not tell: a proxy on this machine passes requests of others
    on, and a page of any site can have a name of its own resolve to this machine (DNS
    rebinding). So the server must be bound to loopback and have no proxy, the peer and
    the one `Host` must be loopback, and no header may say that the request was passed
    on. Inside an app it is not known what the app's server is bound to.
    """
    client = request.scope["client"]
    return (
        is_loopback(request.scope["state"].get("bound_to", ""))
        and not engine_of(request).settings.behind_proxy
        and client is not None
        and is_loopback(client[0])
        and is_asked_locally(request.scope["headers"])
    )


def is_asked_locally(headers: Headers) -> bool:
    """Whether the one `Host` is loopback, and no header says it was passed on."""
    hosts = [value for name, value in headers if name == b"host"]
    return len(hosts) == 1 and _is_loopback_host(hosts[0]) and not is_forwarded(headers)


def is_forwarded(headers: Headers) -> bool:
    """Whether any header says that a proxy has passed the request on."""
    return any(
        name in _FORWARDED or name.startswith(_FORWARDED_PREFIX) for name, _ in headers
    )


def _is_loopback_host(host: bytes) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host.decode('ascii')}").hostname or "")
    except ValueError:
        return False
