"""An app's own users: its check decides, and all around it stays as it is."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.api import BASE, LocalApi, code_of, local_api, settings_for
from watchword import Credentials, Subject
from watchword.config import Settings
from watchword.core.actor import EndReason
from watchword.core.limits import THROTTLE_ADDRESS_BURST, THROTTLE_NAME_BURST
from watchword.core.session import Authenticated
from watchword.errors import InvalidCredentials, Throttled
from watchword.ports.audit import EventType
from watchword.sign_in import own_users
from watchword.sign_in.own_users import Authenticate, account_id_of
from watchword.testing import ManualClock

NAME, RIGHT = "Ann@Shop.example", "the right one"
OWN = uuid.UUID("6f1c9f5e-0000-4000-8000-00000000002a")


class Shop:
    """The app: who may sign in, and what was asked."""

    def __init__(self, subject: Subject) -> None:
        self.subject: Subject | None = subject
        self.requested: list[Credentials] = []
        self.fault: Exception | None = None

    def check(self, given: Credentials) -> Subject | None:
        self.requested.append(given)
        if self.fault is not None:
            raise self.fault
        return self.subject if given.password == RIGHT else None


@asynccontextmanager
async def api_with(check: Authenticate, folder: Path) -> AsyncIterator[LocalApi]:
    async with api_on(settings_for(folder, "sqlite"), check) as api:
        yield api


def api_on(
    settings: Settings, check: Authenticate
) -> AbstractAsyncContextManager[LocalApi]:
    return local_api(settings, ManualClock(), authenticate=check)


@pytest.fixture
def shop() -> Shop:
    return Shop(Subject(7, roles=("clerk", "staff")))


async def test_the_app_says_who_signs_in(shop: Shop, tmp_path: Path) -> None:
    """It is given the name as it was typed; the number is the subject."""
    async with api_with(shop.check, tmp_path) as api:
        tokens = await api.login(NAME, RIGHT)
        headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
        me = (await api.client.get(f"{BASE}/me", headers=headers)).json()
        assert me["sub"] == "00000000-0000-0000-0000-000000000007"
        assert me["roles"] == ["clerk", "staff"]
        assert code_of(await api.refresh(tokens["refreshToken"])) == "ok"
        (requested,) = shop.requested
        assert (requested.username, requested.password) == (NAME, RIGHT)
        assert requested.address
        assert RIGHT not in repr(requested)
        # Our own accounts are not asked at all.
        assert code_of(await api.try_login("alice", "x")) == "invalid_credentials"


async def test_any_kind_of_function_can_be_the_check(
    shop: Shop, tmp_path: Path
) -> None:
    """One that blocks runs on a thread, never in the event loop."""
    seen: list[bool] = []

    def blocking(given: Credentials) -> Subject | None:
        seen.append(threading.current_thread() is threading.main_thread())
        return shop.check(given)

    async def asynchronous(given: Credentials) -> Subject | None:
        return shop.check(given)

    class Callable:
        async def __call__(self, given: Credentials) -> Subject | None:
            return shop.check(given)

    checks: list[Any] = [blocking, asynchronous, Callable(), partial(asynchronous)]
    for number, check in enumerate(checks):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with api_with(check, folder) as api:
            assert code_of(await api.try_login(NAME, RIGHT)) == "ok"
            assert code_of(await api.try_login(NAME, "no")) == "invalid_credentials"
    assert seen == [False, False]


async def test_guesses_are_throttled_before_the_check(
    shop: Shop, tmp_path: Path
) -> None:
    async with api_with(shop.check, tmp_path) as api:
        for _ in range(THROTTLE_NAME_BURST):
            assert code_of(await api.try_login(NAME, "no")) == "invalid_credentials"
        answer = await api.try_login(NAME.upper(), RIGHT)
        assert (answer.status_code, code_of(answer)) == (429, "throttled")
        assert len(shop.requested) == THROTTLE_NAME_BURST
        for number in range(2 * THROTTLE_ADDRESS_BURST):
            await api.try_login(f"name {number}", "no")
        events = [event.type for _, event in await api.engine.stores.audit.read(0, 999)]
        assert events.count(EventType.SIGN_IN_FAILED) == THROTTLE_ADDRESS_BURST
        # Of the name, and of the network that it was guessed from.
        assert events.count(EventType.SIGN_IN_THROTTLED) == 1


@pytest.mark.parametrize("kind", ["raises", "roles", "id"])
async def test_a_check_that_fails_is_503_and_no_failure_of_the_user(
    kind: str, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "raises":
        shop.fault = OSError("the app's database is away")
    elif kind == "roles":
        shop.subject = Subject(7, roles=("with blank",))
    else:
        shop.subject = Subject(-1)
    async with api_with(shop.check, tmp_path) as api:
        for _ in range(THROTTLE_NAME_BURST + 1):
            answer = await api.try_login(NAME, RIGHT)
            assert (answer.status_code, code_of(answer)) == (503, "store_unavailable")
        logged = ("watchword.subjects", logging.ERROR, "the app's authenticate failed")
        assert logged in caplog.record_tuples
        assert RIGHT not in caplog.text
        shop.fault, shop.subject = None, Subject(OWN)
        assert code_of(await api.try_login(NAME, RIGHT)) == "ok"


async def test_the_app_may_ask_to_wait(shop: Shop, tmp_path: Path) -> None:
    shop.fault = Throttled(retry_after=40)
    async with api_with(shop.check, tmp_path) as api:
        answer = await api.try_login(NAME, RIGHT)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "40")


async def test_a_user_who_is_disabled_loses_every_session(
    shop: Shop, tmp_path: Path
) -> None:
    shop.subject = Subject(OWN)
    async with api_with(shop.check, tmp_path) as api:
        first, second = [await api.login(NAME, RIGHT) for _ in range(2)]
        shop.subject = None
        assert api.engine.subjects is not None
        assert await api.engine.subjects.end_all(OWN, EndReason.ENDED_BY_APP) == 2
        for tokens in (first, second):
            assert code_of(await api.secure(tokens["accessToken"])) == "token_revoked"
        assert code_of(await api.try_login(NAME, RIGHT)) == "invalid_credentials"


@pytest.mark.parametrize(
    ("store", "before", "ended"),
    [
        ("sqlite", (), (7,)),
        ("sqlite", (7, 8), (8, 7, 8)),
        ("postgresql-16", (8, 7), (7, 8)),
        ("valkey-9", (7,), (7,)),
    ],
)
async def test_a_sign_in_under_way_does_not_outlive_the_user(
    shop: Shop,
    tmp_path: Path,
    store: str,
    before: tuple[int, ...],
    ended: tuple[int, ...],
) -> None:
    """The check says yes, the app disables the user, and then the session starts.

    The app may do so in another process, and may end other users meanwhile, or have
    ended this one before. A sign-in that begins after the end is not refused.
    """
    at_the_check, go_on = asyncio.Event(), asyncio.Event()

    async def slow(given: Credentials) -> Subject | None:
        found = shop.check(given)
        at_the_check.set()
        await go_on.wait()
        return found

    on = settings_for(tmp_path, store)
    async with api_on(on, slow) as api, api_on(on, shop.check) as other:
        assert other.engine.subjects is not None
        end_all = other.engine.subjects.end_all
        for subject in before:
            await end_all(subject, EndReason.ENDED_BY_APP)
        signing_in = asyncio.create_task(api.try_login(NAME, RIGHT))
        await at_the_check.wait()
        for subject in ended:
            await end_all(subject, EndReason.ENDED_BY_APP)
        go_on.set()
        assert code_of(await signing_in) == "invalid_credentials"
        assert await api.engine.sessions.list_of_account(account_id_of(7)) == []
        assert code_of(await api.try_login(NAME, RIGHT)) == "ok"


@pytest.mark.parametrize("subject", [0, 8])
async def test_the_end_of_another_user_refuses_no_sign_in(
    shop: Shop, tmp_path: Path, subject: int
) -> None:
    async with api_with(shop.check, tmp_path) as api:
        assert api.engine.subjects is not None
        end_all = api.engine.subjects.end_all

        async def ended_meanwhile(given: Credentials) -> Subject | None:
            await end_all(subject, EndReason.ENDED_BY_APP)
            return shop.check(given)

        api.engine.subjects._authenticate = ended_meanwhile
        assert code_of(await api.try_login(NAME, RIGHT)) == "ok"


@pytest.mark.parametrize("store", ["sqlite", "postgresql-16"])
async def test_ends_at_once_are_all_counted(
    shop: Shop, tmp_path: Path, store: str
) -> None:
    """Fifty ends of two users by two processes: none fails, and each is seen."""
    on, check = settings_for(tmp_path, store), shop.check
    async with api_on(on, check) as api, api_on(on, check) as b:
        one, other = api.engine.subjects, b.engine.subjects
        assert one is not None
        assert other is not None
        for _ in range(3):
            epoch = await one.newest_epoch()
            ends = [
                (one, other)[number % 2].end_all(user, EndReason.ENDED_BY_APP)
                for number in range(25)
                for user in (0, 7)
            ]
            await asyncio.gather(*ends)
            later = await other.newest_epoch()
            for user in map(account_id_of, (0, 7)):
                with pytest.raises(InvalidCredentials):
                    await other.look_again(
                        Authenticated.by_password(user, (), epoch, at=0)
                    )
                await other.look_again(Authenticated.by_password(user, (), later, at=0))


async def test_checks_under_way_are_bounded_in_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is not counted as an attempt; one that is cancelled gives way."""
    monkeypatch.setattr(own_users, "_CHECKS_MAX", 2)
    checking, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: Credentials) -> Subject | None:
        checking.release()
        await go_on.wait()
        return Subject(7)

    async with api_with(slow, tmp_path) as api:
        first, second = [
            asyncio.create_task(api.try_login(NAME, RIGHT)) for _ in range(2)
        ]
        for _ in (first, second):
            await checking.acquire()
        for _ in range(THROTTLE_NAME_BURST + 1):
            assert code_of(await api.try_login(NAME, RIGHT)) == "overloaded"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        third = asyncio.create_task(api.try_login(NAME, RIGHT))
        await checking.acquire()
        go_on.set()
        assert [code_of(await one) for one in (second, third)] == ["ok", "ok"]
