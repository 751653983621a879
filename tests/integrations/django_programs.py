"""What `test_django.py` runs, each in a process of its own: Django is set up once."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import threading
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.integrations.fakes import ISSUER, FakeIssuer
from tests.integrations.page_stories import BASE_URL, GIVEN, OWN, pages_story
from tests.integrations.stories import (
    BASE,
    NAME,
    PASSWORD,
    account_story,
    bearer,
    code_of,
    embedded_story,
    example,
    login,
    resource_story,
)
from tests.patience import PATIENCE
from watchword import verify
from watchword.errors import TokenInvalid

HOST: Final = "http://127.0.0.1"


def by_wsgi(app: Any) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.WSGITransport(app=app), base_url=HOST)


def by_asgi(app: Any) -> TestClient:
    return TestClient(app, base_url=HOST)


def embedded() -> None:
    """The example under WSGI, then the same under ASGI; both sides of CSRF."""
    program = example("django_embedded", keep=True)
    from django.core.asgi import get_asgi_application  # noqa: PLC0415

    program.auth.register(NAME, PASSWORD)
    for client in (by_wsgi(program.app), by_asgi(get_asgi_application())):
        embedded_story(client)
        answer = client.post(f"{BASE}/login", content=b"{}")
        assert code_of(answer) == "unsupported_media_type"
    subject = uuid.UUID(login(client)["sessionId"])
    assert program.auth.end_all(subject) == 0
    me = client.get(f"{BASE}/me", headers=bearer(login(client)["accessToken"])).json()
    assert program.auth.end_all(uuid.UUID(me["sub"])) > 0


def account() -> None:
    """The account of a user that has registered, also in an async view."""
    program = example("django_account", keep=True)
    auth = program.auth
    subject = account_story(by_wsgi(program.app))
    found = asyncio.run(auth.acall(auth.accounts.get_by_subject, subject))
    assert found.subject == subject
    assert asyncio.run(auth.aend_all(subject)) == 2


def imports() -> None:
    """Modules with decorated views are imported by two threads at once, and end.

    One of them is the module that the setting names. Its import waits until the other
    thread has `auth` in its hands, and then needs it as well.
    """
    from django.conf import settings  # noqa: PLC0415

    from watchword.integrations.django import auth  # noqa: PLC0415

    settings.configure(
        ROOT_URLCONF="watchword.integrations.django.urls",
        ALLOWED_HOSTS=["127.0.0.1"],
        WATCHWORD={"database_url": "memory:", "authenticate": "views_of_a.check"},
    )
    importing, touched = threading.Event(), threading.Event()
    sys.modules["meeting"] = meeting = ModuleType("meeting")
    meeting.importing, meeting.touched = importing, touched  # type: ignore[attr-defined]
    Path("views_of_a.py").write_text(VIEWS_OF_A)
    sys.path.insert(0, ".")
    thread = threading.Thread(target=importlib.import_module, args=["views_of_a"])
    thread.start()
    assert importing.wait(PATIENCE)
    # `auth` is made while the other thread holds the lock of the module's import.

    def touch() -> None:
        auth.required()
        touched.set()

    done = threading.Thread(target=touch)
    done.start()
    done.join(PATIENCE)
    thread.join(PATIENCE)
    assert not done.is_alive()
    assert not thread.is_alive()
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415

    assert login(by_wsgi(get_wsgi_application()))["sessionId"]
    auth.close()


VIEWS_OF_A = """
from meeting import importing, touched
from watchword import Subject
from watchword.integrations.django import auth

importing.set()
assert touched.wait(300)


@auth.required()
def view(request):
    pass


def check(given):
    return Subject(7)
"""


def misnamed() -> None:
    """The setting and the name are told, at the first sign-in and not before."""
    from django.conf import settings  # noqa: PLC0415
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415
    from django.test.utils import override_settings  # noqa: PLC0415

    settings.configure(
        ROOT_URLCONF="watchword.integrations.django.urls",
        ALLOWED_HOSTS=["127.0.0.1"],
        DEBUG_PROPAGATE_EXCEPTIONS=True,
    )
    client = by_wsgi(get_wsgi_application())
    body = {"username": NAME, "password": PASSWORD}
    for name in ("authenticate", "claims_hook", "before_registration"):
        for path in ("no_module.check", "os.no_function", "nodots"):
            given = {"database_url": "memory:", name: path}
            with override_settings(WATCHWORD=given):
                assert client.get("/.well-known/jwks.json").status_code == 200
                with pytest.raises(ImproperlyConfigured) as raised:
                    client.post(f"{BASE}/login", json=body)
                assert f"WATCHWORD['{name}'] is '{path}'" in str(raised.value)


def own_users() -> None:
    """The accounts are Django's; `request.user` too; a new password ends sessions."""
    program = example("drf_embedded", keep=True)
    from django.core.management import call_command  # noqa: PLC0415

    from watchword.integrations.django import auth  # noqa: PLC0415

    program.settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"  # the usual one takes a second
    ]
    call_command("migrate", verbosity=0)
    ann = program.User.objects.create_user(NAME, password=PASSWORD, is_staff=True)
    client = by_wsgi(program.app)
    embedded_story(client, str(uuid.UUID(int=ann.pk)), own_users=True)

    access = bearer(login(client)["accessToken"])
    assert client.get("/hello", headers=access).json()["name"] == NAME
    assert client.get(f"{BASE}/me", headers=access).json()["roles"] == ["staff"]
    ann.is_active = False
    ann.save()
    assert auth.end_all(ann.pk) == 1
    assert code_of(client.get("/hello", headers=access)) == "token_revoked"
    body = {"username": NAME, "password": PASSWORD}
    assert code_of(client.post(f"{BASE}/login", json=body)) == "invalid_credentials"


def api() -> None:
    """The example under ASGI, for its views are async."""
    elsewhere = fake_issuer()
    resource_story(by_asgi(example("django_api", keep=True).app), elsewhere)
    overridden(elsewhere)


def overridden(elsewhere: FakeIssuer) -> None:
    """The setting can be overridden in a test, and a view may let an error pass."""
    from django.http import JsonResponse  # noqa: PLC0415
    from django.test import AsyncRequestFactory, RequestFactory  # noqa: PLC0415
    from django.test.utils import override_settings  # noqa: PLC0415

    from watchword.integrations.django import auth  # noqa: PLC0415
    from watchword.integrations.django.middleware import (  # noqa: PLC0415
        WatchwordMiddleware,
    )

    def view(request: Any) -> JsonResponse:
        return JsonResponse({"hello": auth.session(request).sub})

    elsewhere.is_cut_off = False
    elsewhere.ended.clear()
    with override_settings(WATCHWORD={"issuer": ISSUER, "audience": "other"}):
        good = bearer(elsewhere.mint.token())
        assert view(RequestFactory().get("/", headers=good)).status_code == 200
        assert elsewhere.asked_for["audience"] == "other"
        middleware = WatchwordMiddleware(view)
        request = RequestFactory().get("/", headers=bearer("bad"))
        with pytest.raises(TokenInvalid) as raised:
            view(request)
        answer = middleware.process_exception(request, raised.value)
        assert answer is not None
        assert json.loads(answer.content)["code"] == "token_invalid"
        assert middleware.process_exception(request, ValueError()) is None
        asked = AsyncRequestFactory().get("/", headers=good)
        assert asyncio.run(auth.asession(asked)).sub == "u"


def rest() -> None:
    elsewhere = fake_issuer()
    resource_story(by_wsgi(example("drf_api", keep=True).app), elsewhere)
    from django.test import RequestFactory  # noqa: PLC0415
    from rest_framework.exceptions import APIException  # noqa: PLC0415
    from rest_framework.request import Request  # noqa: PLC0415
    from rest_framework.views import APIView  # noqa: PLC0415

    from watchword.integrations.django import drf  # noqa: PLC0415

    elsewhere.is_cut_off = False
    elsewhere.ended.clear()
    good = RequestFactory().get("/", headers=bearer(elsewhere.mint.token()))
    request = Request(good, authenticators=[drf.WatchwordAuthentication()])
    with pytest.raises(APIException) as raised:
        drf.requires(roles=["admin"])().has_permission(request, APIView())
    assert raised.value.status_code == 403
    detail: Any = raised.value.detail
    assert detail["code"] == "insufficient_role"


def fake_issuer() -> FakeIssuer:
    elsewhere = FakeIssuer()
    made = {"Verifier": elsewhere.verifier, "SyncVerifier": elsewhere.sync_verifier}
    vars(verify).update(made)
    return elsewhere


def pages(given: bool | str, place: str | None) -> None:  # noqa: FBT001 - as a setting
    """The app's own pages stand before ours, where Django looks first."""
    from django.conf import settings  # noqa: PLC0415
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415
    from django.http import HttpResponse  # noqa: PLC0415
    from django.urls import include, path  # noqa: PLC0415

    from watchword.integrations.django import auth  # noqa: PLC0415

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="routes",
        WATCHWORD={"database_url": "sqlite:///app.db", "pages": given, **GIVEN},
    )
    sys.modules["routes"] = routes = ModuleType("routes")
    app = get_wsgi_application()
    routes.urlpatterns = [  # type: ignore[attr-defined]
        path("forgot", lambda _: HttpResponse(OWN)),
        path("signed-out", lambda _: HttpResponse(OWN)),
        path("", include("watchword.integrations.django.urls")),
    ]
    auth.register(NAME, PASSWORD, roles=["admin"])
    client = httpx2.Client(transport=httpx2.WSGITransport(app=app), base_url=BASE_URL)
    pages_story(client, place)
    auth.close()
