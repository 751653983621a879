"""RP-initiated logout: what a client's request ends, and where the user goes on to.

hint of this browser's group   it ends, without a question
any other request              a page asks: a link on any site could be one
no sign-in here                the session of the hint ends
anything wrong in it           a page, never a redirect
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest_asyncio

from tests.codes import APP, SHOP, App, an_app
from tests.groups import Group
from tests.scenarios.api import PASSWORD
from tests.server.shown import parsed, text_of
from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.server.csrf import FIELD
from watchword.server.sign_in_cookie import SIGN_IN_COOKIE

BYE: Final = "https://app.example/bye?from=us"
PATH: Final = "/oauth/logout"
ALL: Final = {"root", "app", "shop", "offline"}


class Site:
    """An app, two browsers of alice's and one of bob's, and ID tokens of theirs."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.group = Group(app)
        self.other = Group(app)
        self.bob = Group(app, "bob")
        self.hints: dict[str, str] = {}

    async def begin(self) -> None:
        for name, group in (
            ("here", self.group),
            ("other", self.other),
            ("bob", self.bob),
        ):
            group.cookie = ""
            await group.begin()
            self.app.root = group["root"]
            code = await self.app.code()
            answer = await self.app.redeem(code)
            self.hints[name] = answer.json()["id_token"]
            row = await self.app.row(code)
            assert row is not None
            group.rows["app"] = row

    async def get(self, **fields: str) -> httpx2.Response:
        """The answer to the browser that is signed in here."""
        client = self.app.api.client
        return await client.get(PATH, params=fields, headers=self.cookie())

    async def get_elsewhere(self, **fields: str) -> httpx2.Response:
        """The answer to one that is not."""
        return await self.app.api.client.get(PATH, params=fields)

    def cookie(self) -> dict[str, str]:
        return {"cookie": f"{SIGN_IN_COOKIE}={self.group.cookie}"}


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with an_app(tmp_path) as app:
        await app.engine.accounts.register("bob", PASSWORD)
        await app.change(APP, post_logout_redirect_uris=(BYE,))
        made = Site(app)
        await made.begin()
        yield made


def answered(answer: httpx2.Response) -> str:
    """`asks`, `page`, or the address of a redirect."""
    if answer.status_code == 303:
        return answer.headers["location"]
    assert answer.status_code == 200, answer.text
    return "asks" if 'method="post"' in answer.text else "page"


GOES_BACK: Final = {"post_logout_redirect_uri": BYE, "state": "a b&c"}
ALTERED: Final = {"post_logout_redirect_uri": f"{BYE}&more=1", "state": "s"}
FOREIGN: Final = {"post_logout_redirect_uri": "https://evil.example/", "state": "s"}
BACK_AT_CLIENT: Final = f"{BYE}&state=a%20b%26c"
# The hint, the other parameters, what is answered, and whether the group has ended.
SIGNED_IN: Final[list[tuple[str, dict[str, str], str, bool]]] = [
    ("", {}, "asks", False),
    ("", {"state": "s"}, "asks", False),
    ("", {"client_id": APP, **GOES_BACK}, "asks", False),
    ("", FOREIGN, "asks", False),
    ("here", {}, "page", True),
    ("here", {"state": "s"}, "page", True),
    ("here", {"client_id": APP}, "page", True),
    ("here", {"post_logout_redirect_uri": BYE}, BYE, True),
    ("here", GOES_BACK, BACK_AT_CLIENT, True),
    ("here", {"client_id": APP, **GOES_BACK}, BACK_AT_CLIENT, True),
    ("here", ALTERED, "page", True),
    ("here", FOREIGN, "page", True),
    ("here", {"client_id": SHOP, **GOES_BACK}, "asks", False),
    ("other", GOES_BACK, "asks", False),
    ("bob", GOES_BACK, "asks", False),
    ("modified", GOES_BACK, "asks", False),
    ("access token", GOES_BACK, "asks", False),
    ("no token", {"client_id": APP, **GOES_BACK}, "asks", False),
]


async def test_what_a_request_ends_where_a_browser_is_signed_in(site: Site) -> None:
    """Nothing but a genuine hint of its own group ends it without a question."""
    for hint, fields, expected, ends in SIGNED_IN:
        await site.begin()
        sent = fields | ({"id_token_hint": hint_of(site, hint)} if hint else {})
        answer = await site.get(**sent)
        found = answered(answer), await site.group.alive()
        assert found == (expected, {"offline"} if ends else ALL), (hint, fields)
        assert ("Max-Age=0" in str(answer.headers)) is ends
        assert await site.other.alive() == await site.bob.alive() == ALL


def hint_of(site: Site, name: str) -> str:
    if name == "modified":
        head, body, signature = site.hints["here"].split(".")
        return ".".join((head, body[:-4] + "AAAA", signature))
    return site.hints.get(name, name)


SIGNED_OUT: Final[list[tuple[str, dict[str, str], str, bool]]] = [
    ("", {}, "page", False),
    ("", {"client_id": APP, **GOES_BACK}, BACK_AT_CLIENT, False),
    ("", GOES_BACK, "page", False),
    ("", {"client_id": "unknown", **GOES_BACK}, "page", False),
    ("here", GOES_BACK, BACK_AT_CLIENT, True),
    ("here", ALTERED, "page", True),
    ("here", {"client_id": SHOP, **GOES_BACK}, "page", False),
    ("modified", {"client_id": APP, **GOES_BACK}, "page", False),
]


async def test_without_a_sign_in_the_session_of_the_hint_ends_alone(site: Site) -> None:
    for hint, fields, expected, ends in SIGNED_OUT:
        await site.begin()
        sent = fields | ({"id_token_hint": hint_of(site, hint)} if hint else {})
        answer = await site.get_elsewhere(**sent)
        alive = ALL - {"app"} if ends else ALL
        assert (answered(answer), await site.group.alive()) == (expected, alive), fields


async def test_a_hint_that_has_expired_is_as_good_and_so_is_a_session_that_has_ended(
    site: Site,
) -> None:
    """A client may end its own session first."""
    member = site.group["app"]
    reason = EndReason.REVOKED_BY_CLIENT
    await site.app.engine.sessions.end_one(member.id, reason)
    site.app.clock.advance(2 * limits.ID_TOKEN_TTL)
    answer = await site.get(id_token_hint=site.hints["here"], **GOES_BACK)
    assert answered(answer) == BACK_AT_CLIENT
    assert await site.group.alive() == {"offline"}


async def test_the_group_ends_where_the_sign_in_of_the_browser_has_run_out(
    site: Site,
) -> None:
    """Its clients are signed in for longer than the browser is at this server."""
    site.app.clock.advance(limits.SIGN_IN_IDLE + 1)
    # A request that any site can make ends nothing, and the browser keeps its cookie:
    # by that, a later sign-in ends what is left.
    answer = await site.get(client_id=APP)
    assert answered(answer) == "page"
    assert SIGN_IN_COOKIE not in str(answer.headers)
    assert await site.group.alive() == ALL - {"root"}
    answer = await site.get(id_token_hint=site.hints["here"], **GOES_BACK)
    assert answered(answer) == BACK_AT_CLIENT
    assert await site.group.alive() == {"offline"}
    assert await site.other.alive() == ALL - {"root"}


async def test_a_client_that_is_disabled_or_has_changed_gets_no_user_back(
    site: Site,
) -> None:
    """Also between the question and its answer."""
    asked = await site.get(client_id=APP, **GOES_BACK)
    await site.app.change(APP, post_logout_redirect_uris=())
    assert answered(await confirm(site, asked)) == "page"
    await site.app.change(APP, post_logout_redirect_uris=(BYE,), disabled=True)
    answer = await site.get_elsewhere(client_id=APP, **GOES_BACK)
    assert answered(answer) == "page"


async def test_the_page_asks_and_the_answer_ends_the_group(site: Site) -> None:
    """Its form may end at the client, and without its token it ends nothing.

    Then it asks once more, for the same client.
    """
    asked = await site.get(client_id=APP, **GOES_BACK)
    (apps,) = parsed(asked.text).iter("ul")
    assert set(text_of(apps).split()) == {APP, SHOP}
    once_more = await confirm(site, asked, proof=False)
    assert once_more.status_code == 403
    assert await site.group.alive() == ALL
    for page in (asked, once_more):
        policy = page.headers["content-security-policy"]
        assert "form-action 'self' https://app.example" in policy
    answer = await confirm(site, once_more)
    assert answered(answer) == BACK_AT_CLIENT
    assert await site.group.alive() == {"offline"}


async def test_a_question_that_is_answered_too_late_leads_to_no_client(
    site: Site,
) -> None:
    asked = await site.get(client_id=APP, **GOES_BACK)
    site.app.clock.advance(limits.INTERACTION_LIFE + 1)
    assert answered(await confirm(site, asked)) == "page"
    assert await site.group.alive() == {"offline"}


async def test_a_post_goes_on_by_get_with_its_request_in_a_ticket(site: Site) -> None:
    """A browser sends no cookie with a POST of another site, and a query is logged."""
    client = site.app.api.client
    sent = {"id_token_hint": site.hints["here"], **GOES_BACK}
    first = await client.post(PATH, data=sent)
    assert first.status_code == 303
    assert await site.group.alive() == ALL
    place = first.headers["location"]
    assert place.startswith("logout?request=ww_lo_")
    answer = await client.get(f"/oauth/{place}", headers=site.cookie())
    assert answered(answer) == BACK_AT_CLIENT
    assert await site.group.alive() == {"offline"}
    # The ticket lives for a minute: afterwards it is a request without parameters.
    await site.begin()
    site.app.clock.advance(limits.PAR_LIFE + 1)
    answer = await client.get(f"/oauth/{place}", headers=site.cookie())
    assert answered(answer) == "asks"


async def test_what_is_malformed_is_a_page_and_ends_nothing(site: Site) -> None:
    client, cookie = site.app.api.client, site.cookie()
    hint = site.hints["here"]
    long = {"state": "s" * limits.TICKET_MAX}
    answers = [
        await client.get(f"{PATH}?state=a&state=b", headers=cookie),
        await client.get(PATH, params=long, headers=cookie),
        await client.post(PATH, data=long, headers=cookie),
        await client.post(PATH, json={"id_token_hint": hint}, headers=cookie),
    ]
    assert [one.status_code for one in answers] == [400, 400, 400, 415]
    assert all("text/html" in one.headers["content-type"] for one in answers)
    assert await site.group.alive() == ALL


async def test_a_browser_that_looks_ahead_is_not_signed_out(site: Site) -> None:
    for purpose in ("prefetch", "prefetch;prerender"):
        headers = site.cookie() | {"sec-purpose": purpose}
        params = {"id_token_hint": site.hints["here"]}
        answer = await site.app.api.client.get(PATH, params=params, headers=headers)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert "set-cookie" not in answer.headers
    headers, params = site.cookie(), {"id_token_hint": site.hints["here"]}
    answer = await site.app.api.client.head(PATH, params=params, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)
    assert await site.group.alive() == ALL


async def confirm(
    site: Site, asked: httpx2.Response, *, proof: bool = True
) -> httpx2.Response:
    """Press the button of the question."""
    fields: dict[str, Any] = {}
    for field in parsed(asked.text).iter("input"):
        fields[field.get("name", "")] = field.get("value", "")
    form = next(one for one in parsed(asked.text).iter("form"))
    place = urlsplit(str(asked.url)).path.rsplit("/", 1)[0] + "/"
    cookies = [one.split(";")[0] for one in asked.headers.get_list("set-cookie")]
    cookie = "; ".join([asked.request.headers["cookie"], *cookies])
    if not proof:
        fields[FIELD] = "x"
    action = form.get("action") or PATH
    url = action if action.startswith("/") else f"{place}{action}"
    headers = {"cookie": cookie, "sec-fetch-site": "same-origin"}
    return await site.app.api.client.post(url, data=fields, headers=headers)
