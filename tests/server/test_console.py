"""The console: which browsers see it, and what its forms need."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.rows import each
from tests.scenarios.api import PASSWORD
from tests.server.visiting import pages_of
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
