"""Django REST framework: an authentication class, and permissions for scope and roles.

Errors go through DRF's own handler and renderers. The status, the challenge and the
members of the problem (`detail`, `code` ...) are the same as in other frameworks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from watchword.extras import needs

with needs("djangorestframework"):
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.exceptions import APIException
    from rest_framework.permissions import BasePermission
    from rest_framework.request import Request

from watchword.core.access_token import Claims
from watchword.errors import TokenMissing, TryAgain, WatchwordError
from watchword.integrations.authenticator import checked
from watchword.integrations.django import auth
from watchword.tokens.checker import Needs

if TYPE_CHECKING:
    from rest_framework.views import APIView  # its settings may import this module

__all__ = ["User", "WatchwordAuthentication", "requires"]


class User:
    """The user of a request, made from the token's claims: not a row of any table."""

    is_authenticated = True
    is_active = True
    is_anonymous = False
    is_staff = False
    is_superuser = False

    def __init__(self, claims: Claims) -> None:
        self.id = self.pk = claims.sub
        self.roles = claims.roles
        self.scopes = tuple((claims.scope or "").split())

    def __str__(self) -> str:
        return self.id


class _Refused(APIException):
    """An error of Watchword, as DRF's exception handler reads it."""

    def __init__(self, request: Request, error: WatchwordError) -> None:
        answer = auth.refuse(request._request, error)  # noqa: SLF001 - no public way
        super().__init__()
        self.status_code = answer.status_code
        self.detail = msgspec.json.decode(answer.content)
        self.auth_header = answer.headers.get("www-authenticate")
        if isinstance(error, TryAgain):
            self.wait = max(1, error.retry_after)


class WatchwordAuthentication(BaseAuthentication):
    """`request.user` is a `User`, `request.auth` has the claims.

    An app with users of its own overrides `user_of`.
    """

    def authenticate(self, request: Request) -> tuple[Any, Claims] | None:
        try:
            claims = auth.session(request._request)  # noqa: SLF001
        except TokenMissing:
            return None  # other authentication classes, or permissions, decide
        except WatchwordError as error:
            raise _Refused(request, error) from None
        return self.user_of(claims), claims

    def authenticate_header(self, request: Request) -> str:
        return auth.challenge(request._request, TokenMissing())  # noqa: SLF001

    def user_of(self, claims: Claims) -> Any:  # noqa: ANN401 - the app's own, perhaps
        """The value of `request.user` for these claims."""
        return User(claims)


def requires(**needs: Unpack[Needs]) -> type[BasePermission]:
    """A permission class: the token must have all of this scope and these roles."""
    checked(needs)

    class Required(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            del view
            if not isinstance(request.auth, Claims):
                return False
            try:
                auth.require(request.auth, **needs)
            except WatchwordError as error:
                raise _Refused(request, error) from None
            return True

    return Required
