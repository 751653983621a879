"""Passwords: policy, stored forms, one cost for every failure, the fair pool."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import argon2
import pytest
import pytest_asyncio
from argon2.low_level import Type

from watchword.errors import InvalidCredentials, Overloaded, PasswordRejected
from watchword.passwords import (
    INSECURE_FOR_TESTS,
    HashParameters,
    PasswordHasher,
    check_new_password,
    recognised,
)
from watchword.passwords import hasher as hasher_module
from watchword.passwords.pool import NICENESS, FairPool

PASSWORD = "correct horse bättery staple"

# Made with PASSWORD at small costs by Django 5.2.19, Werkzeug 3.1.9, passlib 1.7.4 and
# bcrypt.
IMPORTED = {
    "django pbkdf2": (
        "pbkdf2_sha256$1000$etEvC777utJUYineOaphYU"
        "$xbQJtX9ztMib8ZuvDuq07SIhoyPqwMNZBU2Kxvtw3kg="
    ),
    "django argon2": (
        "argon2$argon2id$v=19$m=64,t=1,p=2$NU5KMkpxdDhkTlpBS1p1aGVQSzNscg"
        "$ZIR6E6NOUTWWCkIPK8kAvI72JfaR670fYvJQorPii0c"
    ),
    "django bcrypt_sha256": (
        "bcrypt_sha256$$2b$04$HAIVxLIEKV8hnXcCedDwV.xuKa7VlyLUHqsr1gKN9YhL2U7J96LL6"
    ),
    "django bcrypt": (
        "bcrypt$$2b$04$5noadi8saYApDOyHLjOtAeyn/0TDw7FjnUUyOsAGc6Sr9.WdUMvQG"
    ),
    "django scrypt": (
        "scrypt$16$TgzCqVjEadgT2Hkv0FKjbK$2$1$oPI8gSTWasPOqjpjvNvEMJul+NCr6aYIPO5Owqhf"
        "M1UpA3z1IGIynJrsy+jVKMGAcIY64TxJTzmTGz/84egdqg=="
    ),
    "werkzeug scrypt": (
        "scrypt:1024:2:1$nIUFVlF6cumkUuNz$0f0d5dffcf179b4bca7d663c00d3f0e8d98f89d"
        "f021ce26f3686cb89188bacb5c6a1d0e0151d88bdd218d0dc3e4bf9ddaea5ab6b0ca2981"
        "e76f4cb4598724ff5"
    ),
    "werkzeug pbkdf2": (
        "pbkdf2:sha256:1000$UoCPYPpZaq7A0CJG$00da280b02625f1a50450fe8393e1faa30d0"
        "549c72b2e83f1ac90b19eaac9da3"
    ),
    "passlib scrypt": (
        "$scrypt$ln=4,r=2,p=1$E8JYSylF6H2v1TrHWCtlzA"
        "$X1DVFdw5mUE551GepvRNghr3DwRtkBDhFi2LqbYDJBM"
    ),
    "django pbkdf2_sha1": (
        "pbkdf2_sha1$1000$etEvC777utJUYineOaphYU$5wlLAAtKUrDyLBNBdwx0msYacM8="
    ),
    "werkzeug pbkdf2 sha1": (
        "pbkdf2:sha1:1000$3ELAr0kdmkXqOHxb$a3b90094774acd2cfecfe79e6748e4fd772ce68e"
    ),
    "werkzeug pbkdf2 sha512": (
        "pbkdf2:sha512:1000$d2k9tAB4WcS2KgwD$67295f2a5c574cf852bdece0f225890ec1613cdc"
        "5165fe5fe8fe78e1a6d128a75c4025eb74fd06f1055730f5ee98b47fd7b8359260c113f5e9b1"
        "e7b235a5c5f4"
    ),
    "passlib pbkdf2_sha1": (
        "$pbkdf2$1000$aK11bm2t1XpPCSEkJKR0jg$AvkH.EZVBYaztw3184113LcJuGs"
    ),
    "passlib pbkdf2_sha256": (
        "$pbkdf2-sha256$1000$txbC2Nvb25tz7l0rxVjrXQ"
        "$DKj2Ewa9LuukOw8mWfNlNYLdGWQqPQDW3vF6A49QKUA"
    ),
    "passlib pbkdf2_sha512": (
        "$pbkdf2-sha512$1000$27vXmvP.3zsHwBjDmHPu3Q$cisRszvRFuedM6eyBAbS6TetJQCO.mH4W"
        "BZ2mk.4QxYB8KONpana5QAeAZP.bD1BBWa61grifuavHccKTnQIxg"
    ),
    "passlib bcrypt_sha256": (
        "$bcrypt-sha256$v=2,t=2b,r=4$TSWDB.5eR6t3kBf9rRhj0."
        "$Ubns6qiB2DW0kyNRiQDLQVXqMal2Pey"
    ),
    "passlib bcrypt_sha256, version 1": (
        "$bcrypt-sha256$2b,4$.lcHyJADS/eG.dbm67hXje$wPg/xRvMpqhLdQdVWILcvzkiqsp8Ek6"
    ),
    "passlib bcrypt_sha256, version 1, 2a": (
        "$bcrypt-sha256$2a,4$e1.YxC/5I1pKQ.0xSu.Pte$n86lQgLB4um2WSfknf7cTFpzmargifu"
    ),
    "passlib argon2i": (
        "$argon2i$v=19$m=64,t=1,p=4$XksJwdhby3lPSamVsvYeYw"
        "$c+rFcoAalVjneJwch+XqMx7TPAeSrKabuvJYw4zGNgA"
    ),
    "bcrypt 2a": "$2a$04$CgCxj/EwUo6iDuk.L7n.NeAFswYgJRI.r4rWNxJ6dRUTzouZj/Sk2",
    "bcrypt 2b": "$2b$04$KzCLrQUJhEoZNH13v.1x9eLEIe3pm1jjVYlvH8kzrIO0UBW2D/0dy",
    "bcrypt 2y": "$2y$04$KzCLrQUJhEoZNH13v.1x9eLEIe3pm1jjVYlvH8kzrIO0UBW2D/0dy",
}

# "0123456789" eight times, of which bcrypt read 72 bytes.
BCRYPT_OF_80_BYTES = "$2b$04$jYD0K4GqYGEYJf/JgjlopO7Q0ggxmPXu7U6OC7FPydhIr8p0r.D8W"

UNUSABLE = {
    "empty": "",
    "django's mark for no password": "!Ns0mCLWfbpAYTQ9hCQmVWkTqWMJJkV4",
    "unknown scheme": "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
    "line break at the end": IMPORTED["bcrypt 2b"] + "\n",
    "truncated": IMPORTED["django pbkdf2"][:-8],
    "tag of four bytes": "$argon2id$v=19$m=64,t=1,p=2$NU5KMkpxdDhkTlpBS1p1aA$ZIR6Ew",
    "salt of five base64 digits": "$scrypt$ln=4,r=2,p=1$E8JYS$" + "A" * 43,
    "argon2: not canonical base64": IMPORTED["passlib argon2i"][:-1] + "B",
    "argon2: 4 GiB": IMPORTED["django argon2"].replace("m=64", "m=4194304"),
    "argon2: a million passes": IMPORTED["django argon2"].replace("t=1", "t=1000000"),
    "bcrypt: cost 31": IMPORTED["bcrypt 2b"].replace("$04$", "$31$"),
    "bcrypt: stray salt bits": IMPORTED["bcrypt 2b"].replace("1x9e", "1x9f"),
    "pbkdf2: too many": IMPORTED["django pbkdf2"].replace("1000", "10000001"),
    "scrypt: 1 GiB": IMPORTED["passlib scrypt"].replace("ln=4,r=2", "ln=20,r=8"),
    "werkzeug pbkdf2: too many": IMPORTED["werkzeug pbkdf2"].replace(
        "1000", "10000001"
    ),
    "werkzeug scrypt: 1 GiB": IMPORTED["werkzeug scrypt"].replace(
        "1024:2", "1048576:8"
    ),
    "werkzeug scrypt: truncated": IMPORTED["werkzeug scrypt"][:-2],
    "werkzeug md5": "pbkdf2:md5:1000$salt$" + "0" * 40,
    "werkzeug sha512, a tag of sha1": "pbkdf2:sha512:1000$salt$" + "0" * 40,
    "passlib pbkdf2: too many": IMPORTED["passlib pbkdf2_sha1"].replace(
        "1000", "10000001"
    ),
    "passlib pbkdf2: truncated": IMPORTED["passlib pbkdf2_sha512"][:-30],
    "passlib bcrypt_sha256: hours": IMPORTED["passlib bcrypt_sha256"].replace(
        "r=4", "r=31"
    ),
    "passlib bcrypt_sha256: unknown version": IMPORTED["passlib bcrypt_sha256"].replace(
        "v=2", "v=3"
    ),
    "scrypt: n is no power of 2": IMPORTED["django scrypt"].replace("$16$", "$17$"),
}


@pytest_asyncio.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    hasher = PasswordHasher(INSECURE_FOR_TESTS, workers=1)
    yield hasher
    await hasher.close()


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parameters of every argon2 hash that was made or checked."""
    made: list[str] = []
    verify, create = argon2.PasswordHasher.verify, argon2.PasswordHasher.hash

    def verifying(self: argon2.PasswordHasher, phc: str, secret: bytes) -> bool:
        made.append(phc.split("$")[3])
        return bool(verify(self, phc, secret))

    def creating(self: argon2.PasswordHasher, secret: bytes) -> str:
        phc = create(self, secret)
        made.append(phc.split("$")[3])
        return phc

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verifying)
    monkeypatch.setattr(argon2.PasswordHasher, "hash", creating)
    return made


class TestStoredForms:
    @pytest.mark.asyncio
    async def test_own_hash_is_current(self, hasher: PasswordHasher) -> None:
        """A password verifies against its own hash, and nothing is to be stored."""
        stored = await hasher.hash(PASSWORD)
        assert await hasher.verify(stored, PASSWORD, address="a") is None

    @pytest.mark.asyncio
    @pytest.mark.parametrize("stored", IMPORTED.values(), ids=IMPORTED.keys())
    async def test_imported_hash_is_replaced(
        self, hasher: PasswordHasher, stored: str
    ) -> None:
        """An imported hash lets its password in, once: the rehash is ours."""
        assert recognised(stored)
        rehash = await hasher.verify(stored, PASSWORD, address="a")
        assert rehash is not None
        assert await hasher.verify(rehash, PASSWORD, address="a") is None

    @pytest.mark.asyncio
    @pytest.mark.parametrize("stored", IMPORTED.values(), ids=IMPORTED.keys())
    async def test_imported_hash_refuses_others(
        self, hasher: PasswordHasher, stored: str
    ) -> None:
        """An imported hash lets no other password in."""
        with pytest.raises(InvalidCredentials):
            await hasher.verify(stored, PASSWORD + "x", address="a")

    @pytest.mark.asyncio
    async def test_new_parameters_rehash(self, hasher: PasswordHasher) -> None:
        """A hash of other parameters is verified, and made again with today's."""
        old = argon2.PasswordHasher(2, 16, 1, type=Type.ID).hash(PASSWORD)
        rehash = await hasher.verify(old, PASSWORD, address="a")
        assert rehash is not None
        assert "$m=8,t=1,p=1$" in rehash

    @pytest.mark.asyncio
    async def test_bcrypt_reads_72_bytes(self, hasher: PasswordHasher) -> None:
        """A bcrypt hash compares as the old system did; the rehash takes all of it."""
        whole, alike = "0123456789" * 8, "0123456789" * 7 + "01 another end"
        rehash = await hasher.verify(BCRYPT_OF_80_BYTES, whole, address="a")
        assert await hasher.verify(BCRYPT_OF_80_BYTES, alike, address="a")
        with pytest.raises(InvalidCredentials):
            await hasher.verify(rehash, alike, address="a")

    @pytest.mark.parametrize("stored", UNUSABLE.values(), ids=UNUSABLE.keys())
    def test_import_refuses_unusable(self, stored: str) -> None:
        """The import is told of a hash that is damaged, unknown or too costly."""
        assert not recognised(stored)

    @pytest.mark.parametrize("cost", [(4_194_304, 1, 1), (8, 0, 1), (8, 1, 2)])
    def test_parameters_are_ones_that_verify(self, cost: tuple[int, int, int]) -> None:
        """Parameters whose hashes could not be verified are refused at the start."""
        with pytest.raises(ValueError, match="argon2id"):
            HashParameters(*cost)


class TestOneCost:
    @pytest.mark.asyncio
    @pytest.mark.parametrize("stored", [None, *UNUSABLE.values()])
    async def test_no_usable_hash(
        self, hasher: PasswordHasher, hashes: list[str], stored: str | None
    ) -> None:
        """Without a usable hash, a sign-in costs one hash of today and fails."""
        with pytest.raises(InvalidCredentials):
            await hasher.verify(stored, PASSWORD, address="a")
        assert hashes == ["m=8,t=1,p=1"]

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "password", ["wrong", "", PASSWORD + "\0", "x" * 1025, "\ud800" * 15]
    )
    async def test_wrong_password(
        self, hasher: PasswordHasher, hashes: list[str], password: str
    ) -> None:
        """A wrong password costs one hash, also if nobody could have it."""
        stored = await hasher.hash(PASSWORD)
        hashes.clear()
        with pytest.raises(InvalidCredentials):
            await hasher.verify(stored, password, address="a")
        assert hashes == ["m=8,t=1,p=1"]

    @pytest.mark.asyncio
    async def test_exactly_as_received(self, hasher: PasswordHasher) -> None:
        """A composed é is not a decomposed one: nothing is normalised."""
        stored = await hasher.hash("caf\u00e9 caf\u00e9 teapots")
        with pytest.raises(InvalidCredentials):
            await hasher.verify(stored, "cafe\u0301 cafe\u0301 teapots", address="a")

    @pytest.mark.asyncio
    @pytest.mark.parametrize("password", ["x" * 1025, "\ud800" * 15])
    async def test_hash_refuses_what_cannot_verify(
        self, hasher: PasswordHasher, password: str
    ) -> None:
        """No hash is made of a password that could never sign in."""
        with pytest.raises(PasswordRejected):
            await hasher.hash(password)

    @pytest.mark.asyncio
    async def test_a_new_password_is_judged_in_the_queue(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a thread of low priority, one of a few; a flood is told Overloaded."""
        judged = []
        gate = threading.Event()

        def judge(password: str, *, names: tuple[str, ...], breached: None) -> None:
            assert breached is None
            gate.wait()
            judged.append((password, names, threading.current_thread().name))

        monkeypatch.setattr(hasher_module, "check_new_password", judge)
        hasher = PasswordHasher(INSECURE_FOR_TESTS, workers=1, queue_limit=8)
        new = [hasher.hash(f"{PASSWORD}{n}", names=["x"]) for n in range(20)]
        waiting = asyncio.gather(*new, return_exceptions=True)
        await asyncio.sleep(0)
        gate.set()
        outcomes = await waiting
        await hasher.close()
        made = [one for one in outcomes if isinstance(one, str)]
        assert len(made) == len(judged) <= 5
        assert {type(one) for one in outcomes} == {str, Overloaded}
        assert judged[0][:2] == (f"{PASSWORD}0", ("x",))
        assert {name for *_, name in judged} == {"watchword-hash_0"}


class Busy:
    """A pool whose one thread is held by a job until ``release``."""

    def __init__(self, queue_limit: int) -> None:
        self.pool = FairPool(1, queue_limit)
        self.served: list[str] = []
        self._gate = threading.Event()
        started = threading.Event()

        def hold() -> None:
            started.set()
            self._gate.wait()

        self.pool.submit("held", hold)
        started.wait()

    def job(self, name: str) -> Callable[[], None]:
        return lambda: self.served.append(name)

    def release(self) -> None:
        self._gate.set()

    def finish(self) -> list[str]:
        """Let everything that waits run; the names in the order of their turns."""
        last = self.pool.submit("last", lambda: None)
        self.release()
        last.result()
        return self.served


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy(queue_limit=8)
    yield busy
    busy.release()
    busy.pool.close()


class TestPool:
    def test_round_robin(self, busy: Busy) -> None:
        """One address that floods delays another by at most one of its jobs."""
        names = ("a1", "a2", "a3", "b1", "b2", "c1")
        jobs = [busy.pool.submit(name[0], busy.job(name)) for name in names]
        busy.release()
        for job in jobs:
            job.result()
        assert busy.served[:4] == ["a1", "b1", "c1", "a2"]

    def test_half_for_one_address(self, busy: Busy) -> None:
        """One address holds half of the queue at most; others still get in."""
        for _ in range(4):
            busy.pool.submit("a", busy.job("a"))
        with pytest.raises(Overloaded) as refused:
            busy.pool.submit("a", busy.job("a"))
        assert refused.value.retry_after == 1
        busy.pool.submit("b", busy.job("b"))

    def test_full_queue_sheds(self, busy: Busy) -> None:
        """A full queue refuses at once, whoever asks."""
        for address in "aabbccdd":
            busy.pool.submit(address, busy.job(address))
        with pytest.raises(Overloaded):
            busy.pool.submit("e", busy.job("e"))

    def test_cancelled_job_makes_room(self, busy: Busy) -> None:
        """A client that goes away takes its job along, and its place is free."""
        gone = [busy.pool.submit(name, busy.job("gone")) for name in "aaaabbbb"]
        for answer in gone:
            answer.cancel()
        busy.pool.submit("a", busy.job("here"))
        assert busy.finish() == ["here"]

    def test_close_refuses_what_waits(self, busy: Busy) -> None:
        """Closing refuses what waits and what comes, and lets the running job end."""
        waiting = busy.pool.submit("a", busy.job("a"))
        waiting.add_done_callback(lambda _: busy.release())
        busy.pool.close()
        assert isinstance(waiting.exception(), Overloaded)
        with pytest.raises(Overloaded):
            busy.pool.submit("a", busy.job("a"))
        assert busy.served == []

    def test_failing_job_keeps_its_thread(self, busy: Busy) -> None:
        """A job that fails fails for its waiter only."""
        failing = busy.pool.submit("a", lambda: 1 // 0)
        busy.pool.submit("b", busy.job("b"))
        assert busy.finish() == ["b"]
        assert isinstance(failing.exception(), ZeroDivisionError)

    @pytest.mark.skipif(
        sys.platform != "linux", reason="niceness per thread is Linux's"
    )
    def test_threads_give_way(self) -> None:
        """Hash threads have the lowest priority; the others keep theirs."""
        before = os.getpriority(os.PRIO_PROCESS, 0)
        pool = FairPool(1, 1)
        nice = pool.submit("a", lambda: os.getpriority(os.PRIO_PROCESS, 0))
        assert nice.result() == NICENESS
        assert os.getpriority(os.PRIO_PROCESS, 0) == before
        pool.close()

    @pytest.mark.asyncio
    async def test_cancelled_request_drops_its_hash(
        self, hashes: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request that is cancelled while its job waits never costs a hash."""
        gate = threading.Event()
        create = argon2.PasswordHasher.hash

        def held(self: argon2.PasswordHasher, secret: bytes) -> str:
            gate.wait()
            return create(self, secret)

        monkeypatch.setattr(argon2.PasswordHasher, "hash", held)
        hasher = PasswordHasher(INSECURE_FOR_TESTS, workers=1)
        first = asyncio.ensure_future(hasher.hash(PASSWORD))
        gone = asyncio.ensure_future(hasher.verify(None, PASSWORD, address="a"))
        await asyncio.sleep(0)  # both have queued their jobs
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.set()
        await first
        await hasher.hash(PASSWORD, address="b")  # its turn is after the one given up
        await hasher.close()
        assert len(hashes) == 2


class TestPolicy:
    @pytest.mark.parametrize(
        "password",
        [
            "correct horse battery staple",
            "a-long-test-password-1",
            "admin-password-123",
            "Watchword-admin-1",
            "ein ganz normäler Satz",
            "x7Qm" * 2 + "pL9-vRt2",
            "kV3#" + "correct horse battery staple " * 35,
        ],
    )
    def test_accepted(self, password: str) -> None:
        """Long passwords of any characters pass, up to 1024 code points."""
        check_new_password(password, names=["admin"])

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("kV3#x7QmpL9-vR", "at least 15"),
            ("é" * 14, "at least 15"),
            ("kV3#" * 257, "at most 1024"),
            ("kV3#x7QmpL9-vR\ud800", "Unicode"),
            ("Alexandra.Winterbottom@example.com", "differ from the name"),
            ("passwordpassword", "too common"),
            ("P@ssw0rdP@ssw0rd", "too common"),
            ("123456789012345", "too common"),
            ("aaaaaaaaaaaaaaaa", "too common"),
            ("qwertyuiopasdfghjkl", "too common"),
            ("1qaz2wsx3edc4rfv", "too common"),
            ("a" * 1024, "too common"),
        ],
    )
    def test_refused(self, password: str, reason: str) -> None:
        """What is too short, too long, the name or predictable is told so."""
        with pytest.raises(PasswordRejected, match=reason):
            check_new_password(password, names=["alexandra.winterbottom@EXAMPLE.com"])
