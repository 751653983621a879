"""Which pages there are: where users may register, and where mail is sent."""

from __future__ import annotations

from starlette.requests import Request

from watchword.errors import NotFound
from watchword.server.admin_listener import is_at_admin_listener
from watchword.server.parsing import engine_of, self_service_of


def can_send_mail(request: Request) -> bool:
    """Whether messages leave this server."""
    return engine_of(request).mail_writer.can_send


def can_register(request: Request) -> bool:
    """Whether a user may create an account unasked."""
    return self_service_of(request).rules.is_open and can_reset(request)


def can_reset(request: Request) -> bool:
    """Whether a user may ask for a new password: never at the admin listener."""
    return can_send_mail(request) and not is_at_admin_listener(request)


def has_passkeys(request: Request) -> bool:
    """Whether passkeys are on, and the issuer has a name that they can be bound to."""
    return engine_of(request).second_factors.passkeys.is_on


def need(*, available: bool) -> None:
    """Raises NotFound for a page that is not there."""
    if not available:
        raise NotFound
