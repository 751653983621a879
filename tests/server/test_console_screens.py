"""The screens of the console that change something, by a browser without scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple

import httpx2
import pytest_asyncio

from tests.operated import OPERATOR, admin_of
from tests.rows import each
from tests.scenarios.api import PASSWORD
from tests.server.shown import parsed, text_of, with_class
from tests.server.visiting import Browser, Pages, pages_of
from watchword.core.actor import APP
from watchword.core.limits import ADMIN_RECENT, JWKS_MAX_AGE
from watchword.core.session import SessionOptions, as_text
from watchword.server.csrf import FIELD
from watchword.testing import ManualClock

# 64 characters from right to left: as long as a client's name may be.
RIGHT_TO_LEFT: Final = ("مرفأ المدينة القديمة للسفن " * 3)[:64]
LONG: Final = "maximiliane.wiesenhuetter-oberkirchner-x"
HOOK: Final = "https://93.184.216.34/hook"


class Operator(Browser):
    """A browser at the console. `pages` is the server."""

    def __init__(self, pages: Pages) -> None:
        super().__init__(pages.api.application)
        self.pages = pages

    def form(self, do: str) -> dict[str, str]:
        """What the form of that name on the page that is shown is sent with."""
        for form in parsed(self.page.text).iter("form"):
            fields = {}
            for one in form.iter():
                is_box = one.get("type") == "checkbox"
                if one.tag == "input" and (not is_box or "checked" in one.attrib):
                    fields[one.get("name", "")] = one.get("value", "")
                if one.tag == "textarea":
                    fields[one.get("name", "")] = one.text or ""
                if one.tag == "option" and "selected" in one.attrib:
                    fields["locale"] = one.get("value", "")
            if fields.get("do", "") == do:
                return fields
        raise AssertionError(f"no form {do}")

    async def press(self, screen: str, do: str, **given: str) -> httpx2.Response:
        """Fill in the form and send it."""
        await self.get(f"/console/{screen}")
        sent = self.form(do) | given
        self.page = await self.http.post(f"/console/{screen}", data=sent)
        return self.page

    async def done(self, screen: str, do: str, **given: str) -> str:
        """Do so, and what the next screen says then."""
        answer = await self.press(screen, do, **given)
        assert answer.status_code == 303, self.faults
        await self.get(f"/console/{answer.headers['location'].rpartition('/')[2]}")
        found = with_class(parsed(self.page.text), "notice")
        return " ".join(text_of(one) for one in found if one.get("role") == "status")

    async def secret(self, screen: str, do: str, **given: str) -> str:
        """Do so, and the secret that the answer itself shows."""
        answer = await self.press(screen, do, **given)
        assert (answer.status_code, self.faults) == (200, [])
        assert answer.headers["cache-control"] == "no-store"
        return self.shown["secret-1"]


@pytest_asyncio.fixture
async def operator(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Operator]:
    async with pages_of(tmp_path, clock, console="on") as pages:
        await pages.engine.accounts.register("root", PASSWORD, roles=["admin"])
        browser = Operator(pages)
        await browser.send("/sign-in", username="root", password=PASSWORD)
        yield browser


async def test_an_operator_changes_an_account(operator: Operator) -> None:
    engine = operator.pages.engine
    account = await engine.accounts.register(LONG, PASSWORD)
    screen = f"account?id={account.subject}"
    await operator.get("/console/accounts?q=MAXI")
    assert LONG in operator.page.text
    assert "root" not in text_of(next(parsed(operator.page.text).iter("table")))

    async def sign_in(client: str = "first-party") -> str:
        tokens = await engine.sign_in.by_password(
            "mia", PASSWORD, SessionOptions(client_id=client), address="192.0.2.1"
        )
        return tokens.session.sid

    fields = {"username": "mia", "email": "mia@example.org", "roles": "one two"}
    said = await operator.done(screen, "change", **fields, confirmed="yes", locale="de")
    assert said == "The account is changed."
    row = await engine.accounts.get("mia")
    assert (row.roles, row.locale, row.email) == (("one", "two"), "de", fields["email"])
    asked = await operator.done(screen, "change", email="new@example.org")
    assert "a message asks the new one" in asked
    assert await operator.pages.code_to("new@example.org")

    client, _ = await engine.clients.add("tides", confidential=False)
    assert engine.oauth is not None
    consents = engine.oauth.consents
    await consents.remember(account.id, client, ["openid"], [], by=APP)
    await sign_in("tides")
    first, _ = await sign_in(), await sign_in()
    said = await operator.done(screen, "withdraw", client="tides")
    assert said.endswith("one session of it ended.")
    assert await operator.done(screen, "end", session=first) == "One session ended."
    assert await operator.done(screen, "end", session=first) == "0 sessions ended."
    assert await operator.done(screen, "end-sessions") == "One session ended."
    assert "on its way" in await operator.done(screen, "send-reset")
    assert "disabled" in await operator.done(screen, "disable")
    assert (await engine.accounts.get("mia")).disabled
    assert "disabled, by admin root" in operator.page.text
    assert "enabled" in await operator.done(screen, "enable")
    assert "deleted" in await operator.done(screen, "delete")
    answer = await operator.get(f"/console/{screen}")
    assert answer.status_code == 404


async def test_an_operator_changes_clients_and_sees_their_secrets_once(
    operator: Operator,
) -> None:
    engine = operator.pages.engine
    uris = "https://a.example/back\r\nhttps://b.example/back"
    fields = {"name": RIGHT_TO_LEFT, "kind": "confidential", "redirect_uris": uris}
    secret = await operator.secret("clients?add=yes", "add", client="app", **fields)
    screen = "clients?client=app"
    client = await engine.clients.get("app")
    assert (client.name, len(client.redirect_uris)) == (RIGHT_TO_LEFT, 2)
    assert client.pkce
    said = await operator.done(
        screen, "change", redirect_uris="https://a.example/other", trusted="yes"
    )
    assert said == "The client is changed."
    client = await engine.clients.get("app")
    assert client.redirect_uris == ("https://a.example/other",)
    assert (client.trusted, client.name) == (True, RIGHT_TO_LEFT)
    again = await operator.secret(screen, "rotate-secret")
    assert again != secret
    assert "disabled" in await operator.done(screen, "disable")
    assert "enabled" in await operator.done(screen, "enable")
    said = await operator.done("clients?add=yes", "add", client="map", name="Map")
    assert said == "The client is added."
    for path in ("clients", screen, "clients?client=map"):
        await operator.get(f"/console/{path}")
        assert RIGHT_TO_LEFT in operator.page.text or "map" in path
        assert "ww_cs_" not in operator.page.text


async def test_an_operator_rotates_and_retires_keys(operator: Operator) -> None:
    keys = admin_of(operator.pages.engine).keys
    answer = await operator.press("keys", "rotate")
    assert answer.status_code == 409
    assert "was published less than" in operator.faults[0][1]
    operator.pages.api.clock.advance(JWKS_MAX_AGE)
    before = [one.kid for one in await keys.list()]
    assert "next key signs" in await operator.done("keys", "rotate")
    assert (await keys.list())[1].kid == before[0]
    assert "retired" in await operator.done("keys", "retire", kid=before[0])
    assert before[0] not in [one.kid for one in await keys.list()]


async def test_an_operator_invites_and_tests_the_mail(operator: Operator) -> None:
    said = await operator.done("mail", "invite", email="jo@example.org", roles="a b")
    assert said == "The invitation is on its way."
    assert await operator.pages.code_to("jo@example.org")
    assert "withdrawn" in await operator.done("mail", "withdraw")
    assert "jo@example.org" not in operator.page.text
    assert "handed over" in await operator.done("mail", "test", to="me@example.org")


async def test_an_operator_changes_webhooks_and_sees_their_secrets_once(
    operator: Operator,
) -> None:
    webhooks = admin_of(operator.pages.engine).webhooks
    fields = {"url": HOOK, "topics": "session.ended", "group-key.*": "yes"}
    secret = await operator.secret("webhooks?add=yes", "add", **fields)
    (status,) = await webhooks.list()
    assert set(status.webhook.topics) == {"session.ended", "key.*"}
    screen = f"webhooks?id={as_text(status.webhook.id)}"
    assert await operator.secret(screen, "rotate-secret") != secret
    assert "disabled" in await operator.done(screen, "disable")
    assert "enabled" in await operator.done(screen, "enable")
    assert "whsec_" not in operator.page.text
    assert "removed" in await operator.done(screen, "remove")
    assert await webhooks.list() == []


class Form(NamedTuple):
    """A form that changes something: where it is, and what it does."""

    screen: str
    do: str
    has_version: bool


def forms_of(subject: str, webhook: str) -> list[Form]:
    account, client = f"account?id={subject}", "clients?client=app"
    hook = f"webhooks?id={webhook}"
    return [
        *(
            Form(account, do, has_version=True)
            for do in ("disable", "end-sessions", "send-reset", "delete", "change")
        ),
        *(
            Form(client, do, has_version=True)
            for do in ("disable", "rotate-secret", "change")
        ),
        *(
            Form(hook, do, has_version=True)
            for do in ("disable", "rotate-secret", "remove")
        ),
        Form("clients?add=yes", "add", has_version=False),
        Form("webhooks?add=yes", "add", has_version=False),
        Form("keys", "rotate", has_version=False),
        Form("keys", "retire", has_version=False),
        Form("mail", "invite", has_version=False),
        Form("mail", "test", has_version=False),
    ]


async def test_no_form_does_anything_that_its_operator_did_not_mean(
    operator: Operator,
) -> None:
    """Not one without our token, of another site, of an older proof or version.

    What was typed is shown again beside what it is by now.
    """
    engine, http = operator.pages.engine, operator.http
    account = await engine.accounts.register("mia", PASSWORD)
    assert engine.self_service is not None
    changes = engine.self_service.email_changes
    await changes.assign(account.id, "mia@example.org", confirmed=True, by=APP)
    await engine.clients.add("app", confidential=True)
    hook, _ = await admin_of(engine).webhooks.add(OPERATOR, HOOK, ())
    forms = forms_of(account.subject, as_text(hook.id))
    typed = {"roles": "typed", "name": "typed", "client": "x", "email": "x@example.org"}
    last = await engine.stores.audit.last()
    for checks, form in each(forms):
        with checks:
            path = f"/console/{form.screen}"
            await operator.get(path)
            sent = operator.form(form.do) | typed
            tries: list[tuple[dict[str, str], dict[str, str], int]] = [
                (sent | {FIELD: ""}, {}, 303),
                (sent, {"Sec-Fetch-Site": "cross-site"}, 303),
            ]
            if form.has_version:
                stale = sent | {"version": str(int(sent["version"]) + 1)}
                tries += [(stale, {}, 412 if form.do == "change" else 303)]
            for data, headers, status in tries:
                operator.page = await http.post(path, data=data, headers=headers)
                assert operator.page.status_code == status
                if status == 412:
                    assert "typed" in operator.form("change").values()
                    assert operator.form("change")["version"] == sent["version"]
    operator.pages.api.clock.advance(ADMIN_RECENT + 1)
    for checks, form in each(forms):
        with checks:
            path = f"/console/{form.screen}"
            await operator.get(path)
            token = operator.form("")[FIELD]
            operator.page = await http.post(path, data={FIELD: token, "do": form.do})
            assert operator.page.status_code == 403
            assert operator.heading == "Confirm it is you"
    assert await engine.stores.audit.last() == last


async def test_a_form_says_what_is_wrong_and_keeps_what_was_typed(
    operator: Operator,
) -> None:
    engine = operator.pages.engine
    account = await engine.accounts.register("mia", PASSWORD)
    await engine.clients.add("app", confidential=False)
    one = f"account?id={account.subject}"
    rows: list[tuple[str, str, dict[str, str], int, str]] = [
        (one, "change", {"username": "root"}, 409, "username"),
        (one, "change", {"email": "mia@"}, 400, "email"),
        (one, "change", {"roles": 'a"b'}, 400, ""),
        ("clients?add=yes", "add", {"client": "app"}, 409, "client"),
        ("clients?add=yes", "add", {"client": "a b"}, 400, ""),
        ("clients?client=app", "change", {"redirect_uris": "http://x"}, 400, ""),
        ("mail", "invite", {"email": "jo@"}, 400, "email"),
        ("mail", "test", {"to": "jo@"}, 400, "to"),
        ("webhooks?add=yes", "add", {"url": "http://x.example"}, 400, ""),
        ("webhooks?add=yes", "add", {"url": HOOK, "topics": "no"}, 400, ""),
    ]
    for checks, (screen, do, fields, status, field) in each(rows):
        with checks:
            answer = await operator.press(screen, do, **fields)
            assert (answer.status_code, operator.faults[0][0]) == (status, field)
            shown = operator.form(do)
            assert fields.items() <= shown.items()
    answer = await operator.press(one, "change", roles="x" * 65)
    assert answer.status_code == 400
    root = await engine.accounts.get("root")
    said = await operator.done(f"account?id={root.subject}", "disable")
    assert "last account that can administer" in said
    for screen in (one[:-1], "clients?client=no", "webhooks?id=no", "nowhere"):
        answer = await operator.get(f"/console/{screen}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for screen in ("accounts", "clients", "sessions", "events"):
        answer = await operator.get(f"/console/{screen}?after=x")
        assert answer.status_code == 422
        assert operator.faults == [("", "This link is too old: search again")]
        assert "yet" not in text_of(parsed(answer.text))
