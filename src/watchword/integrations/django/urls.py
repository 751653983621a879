"""The auth routes: `path("", include("watchword.integrations.django.urls"))`."""

from __future__ import annotations

import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from watchword.integrations.django import SETTING, auth
from watchword.server.embedded import operations_for, paths_of


# Django's CSRF token protects Django's cookie. Ours has rules of its own
# (docs/browser.md).
@csrf_exempt
async def serve(request: HttpRequest, **_: str) -> HttpResponse:
    """The view of all auth routes: the engine chooses the endpoint by the path."""
    return await auth.serve(request)


def _route(place: str) -> str:
    place = place.removeprefix("/").replace("{path:path}", "<path:rest>")
    return re.sub(r"\{\w+\}", "<str:name>", place)


# Read from the setting, because `auth` is made when it is first used and no earlier.
_given = getattr(settings, SETTING, {})
_operations = operations_for(
    own_users="authenticate" in _given, pages=_given.get("pages", True)
)
urlpatterns = [path(_route(place), serve) for place in paths_of(_operations)]
