from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from watchword.integrations.django import auth

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    WATCHWORD={"database_url": "sqlite:///app.db"},
)


@auth.required()
def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": auth.session(request).sub})


urlpatterns = [
    path("hello", hello),
    path("", include("watchword.integrations.django.urls")),
]
app = get_wsgi_application()
