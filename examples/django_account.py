from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.http import require_POST

from watchword.integrations.django import auth

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["watchword.integrations.django.middleware.WatchwordMiddleware"],
    WATCHWORD={"database_url": "sqlite:///app.db"},
)


@auth.required()
def show_account(request: HttpRequest) -> JsonResponse:
    session = auth.session(request)
    account = auth.call(auth.accounts.get_by_subject, session.sub)
    devices = [
        {"id": one.sid, "device": one.user_agent, "here": one.sid == session.sid}
        for one in auth.call(auth.sessions.list_of_account, account.id)
    ]
    return JsonResponse({"name": account.name, "devices": devices})


@require_POST
@auth.required()
def change_password(request: HttpRequest) -> JsonResponse:
    session = auth.session(request)
    account = auth.call(auth.accounts.get_by_subject, session.sub)
    old, new = request.POST.get("old", ""), request.POST.get("new", "")
    address = request.META.get("REMOTE_ADDR", "")
    auth.call(auth.sign_in.check_password, account.name, old, address=address)
    keep = session.sid
    ended = auth.call(auth.accounts.set_password, account.id, new, keep_session=keep)
    return JsonResponse(ended, safe=False)


@require_POST
@auth.required()
def sign_out_elsewhere(request: HttpRequest) -> JsonResponse:
    session = auth.session(request)
    return JsonResponse(auth.end_all(session.sub, but=session.sid), safe=False)


urlpatterns = [
    path("account", show_account),
    path("account/password", change_password),
    path("account/sign-out-elsewhere", sign_out_elsewhere),
    path("", include("watchword.integrations.django.urls")),
]
app = get_wsgi_application()
