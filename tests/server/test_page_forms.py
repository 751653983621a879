"""Pages as they are served: headers, language, errors, and who may send a form."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response

from tests.scenarios.api import LocalApi, local_api, settings_for
from tests.server.shown import parsed, text_of
from watchword import errors
from watchword.server.csrf import FIELD, FORM_COOKIE, form_token, read_page_form
from watchword.server.edge import Edge
from watchword.server.endpoints.pages.files import FILES
from watchword.server.operation import Operation
from watchword.server.page_response import page_of
from watchword.server.pages.views import SignIn
from watchword.server.problems import ErrorFormat, Internal
from watchword.server.routing import routed
from watchword.testing import ManualClock, SeededEntropy

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


async def sign_in(request: Request) -> Response:
    """A page with a form: as the pages will be served, without what stands behind."""
    return page_of(request, SignIn(has_forgot=True))


async def signed_in(request: Request) -> Response:
    form = await read_page_form(request)
    return Response(f"as {form.need('username')}")


FAULTS: Final[dict[str, Exception]] = {
    "unknown": errors.NotFound(),
    "forged": errors.CsrfRejected(),
    "soon": errors.Throttled(retry_after=7),
    "minutes": errors.Throttled(retry_after=241),
    "store": errors.StoreUnavailable(),
    "odd": errors.InvalidRequest(),
    "ours": ValueError("canary"),
}
PAGES: Final = tuple(
    Operation(method=method, path=path, handler=handler, error_format=ErrorFormat.PAGE)
    for method, path, handler in (
        ("GET", "/sign-in", sign_in),
        ("POST", "/sign-in", signed_in),
    )
)


def application_of(api: LocalApi, *operations: Operation) -> httpx2.AsyncClient:
    inner = Edge(routed(operations), operations, log=None)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "state": {"watchword": api.engine}}, receive, send)

    # A fault of ours is answered, and then raised for the log of the server.
    transport = httpx2.ASGITransport(application, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="https://auth.example")


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    origins = ("https://app.example",)
    settings = settings_for(tmp_path, "memory", cors_origins=origins)
    async with local_api(settings, clock) as opened:
        yield opened


@pytest_asyncio.fixture
async def pages(api: LocalApi) -> AsyncIterator[httpx2.AsyncClient]:
    async with application_of(api, *PAGES) as client:
        yield client


async def test_a_page_is_sent_with_the_policy_and_kept_nowhere(
    pages: httpx2.AsyncClient,
) -> None:
    for page in (await pages.get("/sign-in"), await pages.put("/sign-in")):
        assert page.headers.get_list("content-security-policy") == [POLICY]
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"


async def test_a_page_says_whose_it_is_by_the_issuer_alone(
    pages: httpx2.AsyncClient,
) -> None:
    page = await pages.get(
        "/sign-in", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    )
    assert "evil" not in page.text
    (foot,) = parsed(page.text).iter("footer")
    assert "You are on auth.example" in text_of(foot)


@pytest.mark.parametrize(
    ("name", "status", "code", "says"),
    [
        ("unknown", 404, "not_found", "There is no such page"),
        ("forged", 403, "csrf_rejected", "This was not accepted"),
        ("soon", 429, "throttled", "Wait a moment, then try again."),
        ("minutes", 429, "throttled", "Try again in 5 minutes."),
        ("store", 503, "store_unavailable", "Nothing was changed."),
        ("odd", 400, "invalid_request", "This request cannot be answered"),
        ("ours", 500, Internal.code, "Something went wrong on our side"),
    ],
)
async def test_an_error_is_a_page(
    api: LocalApi, name: str, status: int, code: str, says: str
) -> None:
    """With the reason to pass on, in the user's language, and without any detail."""
    paths = [f"/{fault}" for fault in FAULTS]
    operations = [
        Operation(
            method="GET",
            path=path,
            handler=raising(FAULTS[path[1:]]),
            error_format=ErrorFormat.PAGE,
        )
        for path in paths
    ]
    async with application_of(api, *operations) as client:
        page = await client.get(f"/{name}")
        german = await client.get(f"/{name}", headers={"Accept-Language": "de"})
    assert page.status_code == status
    assert page.headers.get_list("content-security-policy") == [POLICY]
    document = parsed(page.text)
    assert says in text_of(document)
    assert code in [text_of(one) for one in document.iter("code")]
    assert "canary" not in page.text
    assert ("retry-after" in page.headers) == (status in {429, 503})
    assert parsed(german.text).get("lang") == "de"


def raising(error: Exception) -> Any:
    async def handler(_: Request) -> Response:
        raise error

    return handler


async def test_where_a_template_of_an_operator_fails_the_error_page_is_ours(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What it lacks is known when it is rendered, and is told to the log alone."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/gate.html").write_text("{{ canary.found }}")
    settings = settings_for(tmp_path, "memory", templates=tmp_path)
    async with (
        local_api(settings, clock) as api,
        application_of(api, *PAGES) as client,
    ):
        page = await client.get("/sign-in")
    assert page.status_code == 500
    assert page.headers.get_list("content-security-policy") == [POLICY]
    assert "Something went wrong on our side" in text_of(parsed(page.text))
    assert "canary" not in page.text
    assert "canary" in caplog.text


OURS: Final = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    ("headers", "change", "accepted"),
    [
        (OURS, {}, True),
        # As a browser sends it that has no Sec-Fetch-Site, if a referrer is allowed.
        ({"Origin": "https://auth.example"}, {}, True),
        ({}, {}, True),
        # A page without a referrer sends this Origin. The other header has to say more.
        (OURS | {"Origin": "null"}, {}, True),
        ({"Origin": "null"}, {}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, {}, False),
        (
            {"Sec-Fetch-Site": "same-site", "Origin": "https://x.auth.example"},
            {},
            False,
        ),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, {}, False),
        ({"Sec-Fetch-Site": "cross-site"}, {}, False),
        # It may call the API, and that is all.
        ({"Origin": "https://app.example"}, {}, False),
        (OURS, {"token": ""}, False),
        (OURS, {"token": "AAAA"}, False),
        (OURS, {"token": "A" * 64}, False),
        (OURS, {"token": "ä"}, False),
        (OURS, {"cookie": ""}, False),
        (OURS, {"cookie": f"{FORM_COOKIE}=AAAAAAAAAAAAAAAAAAAAAA"}, False),
        (OURS, {"cookie": f"{FORM_COOKIE}=short"}, False),
        (OURS, {"twice": "1"}, False),
    ],
)
async def test_a_form_is_accepted_from_our_own_pages_alone(
    pages: httpx2.AsyncClient,
    headers: dict[str, str],
    change: dict[str, str],
    accepted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    token, cookie = await opened(pages)
    token = change.get("token", token)
    cookie = change.get("cookie", cookie)
    if "twice" in change:
        cookie = f"{cookie}; {cookie}"
    sent = {"Cookie": cookie} if cookie else {}
    answer = await pages.post(
        "/sign-in", data={FIELD: token, "username": "mara"}, headers=headers | sent
    )
    assert answer.status_code == (200 if accepted else 403)
    if accepted:
        assert answer.text == "as mara"
    else:
        assert "csrf_rejected" in answer.text


async def opened(pages: httpx2.AsyncClient, cookie: str = "") -> tuple[str, str]:
    """The token of the page, and the cookie that the browser has then."""
    pages.cookies.clear()
    page = await pages.get("/sign-in", headers={"Cookie": cookie} if cookie else {})
    pages.cookies.clear()
    inputs = parsed(page.text).iter("input")
    (token,) = [one.get("value", "") for one in inputs if one.get("name") == FIELD]
    new = page.headers.get("set-cookie", "")
    assert bool(new) != bool(cookie)
    if new:
        name = re.escape(FORM_COOKIE)
        shape = rf"({name}=[\w-]{{22}}); Path=/; Secure; HttpOnly; SameSite=Lax"
        (cookie,) = re.fullmatch(shape, new).groups()  # type: ignore[union-attr]
    return token, cookie


async def test_a_second_tab_makes_no_form_of_the_first_one_void(
    pages: httpx2.AsyncClient,
) -> None:
    """The cookie stays; the tokens differ, and each is good, also twice."""
    first, cookie = await opened(pages)
    second, same = await opened(pages, cookie)
    assert same == cookie
    assert second != first
    for token in (first, second, first):
        answer = await pages.post(
            "/sign-in",
            data={FIELD: token, "username": "mara"},
            headers=OURS | {"Cookie": cookie},
        )
        assert answer.status_code == 200


async def test_the_token_of_another_browser_is_refused(
    pages: httpx2.AsyncClient, api: LocalApi
) -> None:
    """So a foreign page cannot have its own token sent with this browser's cookie."""
    ours = form_token(_request(), SeededEntropy("one"))
    theirs = form_token(_request(), SeededEntropy("two"))
    cookie = ours.set_cookie.partition(";")[0]
    for token, status in ((ours.token, 200), (theirs.token, 403)):
        answer = await pages.post(
            "/sign-in",
            data={FIELD: token, "username": "mara"},
            headers=OURS | {"Cookie": cookie},
        )
        assert answer.status_code == status


def _request() -> Request:
    return Request({"type": "http", "headers": []})


async def test_the_files_of_the_pages_are_served_and_no_others(api: LocalApi) -> None:
    for name, (_, media_type) in FILES.items():
        answer = await api.client.get(f"/pages/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media_type
        assert answer.headers["cache-control"] == "no-cache"
    assert (await api.client.get("/pages/sign-in.html")).status_code == 404


@pytest.mark.parametrize(
    ("query", "header", "link"),
    [
        ("", "de", "forgot"),
        ("?ui_locales=de", "en", "forgot?ui_locales=de"),
        ("?ui_locales=fr", "de", "forgot"),
        ('?ui_locales=de">', "en", "forgot"),
        ("?ui_locales=de-CH%20fr", "en", "forgot?ui_locales=de"),
    ],
)
async def test_links_keep_the_language_that_was_asked_for(
    pages: httpx2.AsyncClient, query: str, header: str, link: str
) -> None:
    page = await pages.get(f"/sign-in{query}", headers={"Accept-Language": header})
    links = [one.get("href") for one in parsed(page.text).iter("a")]
    assert link in links
