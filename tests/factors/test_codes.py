"""Codes of authenticator apps and on paper: which are accepted, and that none twice."""

from __future__ import annotations

import asyncio
import base64
import xml.etree.ElementTree as ET
from typing import Any

import msgspec
import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.core import limits
from watchword.core.limits import MINUTE, SECOND, TOTP_PENDING_LIFE, TOTP_STEP
from watchword.core.ticket import Tickets
from watchword.core.totp import code_at, matching_step
from watchword.errors import (
    ContinuationExpired,
    SecondFactorInvalid,
    StoreUnavailable,
    WatchwordError,
)
from watchword.factors.recovery_codes import RecoveryCodes
from watchword.factors.totp import PendingTotp, TotpFactors
from watchword.keys.sealing import Sealing
from watchword.ports.audit import Trail
from watchword.ports.credentials import Credential, CredentialKind
from watchword.stores.memory.credentials import MemoryCredentials
from watchword.stores.memory.rows import Memory
from watchword.testing import ManualClock, SeededEntropy

OLD, NEW = b"o" * 32, b"n" * 32
ALICE, BOB = b"a" * 16, b"b" * 16
ENTROPY = SeededEntropy("codes")


class World:
    """Authenticator apps on a store in memory."""

    def __init__(self, *, drift: int = 1) -> None:
        self.clock = ManualClock()
        self.credentials: Any = MemoryCredentials(Memory(bytes(8)))
        self.drift = drift
        self.starts(OLD)
        self.secret = b""

    def starts(self, *secrets: bytes) -> None:
        """The server, with these secrets."""
        self.totp = TotpFactors(
            credentials=self.credentials,
            sealing=Sealing(secrets, "credentials", ENTROPY),
            tickets=Tickets(secrets, clock=self.clock, entropy=ENTROPY),
            issuer="My App",
            drift=self.drift,
            clock=self.clock,
            entropy=ENTROPY,
        )

    @property
    def step(self) -> int:
        return self.clock.now // TOTP_STEP

    def code(self, step: int = 0) -> str:
        """What the app shows, so many steps from now."""
        return code_at(self.secret, self.step + step)

    def begin(self, user: bytes = ALICE) -> PendingTotp:
        pending = self.totp.begin(user, "alice")
        self.secret = base64.b32decode(pending.secret)
        return pending

    async def enrol(self) -> Credential:
        """An app whose first code was shown now."""
        factor = self.begin().factor
        row, _ = self.totp.confirmed(ALICE, factor, self.code())
        assert await self.credentials.add([row], Trail())
        return row

    async def rows(self) -> list[Credential]:
        rows: list[Credential] = await self.credentials.of_account(ALICE)
        return rows

    async def outcome(self, code: str, rows: list[Credential] | None = None) -> str:
        try:
            await self.totp.spend(await self.rows() if rows is None else rows, code)
        except WatchwordError as error:
            return error.code
        return "ok"


MOMENTS = st.lists(
    st.tuples(st.integers(-3 * MINUTE, 3 * MINUTE), st.integers(-3, 3)), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), MOMENTS)
def test_over_any_order_of_instants_no_step_is_accepted_twice(
    drift: int, moments: list[tuple[int, int]]
) -> None:
    """The clock goes any way, and any code is shown: accepted steps only rise."""

    async def run() -> None:
        world = World(drift=drift)
        accepted = [(await world.enrol()).step]
        begun = world.clock.now
        for later, step in moments:
            world.clock.now = begun + later
            code = world.code(step)
            now = world.clock.now
            found = matching_step(world.secret, code, now, drift)
            fresh = found is not None and found > accepted[-1]
            assert await world.outcome(code) == (
                "ok" if fresh else "second_factor_invalid"
            )
            if fresh:
                accepted.append(found or 0)
            (row,) = await world.rows()
            assert row.step == accepted[-1]
        assert accepted == sorted(set(accepted))

    asyncio.run(run())


async def test_of_many_with_one_code_one_gets_in() -> None:
    """All have read the row before one of them writes it."""
    world = World()
    await world.enrol()
    world.clock.advance(TOTP_STEP)
    rows = await world.rows()
    code = world.code()
    tries = [world.outcome(code, rows) for _ in range(50)]
    outcomes = await asyncio.gather(*tries)
    assert sorted(outcomes) == ["ok"] + ["second_factor_invalid"] * 49


async def test_a_change_meanwhile_is_judged_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new name costs the user no code; a row that is gone accepts none."""
    world = World()
    row = await world.enrol()
    world.clock.advance(TOTP_STEP)
    renamed = msgspec.structs.replace(row, label="phone", version=row.version + 1)
    assert await world.credentials.swap(row, renamed, Trail())
    spent = await world.totp.spend([row], world.code())
    assert (spent.label, spent.step) == ("phone", world.step)
    assert spent.used_at == world.clock.now
    world.clock.advance(TOTP_STEP)

    async def missed(*_: object) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(world.credentials, "swap", missed)
        assert await world.outcome(world.code()) == StoreUnavailable.code
    assert await world.credentials.swap(spent, None, Trail())
    assert await world.outcome(world.code(), [spent]) == "second_factor_invalid"


async def test_codes_outlive_a_change_of_the_server_secret() -> None:
    """And so does an app that was not confirmed yet: it is promoted twice."""
    world = World()
    await world.enrol()
    first = world.secret
    pending = world.begin()
    for secrets in ((OLD, NEW), (NEW, OLD), (OLD, NEW)):
        world.starts(*secrets)
        world.clock.advance(TOTP_STEP)
        assert await world.outcome(code_at(first, world.step)) == "ok"
        row, _ = world.totp.confirmed(ALICE, pending.factor, world.code())
        assert row.step == world.step


async def test_each_of_two_apps_has_its_own_codes() -> None:
    world = World()
    await world.enrol()
    first = world.secret
    await world.enrol()
    world.clock.advance(TOTP_STEP)
    for secret in (first, world.secret):
        code = code_at(secret, world.step)
        assert [await world.outcome(code) for _ in range(2)] == [
            "ok",
            "second_factor_invalid",
        ]


async def test_a_secret_counts_once_a_code_of_it_has_come() -> None:
    """Nothing is written before; a retry finds the row, and its step is spent."""
    world = World()
    pending = world.begin()
    assert world.totp.again(ALICE, pending.factor) == pending
    wrong = "000000" if world.code() != "000000" else "000001"
    with pytest.raises(SecondFactorInvalid):
        world.totp.confirmed(ALICE, pending.factor, wrong)
    row, enrolment = world.totp.confirmed(ALICE, pending.factor, world.code())
    assert (row.kind, row.step, enrolment) == (
        CredentialKind.TOTP,
        world.step,
        b"",
    )
    assert world.secret not in row.sealed
    again, _ = world.totp.confirmed(ALICE, pending.factor, world.code())
    assert again.id == row.id
    assert await world.credentials.add([row], Trail())
    assert await world.outcome(world.code()) == "second_factor_invalid"
    factor = world.totp.begin(ALICE, "alice", enrolment=b"e" * 16).factor
    assert pending.factor not in repr(pending)
    assert pending.secret not in repr(pending)
    for user, text, later in (
        (BOB, factor, 0),
        (ALICE, "ww_tf_", 0),
        (ALICE, factor, TOTP_PENDING_LIFE + 1),
    ):
        world.clock.advance(later)
        with pytest.raises(ContinuationExpired):
            world.totp.confirmed(user, text, world.code())


def test_a_long_name_is_cut_for_the_picture() -> None:
    world = World()
    for name in ("\U0001f600" * 254, "ß" * 254, "a" * 254):
        pending = world.totp.begin(ALICE, name)
        read = pyotp.parse_uri(pending.uri)
        assert isinstance(read, pyotp.TOTP)
        assert read.name == name[:64]


def test_what_the_app_scans_is_what_the_user_may_type() -> None:
    """The picture needs no style, so that a strict page shows it."""
    world = World()
    pending = world.begin()
    read = pyotp.parse_uri(pending.uri)
    assert isinstance(read, pyotp.TOTP)
    assert (read.secret, read.issuer, read.name) == (pending.secret, "My App", "alice")
    assert read.at(world.clock.now // SECOND) == world.code()
    assert len(world.secret) == 20  # RFC 4226, section 4
    picture = ET.fromstring(pending.qr)
    assert picture.tag == "svg"
    assert {name for one in picture.iter() for name in one.attrib} <= {
        *("width", "height", "viewBox", "transform", "fill", "stroke", "d"),
    }


# Recovery codes.


@pytest.fixture
def codes() -> RecoveryCodes:
    return RecoveryCodes(clock=ManualClock(), entropy=SeededEntropy("paper"))


def test_ten_codes_of_120_bits_and_only_their_hashes_are_kept(
    codes: RecoveryCodes,
) -> None:
    shown, rows = codes.make(ALICE)
    assert len({row.id for row in rows}) == len(set(shown)) == limits.RECOVERY_CODES
    for code, row in zip(shown, rows, strict=True):
        groups = code.split("-")
        assert [len(group) for group in groups] == [4] * 6
        assert set("".join(groups)) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        assert (row.account_id, row.kind) == (ALICE, CredentialKind.RECOVERY_CODE)
        assert code.encode() not in row.key
        assert codes.find(rows, code) == row


def test_a_code_is_read_as_people_copy_it(codes: RecoveryCodes) -> None:
    shown, rows = codes.make(ALICE)
    for code, row in zip(shown, rows, strict=True):
        bare = code.replace("-", "")
        for text in (
            *(code.lower(), bare, f"  {code} \n", code.replace("-", " ")),
            *(bare.replace("1", "I").replace("0", "O"), bare.replace("1", "l")),
            *(bare.replace("0", "o"), "-".join(bare)),
        ):
            assert codes.find(rows, text) == row
        for text in (
            *("", bare[:-1], bare + "0", "U" + bare[1:], "\u0131" + bare[1:]),
            *("\ud800" + bare[1:], bare[:-1] + "\uff11", "-" * 24, bare + bare),
        ):
            assert codes.find(rows, text) is None
        rest = [one for one in rows if one != row]
        assert codes.find(rest, code) is None
        another_kind = msgspec.structs.replace(row, kind=CredentialKind.ENROLMENT)
        assert codes.find([another_kind], code) is None
