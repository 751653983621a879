"""Data folders of the versions that were published: today's takes them as they are.

Each was made by that version itself: an operator's account, ann with a session, bob who
is disabled, and a client.
"""

from __future__ import annotations

import base64
import re
import sqlite3
from pathlib import Path

import jwt
import pytest

from watchword.bootstrap import Watchword, open_watchword
from watchword.config import load_settings
from watchword.core.actor import SYSTEM
from watchword.core.limits import SECOND, TOTP_STEP
from watchword.core.session import SessionOptions
from watchword.core.totp import code_at
from watchword.errors import InvalidCredentials, SecondFactorRequired
from watchword.factors.proof import FactorProof, Method
from watchword.ports.audit import EventFilter, EventType
from watchword.sign_in.continuation import Binding
from watchword.testing import ManualClock

FOLDERS = Path(__file__).with_name("old_folders")
PASSWORD = "four words make a phrase"
NEW = "five other words make one"


def restored(version: str, folder: Path) -> dict[str, str]:
    """The folder as that version left it, and what its users had."""
    dumped = (FOLDERS / f"{version}.sql").read_text()
    had = dict(re.findall(r"^-- ([a-z ]+): (\S+)$", dumped, re.MULTILINE))
    with sqlite3.connect(folder / "watchword.db") as database:
        database.executescript(dumped)
    database.close()
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(f"{had['secret']}\n")
    return had


@pytest.mark.parametrize("version", sorted(one.stem for one in FOLDERS.iterdir()))
async def test_a_folder_of_a_version_before_goes_on(
    version: str, tmp_path: Path
) -> None:
    """All that worked works, and its accounts get what they did not have."""
    had = restored(version, tmp_path)
    unverified = jwt.decode(had["access token"], options={"verify_signature": False})
    clock = ManualClock((unverified["iat"] + 1) * SECOND)
    settings = load_settings(data=tmp_path, issuer=unverified["iss"])
    async with open_watchword(settings, clock=clock, background=False) as watchword:
        await watchword.start(reseal=True)
        assert watchword.checker.verify(had["access token"]).sid == unverified["sid"]
        issued = await watchword.sessions.refresh(
            had["refresh token"], client_id="first-party"
        )
        assert watchword.checker.verify(issued.access_token).sid == unverified["sid"]
        client = await watchword.client_authentication.authenticate(
            "billing", had["client secret"], address=""
        )
        assert client.id == "billing"
        check = watchword.sign_in.check_password
        assert (await check("ann", PASSWORD)).roles == ("reader",)
        with pytest.raises(InvalidCredentials):
            await check("bob", PASSWORD)
        service, sender = watchword.self_service, watchword.mail
        assert service is not None
        assert sender is not None
        ann = await watchword.accounts.get("ann")
        await service.email_changes.assign(
            ann.id, "ann@example.org", confirmed=True, by=SYSTEM
        )
        await service.recovery.ask("ann@example.org")
        await sender.send_due()
        await sender.close()
        (mail,) = settings.outbox_folder.glob("*.eml")
        found = re.search(r"ww_cf_[\w-]+", mail.read_text())
        assert found is not None
        await service.recovery.reset(found[0], NEW)
        assert (await check("ann@example.org", NEW)).account_id == ann.id
        await get_a_second_factor(watchword, ann.id, clock)
        search = watchword.stores.audit.search
        of_ann = await search(EventFilter(account_id=ann.id), limit=99, look=99)
        kinds = [event.type for _, event in of_ann.events]
        assert kinds[-2:] == [EventType.SIGN_IN, EventType.ACCOUNT_CREATED]


async def get_a_second_factor(
    watchword: Watchword, account_id: bytes, clock: ManualClock
) -> None:
    """An authenticator app: then the password alone does not sign in."""
    parts = watchword.second_factors
    pending = parts.totp.begin(account_id, "ann")
    secret = base64.b32decode(pending.secret)
    code = code_at(secret, clock() // TOTP_STEP)
    row, _ = parts.totp.confirmed(account_id, pending.factor, code)
    await parts.factors.add(account_id, row, keep_session=None, by=SYSTEM)
    clock.advance(TOTP_STEP)
    options = SessionOptions(client_id="first-party")
    with pytest.raises(SecondFactorRequired) as asked:
        await watchword.sign_in.by_password("ann", NEW, options)
    later = code_at(secret, clock() // TOTP_STEP)
    tokens = await parts.second_step.finish(
        asked.value.continuation,
        FactorProof(method=Method.TOTP, code=later),
        binding=Binding(client_id="first-party"),
    )
    assert tokens.session.acr == "aal2"
