"""Answers errors of Watchword that a view does not catch, in sync and async views."""

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
        """The answer to an error of Watchword; None for any other error."""
        if isinstance(error, WatchwordError):
            return auth.refuse(request, error)
        return None
