import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from watchword.integrations.django import auth

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    WATCHWORD={
        "issuer": "https://auth.example",
        "audience": "api",
        "feed": ("orders-api", os.environ["FEED_SECRET"]),
    },
)


@auth.required()
async def hello(request: HttpRequest) -> JsonResponse:
    session = await auth.asession(request)
    return JsonResponse({"hello": session.sub})


@auth.required(scope=["orders"])
async def orders(request: HttpRequest) -> JsonResponse:
    return JsonResponse(["order 1"], safe=False)


urlpatterns = [path("hello", hello), path("orders", orders)]
app = get_asgi_application()
