"""The console: which browsers see it, and what its forms need."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from tests.rows import each
from tests.scenarios.api import PASSWORD
from tests.server.shown import parsed, text_of
from tests.server.visiting import pages_of
from watchword.core.limits import HOUR
from watchword.ports.audit import Trail
from watchword.ports.credentials import Credential, CredentialKind
from watchword.testing import ManualClock

OVERVIEW: Final = "/console/overview"


async def test_signed_out_one_comes_back_from_the_sign_in_and_without_the_role_gets_404(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Also past a proof that the account can give and the session lacks."""
    async with pages_of(tmp_path, clock, console="on") as pages:
        await pages.engine.accounts.register("root", PASSWORD, roles=["admin"])
        admin, user, to = pages.browser(), pages.browser(), ""
        for browser, name in ((admin, "root"), (user, "alice")):
            asked = await browser.get("/console/overview?type=session.*&account=")
            assert asked.status_code == 303
            to = asked.headers["location"]
            assert to == "../sign-in?then=console%2Foverview%3Ftype%3Dsession.%252A"
            sent = await browser.send(to[2:], username=name, password=PASSWORD)
            assert sent.headers["location"] == "console/overview?type=session.%2A"
        assert (await user.get(OVERVIEW)).status_code == 404
        assert (await admin.get(OVERVIEW)).status_code == 200
        # A page of the sign-in that is still open leads on too.
        assert (await admin.get(to[2:])).headers["location"].startswith("console/")
        root = await pages.engine.accounts.get("root")
        factor = Credential(
            id=b"f" * 16, account_id=root.id, kind=CredentialKind.TOTP, created_at=0
        )
        await pages.engine.stores.credentials.add([factor], Trail())
        assert (await admin.get(OVERVIEW)).headers["location"] == (
            "../prove?then=console%2Foverview"
        )
        await pages.engine.accounts.register("other", PASSWORD, roles=["admin"])
        await pages.engine.accounts.set_roles(root.id, [])
        assert (await admin.get(OVERVIEW)).status_code == 404


async def test_no_link_leads_away_by_the_way_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    wrong = (
        *("https://evil.example", "//evil.example", "console//evil.example"),
        *("console/../account", "console.evil.example", "/console", "consoles"),
        *("console/overview/x", "console\\evil", "console/%2e%2e", "account"),
    )
    async with pages_of(tmp_path, clock, console="on") as pages:
        browser = pages.browser()
        for checks, then in each(wrong):
            with checks:
                sent = await browser.send(
                    f"/sign-in?then={then}", username="alice", password=PASSWORD
                )
                assert sent.headers["location"] == "account"


async def test_there_is_a_console_where_the_setting_says_so(
    tmp_path: Path, clock: ManualClock
) -> None:
    """For others it is not there at all, not even its sign-in."""
    here, there = "127.0.0.1", "198.51.100.7"
    for setting, statuses in (
        ("on", (303, 303)),
        ("loopback", (303, 404)),
        ("off", (404, 404)),
    ):
        async with pages_of(tmp_path, clock, console=setting) as pages:
            for address, status in zip((here, there), statuses, strict=True):
                asked = await pages.browser(address).get(OVERVIEW)
                assert asked.status_code == status, (setting, address)


async def test_events_are_searched_downloaded_and_followed(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with pages_of(tmp_path, clock, console="on") as pages:
        await pages.engine.accounts.register("root", PASSWORD, roles=["admin"])
        browser = pages.browser()
        await browser.send("/sign-in", username="alice", password="wrong")
        await browser.send("/sign-in", username="root", password=PASSWORD)
        events = "/console/events"

        async def shown(query: str) -> list[str]:
            answer = await browser.get(f"{events}?{query}")
            assert answer.status_code == 200
            rows = parsed(answer.text).iter("tr")
            words = [text_of(next(row.iter("th"))) for row in rows][1:]
            return [re.split(r"\d", one)[0] for one in words]

        assert await shown("account=alice") == ["sign_in.failed", "account.created"]
        assert await shown("account=alice&type=sign_in.*") == ["sign_in.failed"]
        assert await shown("type=session.started") == ["sign_in.succeeded"]
        assert await shown("address=192.0.2.1") == []
        assert await shown("from=2027-01-15T08:00&to=2027-01-15T08:00") == []
        for wrong in ("type=nonsense", "account=nobody", "from=soon", "session=x"):
            assert (await browser.get(f"{events}?{wrong}")).status_code == 422
            assert len(browser.faults) == 1
        lines = (await browser.get(f"{events}?type=sign_in.*&format=jsonl")).text
        found = [json.loads(line) for line in lines.splitlines()]
        assert [one["type"] for one in found] == [
            "authn_login_success",
            "authn_login_fail",
        ]
        last = found[0]["sequence"]
        following = f"{events}?part=rows&since={last}"
        assert "<tr" not in (await browser.get(following)).text
        other = pages.browser()
        await other.send("/sign-in", username="alice", password="wrong")
        fresh = (await browser.get(following)).text
        assert fresh.count("<tr") == 1
        assert "alice" in fresh
        for wrong in ("", "x", "-1", "9" * 40):
            asked = await browser.get(f"{events}?part=rows&since={wrong}")
            assert asked.status_code == 400


async def test_sessions_are_ended_one_by_one_and_all_before_a_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with pages_of(tmp_path, clock, console="on") as pages:
        await pages.engine.accounts.register("root", PASSWORD, roles=["admin"])
        user, screen = pages.browser(), "/console/sessions"
        await user.send("/sign-in", username="alice", password=PASSWORD)
        admin = pages.browser()
        clock.advance(HOUR)
        await admin.send("/sign-in", username="root", password=PASSWORD)
        before = {"do": "end-before", "before": "2027-01-15T08:30"}
        for typed in ("", "soon", "2028-01-01T00:00"):
            answer = await admin.send(screen, **before | {"before": typed})
            assert answer.status_code == 422
            assert [field for field, _ in admin.faults] == ["before"]
            assert '<dialog id="end-before" open' in answer.text
        # A form that is none of ours ends nothing.
        unknown = await admin.send(screen, **before | {"do": "end-all"})
        assert unknown.status_code == 400
        await admin.send(screen, **before)
        assert (await admin.get(screen)).status_code == 200
        assert admin.notice == "One session ended."
        assert "alice" not in admin.page.text
        assert (await user.get("/account")).headers["location"] == "sign-in"
        # The notice is shown once, and no link can make a screen show one.
        assert (await admin.get(f"{screen}?notice=sessions_ended")).text.count(
            "sessions ended"
        ) == 0
        gone = await admin.send(screen, do="end", session="nonsense")
        assert gone.headers["location"] == "../console/sessions"
        assert "not there any more" in (await admin.get(screen)).text
