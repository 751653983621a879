import os

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "watchword.integrations.django.drf.WatchwordAuthentication"
        ],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "UNAUTHENTICATED_USER": None,
    },
    WATCHWORD={
        "issuer": "https://auth.example",
        "audience": "api",
        "feed": ("orders-api", os.environ["FEED_SECRET"]),
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from watchword.integrations.django.drf import requires


@api_view()
def hello(request: Request) -> Response:
    return Response({"hello": request.user.pk})


@api_view()
@permission_classes([requires(scope=["orders"])])
def orders(request: Request) -> Response:
    return Response(["order 1"])


urlpatterns = [path("hello", hello), path("orders", orders)]
app = get_wsgi_application()
