import uuid

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}},
    WATCHWORD={
        "database_url": "sqlite:///sessions.db",
        "authenticate": f"{__name__}.check",
    },
)
django.setup()

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from rest_framework.decorators import (
    api_view,
    authentication_classes,
    permission_classes,
)
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from watchword import Credentials, Subject
from watchword.integrations.django.drf import WatchwordAuthentication
from watchword.verify import Claims


def check(given: Credentials) -> Subject | None:
    user = authenticate(username=given.username, password=given.password)
    if not isinstance(user, User):
        return None
    return Subject(user.pk, roles=("staff",) if user.is_staff else ())


class Sessions(WatchwordAuthentication):
    def user_of(self, claims: Claims) -> User:
        number = uuid.UUID(claims.sub).int
        user = User.objects.filter(pk=number, is_active=True).first()
        if user is None:
            raise AuthenticationFailed
        return user


@api_view()
@authentication_classes([Sessions])
@permission_classes([IsAuthenticated])
def hello(request: Request) -> Response:
    subject = uuid.UUID(int=request.user.pk)
    return Response({"hello": str(subject), "name": request.user.get_username()})


urlpatterns = [
    path("hello", hello),
    path("", include("watchword.integrations.django.urls")),
]
app = get_wsgi_application()
