from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from watchword.integrations.django import auth

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["watchword.integrations.django.middleware.WatchwordMiddleware"],
    WATCHWORD={"database_url": "sqlite:///app.db", "registration": "open"},
)
ORDERS: dict[str, list[str]] = {}  # by `sub`, which never changes


@auth.required()
def orders(request: HttpRequest) -> JsonResponse:
    sub = auth.session(request).sub
    account = auth.call(auth.accounts.get_by_subject, sub)
    return JsonResponse({"of": account.email, "orders": ORDERS.get(sub, [])})


urlpatterns = [
    path("orders", orders),
    path("", include("watchword.integrations.django.urls")),
]
app = get_wsgi_application()
