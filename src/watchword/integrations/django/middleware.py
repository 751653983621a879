"""For views that let an error of Watchword pass: the answer to it, sync and async."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from watchword.errors import WatchwordError
from watchword.integrations.django import auth


class WatchwordMiddleware(MiddlewareMixin):
    """Answers errors of Watchword as problems, with their challenges."""

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> HttpResponse | None:
        """None for what is not ours."""
        if isinstance(error, WatchwordError):
            return auth.refuse(request, error)
        return None
