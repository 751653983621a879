"""Django, for gunicorn and uvicorn."""

from collections.abc import Callable

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def look(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """As a middleware does that logs bodies."""

    def respond(request: HttpRequest) -> HttpResponse:
        if "X-Look" in request.headers:
            assert isinstance(request.body, bytes)
        return get_response(request)

    return respond


settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", f"{__name__}.look"],
    WATCHWORD={
        "database_url": "sqlite:///app.db",
        "authenticate": "tests.integrations.apps.people.check",
    },
)
django.setup()
urlpatterns = [path("", include("watchword.integrations.django.urls"))]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
