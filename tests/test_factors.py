"""The second factors of users: added, renamed, removed, reset, demanded; stories."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from tests.doors import (
    HERE,
    NAME,
    OPTIONS,
    PASSWORD,
    SECRET,
    USER,
    Door,
    door,
)
from watchword import notices
from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.core import limits
from watchword.core.actor import Actor, By, EndReason
from watchword.core.session import (
    AAL2,
    Authenticated,
    SessionOptions,
    TokenSet,
    time_ordered_id,
)
from watchword.errors import (
    ConfirmationInvalid,
    ContinuationExpired,
    InvalidCredentials,
    InvalidRequest,
    LastFactor,
    NotFound,
    SecondFactorInvalid,
    WatchwordError,
)
from watchword.factors.enrolled import Enrolled
from watchword.factors.policy import SecondFactorPolicy
from watchword.factors.registry import Factors
from watchword.mail.message import MailPurpose
from watchword.passwords import INSECURE_FOR_TESTS, UNUSABLE
from watchword.ports.audit import Event, Trail
from watchword.ports.credentials import Credential, CredentialKind
from watchword.sign_in.own_users import Credentials

OPERATOR = By(Actor.OPERATOR, name="root")
TOTP, PASSKEY = CredentialKind.TOTP, CredentialKind.PASSKEY
RECOVERY_CODE = CredentialKind.RECOVERY_CODE


class World(Door):
    """Ada, whose factors are rows that no authenticator has made."""

    def __init__(self, ada: Door) -> None:
        super().__init__(ada.engine, ada.clock)
        self.id = ada.id
        self.factors: Factors = self.parts.factors
        self._made = 0

    async def lose_password(self) -> None:
        accounts = self.stores.accounts
        ada = await accounts.by_id(self.id)
        assert ada is not None
        without = msgspec.structs.replace(
            ada, password_hash=UNUSABLE, version=ada.version + 1
        )
        assert await accounts.swap(ada, without, Trail())

    def row(self, kind: CredentialKind = TOTP, *, key: bytes = b"") -> Credential:
        """A factor as its part makes it."""
        self._made += 1
        return Credential(
            id=time_ordered_id(self.clock(), self._made.to_bytes(10)),
            account_id=self.id,
            kind=kind,
            created_at=self.clock(),
            key=key or (self._made.to_bytes(16) if kind is PASSKEY else b""),
            label="phone",
        )

    async def session(self, *, acr: str = "aal1") -> TokenSet:
        proved = Authenticated.by_password(self.id, at=self.clock())
        proved = msgspec.structs.replace(proved, acr=acr)
        return await self.engine.sessions.start(proved, OPTIONS)

    async def add(self, *rows: Credential) -> tuple[str, ...]:
        """Add factors from a session; the codes of the first one."""
        codes: tuple[str, ...] = ()
        for row in rows:
            here = (await self.session()).session.id
            codes += await self.factors.add(self.id, row, keep_session=here, by=USER)
        return codes

    async def living(self) -> set[bytes]:
        page = await self.engine.sessions.list_of_account(self.id)
        return {one.id for one in page}

    async def events(self) -> list[Event]:
        return [event for _, event in await self.stores.audit.read(0, 999)]


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    asked = {"kind": request.param, "second_factor": "required:admin"}
    async with door(tmp_path, **asked) as ada:
        yield World(ada)


@pytest.mark.parametrize(
    ("setting", "roles", "demanded", "expected"),
    [
        ("optional", ("admin",), False, False),
        ("optional", (), True, True),
        ("required", (), False, True),
        ("required:admin,staff", ("reader", "staff"), False, True),
        ("required:admin,staff", ("reader",), False, False),
        ("required:admin", (), True, True),
    ],
)
def test_what_demands_a_second_factor(
    setting: str,
    roles: Sequence[str],
    demanded: bool,  # noqa: FBT001 - a column of the table
    expected: bool,  # noqa: FBT001
) -> None:
    kind = CredentialKind.DEMAND if demanded else CredentialKind.HANDLE
    rows = [Credential(id=b"1", account_id=b"2", kind=kind, created_at=0)]
    assert SecondFactorPolicy(setting).demands(roles, rows) is expected


@pytest.mark.parametrize(
    ("kinds", "codes", "has_passkeys", "expected"),
    [
        ((), 3, True, ()),
        ((TOTP, PASSKEY), 3, True, ("passkey", "totp", "recovery_code")),
        ((TOTP, PASSKEY), 0, False, ("totp",)),
        ((PASSKEY,), 3, False, ("recovery_code",)),
        ((PASSKEY,), 0, False, ()),
    ],
)
def test_how_a_second_factor_is_proved(
    kinds: Sequence[CredentialKind],
    codes: int,
    has_passkeys: bool,  # noqa: FBT001 - a column of the table
    expected: Sequence[str],
) -> None:
    """Where passkeys are off, those that there are demand a second step still."""
    rows = [Credential(id=b"1", account_id=b"2", kind=k, created_at=0) for k in kinds]
    enrolled = Enrolled(
        factors=tuple(rows), codes_left=codes, has_passkeys=has_passkeys
    )
    assert enrolled.methods == expected
    assert enrolled.acr == ("aal2" if kinds else "aal1")


async def test_the_first_factor_brings_ten_codes_and_ends_weaker_sessions(
    world: World,
) -> None:
    here, weak, strong = [await world.session(acr=a) for a in ("aal1", "aal1", AAL2)]
    assert (await world.factors.of(world.id)).methods == ()
    await world.mails()
    row = world.row()
    asked: dict[str, Any] = {"keep_session": here.session.id, "by": USER}
    codes = await world.factors.add(world.id, row, **asked)
    assert len(set(codes)) == limits.RECOVERY_CODES
    assert await world.living() == {here.session.id, strong.session.id}
    (mail,) = await world.mails()
    assert (mail.purpose, mail.factor) == (MailPurpose.FACTOR_ADDED, "totp")
    # A retry: a process that was lost between row and sessions, or an answer.
    late = await world.session()
    assert await world.factors.add(world.id, row, **asked) == ()
    assert late.session.id not in await world.living()
    assert await world.mails() == []
    assert await world.add(world.row(PASSKEY)) == ()
    enrolled = await world.factors.of(world.id)
    assert [one.kind for one in enrolled.factors] == [TOTP, PASSKEY]
    assert (enrolled.acr, enrolled.codes_left) == (AAL2, limits.RECOVERY_CODES)
    ended = await world.engine.sessions.get(weak.session.id)
    assert ended is not None
    assert ended.revoked_reason == EndReason.FACTOR_ADDED
    added = [e for e in await world.events() if e.type == "authn_factor_added"]
    assert [(e.detail["kind"], e.detail["by"], e.address) for e in added] == [
        ("totp", "user", HERE),
        ("passkey", "user", HERE),
    ]


async def test_of_two_that_add_the_first_factor_one_gets_the_codes(
    world: World,
) -> None:
    here = (await world.session(acr=AAL2)).session.id
    adding = [
        world.factors.add(world.id, row, keep_session=here, by=USER)
        for row in (world.row(), world.row(PASSKEY))
    ]
    codes = sorted(await asyncio.gather(*adding), key=len)
    assert [len(one) for one in codes] == [0, limits.RECOVERY_CODES]
    assert (await world.factors.of(world.id)).codes_left == limits.RECOVERY_CODES


async def test_what_cannot_be_added(world: World) -> None:
    """By a session, or without one once there is a factor."""
    await world.add(world.row(PASSKEY, key=b"known"))
    here: dict[str, Any] = {"keep_session": bytes(16), "by": USER}
    refused: list[tuple[Credential, dict[str, Any], type[WatchwordError]]] = [
        (world.row(PASSKEY, key=b"known"), here, InvalidRequest),
        (msgspec.structs.replace(world.row(), label="a" * 65), here, InvalidRequest),
        (msgspec.structs.replace(world.row(), label="a\nb"), here, InvalidRequest),
        (world.row(), here | {"keep_session": None}, ContinuationExpired),
        (world.row(), here | {"only_first": True}, ContinuationExpired),
        (world.row(), here | {"enrolment": bytes(16)}, ContinuationExpired),
    ]
    for row, asked, error in refused:
        with pytest.raises(error):
            await world.factors.add(world.id, row, **asked)
    for _ in range(limits.FACTORS_MAX - 1):
        world.clock.advance(limits.ACCOUNT_CHANGE_INTERVAL)
        await world.add(world.row())
    with pytest.raises(InvalidRequest):
        await world.add(world.row())


@pytest.mark.parametrize(
    ("kinds", "roles", "has_password", "stays"),
    [
        ((TOTP,), (), True, False),
        ((TOTP,), ("admin",), True, True),
        ((TOTP, PASSKEY), ("admin",), True, False),
        ((PASSKEY,), (), False, True),
        ((PASSKEY, TOTP), (), False, True),
        ((PASSKEY, PASSKEY), (), False, False),
    ],
)
async def test_the_last_factor_of_a_demand_and_the_last_way_in_stay(
    kinds: Sequence[CredentialKind],
    roles: Sequence[str],
    has_password: bool,  # noqa: FBT001 - a column of the table
    stays: bool,  # noqa: FBT001
    world: World,
) -> None:
    rows = [world.row(kind) for kind in kinds]
    await world.add(*rows)
    await world.mails()
    await world.engine.accounts.set_roles(world.id, roles)
    if not has_password:
        await world.lose_password()
    asked: dict[str, Any] = {"by": USER}
    if stays:
        with pytest.raises(LastFactor):
            await world.factors.remove(world.id, rows[0].id, **asked)
        assert await world.mails() == []
        return
    await world.factors.remove(world.id, rows[0].id, **asked)
    enrolled = await world.factors.of(world.id)
    left = limits.RECOVERY_CODES if len(kinds) > 1 else 0
    assert (len(enrolled.factors), enrolled.codes_left) == (len(kinds) - 1, left)
    (mail,) = await world.mails()
    assert (mail.purpose, mail.factor) == (MailPurpose.FACTOR_REMOVED, kinds[0])
    with pytest.raises(NotFound):
        await world.factors.remove(world.id, rows[0].id, **asked)
    rows = await world.engine.stores.credentials.of_account(world.id)
    assert len(rows) == len(kinds) - 1 + left


async def test_two_tabs_do_not_remove_the_last_two_factors(world: World) -> None:
    rows = [world.row(), world.row(PASSKEY), world.row()]
    await world.add(*rows)
    await world.factors.require(world.id)
    removing = [world.factors.remove(world.id, row.id, by=USER) for row in rows]
    done = await asyncio.gather(*removing, return_exceptions=True)
    assert sorted(map(repr, done)) == sorted(map(repr, [None, None, LastFactor()]))
    assert len((await world.factors.of(world.id)).factors) == 1


async def test_a_factor_has_another_name_and_all_sessions(world: World) -> None:
    row = world.row()
    await world.add(row)
    here, _ = await world.session(), await world.mails()
    for name, error in (("a" * 65, InvalidRequest), ("a\x07b", InvalidRequest)):
        with pytest.raises(error):
            await world.factors.rename(world.id, row.id, name, by=USER)
    with pytest.raises(NotFound):
        await world.factors.rename(world.id, bytes(16), "key", by=USER)
    for _ in range(2):  # the second time nothing changes, and nothing is told
        renamed = await world.factors.rename(world.id, row.id, " my key ", by=USER)
        assert renamed.label == "my key"
    assert [mail.purpose for mail in await world.mails()] == [
        MailPurpose.FACTOR_RENAMED
    ]
    assert here.session.id in await world.living()


async def test_new_codes_are_told_and_a_used_one_says_what_is_left(
    world: World,
) -> None:
    with pytest.raises(NotFound):
        await world.factors.new_recovery_codes(world.id, by=USER)
    old = set(await world.add(world.row()))
    await world.mails()
    new = await world.factors.new_recovery_codes(world.id, by=USER)
    assert len(old | set(new)) == 2 * limits.RECOVERY_CODES
    credentials = world.engine.stores.credentials
    for left in reversed(range(limits.RECOVERY_CODES)):
        rows = await credentials.of_account(world.id)
        code = next(row for row in rows if row.kind is RECOVERY_CODE)
        await world.factors.spend(await world.factors.spending(code, left, by=USER))
        assert (await world.factors.of(world.id)).codes_left == left
    told = sorted((mail.purpose, mail.left) for mail in await world.mails())
    used = [(MailPurpose.RECOVERY_CODE_USED, n) for n in range(limits.RECOVERY_CODES)]
    assert told == [*used, (MailPurpose.RECOVERY_CODES_MADE, 0)]


async def test_a_reset_takes_all_factors_and_ends_all_sessions(world: World) -> None:
    await world.add(world.row(), world.row(PASSKEY))
    await world.session(acr=AAL2)
    await world.mails()
    under_way = await world.engine.sign_in.check_password(NAME, PASSWORD)
    assert await world.factors.reset(world.id, by=OPERATOR) == 2
    with pytest.raises(InvalidCredentials):
        await world.engine.sign_in.begin(
            msgspec.structs.replace(under_way, acr=AAL2),
            SessionOptions(client_id="first-party"),
        )
    assert await world.factors.of(world.id) == await world.factors.of(bytes(16))
    assert await world.living() == set()
    (mail,) = await world.mails()
    assert mail.purpose is MailPurpose.FACTORS_RESET
    (event,) = [e for e in await world.events() if e.type == "authn_factors_reset"]
    assert (event.detail["by"], event.detail["operator"]) == ("operator", "root")
    # There was none: sessions end still, and there is nothing to tell.
    await world.session()
    assert await world.factors.reset(world.id, by=OPERATOR) == 0
    assert await world.living() == set()
    assert await world.mails() == []


async def test_an_operator_demands_a_factor_and_takes_it_back(world: World) -> None:
    weak, strong = await world.session(), await world.session(acr=AAL2)
    for ended in (1, 0):
        assert await world.factors.require(world.id, by=OPERATOR) == ended
    assert (await world.factors.of(world.id)).is_demanded
    assert await world.living() == {strong.session.id} != {weak.session.id}
    row = world.row()
    await world.add(row)
    with pytest.raises(LastFactor):
        await world.factors.remove(world.id, row.id, by=USER)
    for _ in range(2):
        await world.factors.require(world.id, is_required=False, by=OPERATOR)
    assert not (await world.factors.of(world.id)).is_demanded
    await world.factors.remove(world.id, row.id, by=USER)


async def test_an_enrolment_token_works_once_for_its_user_and_for_a_day(
    world: World,
) -> None:
    factors, code = world.factors, world.factors.enrol_code
    old, token = [await code(world.id, by=OPERATOR) for _ in range(2)]
    for wrong, owner in ((old, world.id), (token, bytes(16)), ("ww_cf_", world.id)):
        with pytest.raises(ConfirmationInvalid):
            await factors.enrolment(owner, wrong)
    world.clock.advance(limits.ENROL_CODE_LIFE - 1)
    proof = await factors.enrolment(world.id, token)
    world.clock.advance(1)
    asked: dict[str, Any] = {"keep_session": None, "by": USER, "enrolment": proof}
    with pytest.raises(ConfirmationInvalid):
        await factors.enrolment(world.id, token)
    with pytest.raises(ContinuationExpired):
        await factors.add(world.id, world.row(), **asked)
    token = await code(world.id, by=OPERATOR)
    asked["enrolment"] = await factors.enrolment(world.id, token)
    row = world.row()
    assert len(await factors.add(world.id, row, **asked)) == limits.RECOVERY_CODES
    for other in (row, world.row()):
        with pytest.raises(ContinuationExpired):
            await factors.add(world.id, other, **asked)
    with pytest.raises(InvalidRequest):
        await code(world.id, by=OPERATOR)


async def test_factors_go_with_their_account(world: World) -> None:
    await world.add(world.row(), world.row(PASSKEY))
    credentials = world.engine.stores.credentials
    epoch = world.row(CredentialKind.EPOCH)
    other = msgspec.structs.replace(epoch, account_id=bytes(16))
    assert await credentials.add([other], Trail())
    await world.engine.accounts.delete(world.id, by=OPERATOR)
    assert await credentials.of_account(world.id) == []
    assert await credentials.of_account(bytes(16)) == [other]


async def _add_use_and_reset(engine: Watchword, owner: bytes) -> None:
    """Two callers come with one recovery code: one of them uses it."""
    factors = engine.second_factors.factors
    row = Credential(id=bytes(16), account_id=owner, kind=TOTP, created_at=0)
    await factors.add(owner, row, keep_session=None, by=USER)
    rows = await engine.stores.credentials.of_account(owner)
    code = next(one for one in rows if one.kind is RECOVERY_CODE)
    first, second = [await factors.spending(code, 9, by=USER) for _ in range(2)]
    await factors.spend(first)
    with pytest.raises(SecondFactorInvalid):
        await factors.spend(second)
    await factors.reset(owner)


async def test_an_app_is_told_of_its_own_users_by_its_hook(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a thread where it blocks. What it raises is logged, and fails nothing."""
    told: list[tuple[str, str, bool]] = []

    def blocking(subject: str, kind: MailPurpose) -> None:
        main = threading.current_thread() is threading.main_thread()
        told.append((subject, kind, main))

    async def waiting(subject: str, kind: MailPurpose) -> None:
        blocking(subject, kind)

    def wrong(subject: str, kind: MailPurpose) -> None:
        blocking(subject, kind)
        raise LookupError(subject)

    async def stuck(subject: str, kind: MailPurpose) -> None:
        blocking(subject, kind)
        await asyncio.Event().wait()

    async def authenticate(_: Credentials) -> None:
        return None

    hooks: tuple[tuple[Any, bool], ...] = (
        (blocking, False),
        (waiting, True),
        (partial(waiting), True),
        (wrong, False),
        (stuck, True),
    )
    seven = uuid.UUID(int=7)
    for hook, on_the_loop in hooks:
        if hook is stuck:
            monkeypatch.setattr(notices, "HOOK_TIMEOUT", 0)
        async with open_watchword(
            Settings(database_url="memory:", secret=(SecretStr(SECRET),)),
            hashing=INSECURE_FOR_TESTS,
            authenticate=authenticate,
            on_security_notice=hook,
            background=False,
        ) as engine:
            await _add_use_and_reset(engine, seven.bytes)
            assert await engine.stores.outbox.list(limit=9) == []
        assert sorted(told) == [
            (str(seven), "factor-added", on_the_loop),
            (str(seven), "factors-reset", on_the_loop),
            (str(seven), "recovery-code-used", on_the_loop),
        ]
        told.clear()
    failed = [one for one in caplog.records if one.name == "watchword.notices"]
    faults = [type(one.exc_info[1]) for one in failed if one.exc_info]
    assert faults == 3 * [LookupError] + 3 * [TimeoutError]
