"""Django, for gunicorn and uvicorn."""

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    WATCHWORD={
        "database_url": "sqlite:///app.db",
        "authenticate": "tests.integrations.apps.people.check",
    },
)
django.setup()
urlpatterns = [path("", include("watchword.integrations.django.urls"))]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
