"""A file of breached passwords: what is in it cannot be set; a wrong file is said."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import SecretStr

from watchword.bootstrap import open_watchword
from watchword.config import Settings
from watchword.errors import (
    PasswordFault,
    PasswordRejected,
    SettingsError,
    StoreUnavailable,
)
from watchword.first_start import prepare
from watchword.passwords import INSECURE_FOR_TESTS, BreachedPasswords

LEAKED = "correct horse battery staple 41"
OTHER = "another horse battery staple 42"
MANY = [LEAKED, *(f"password {number}" for number in range(500))]


def digest_of(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def lines(passwords: list[str]) -> list[str]:
    """As the downloader writes them: counts make lines of several lengths."""
    found = sorted(map(digest_of, passwords))
    return [f"{one}:{7 ** (place % 9)}" for place, one in enumerate(found)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "breached.txt"
    path.write_text("\n".join(lines(MANY)))
    return path


def settings_for(folder: Path, file: Path) -> Settings:
    return Settings(
        data=folder,
        secret=(SecretStr("s" * 40),),
        breached_passwords=file,
        admin_password=SecretStr(LEAKED),
    )


@pytest.mark.parametrize("number", [1, 2, 3, len(MANY)])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_each_line_is_found_and_nothing_else(
    tmp_path: Path, number: int, ends: str, last: str
) -> None:
    path = tmp_path / "breached.txt"
    known = MANY[:number]
    path.write_bytes((ends.join(lines(known)) + last).encode())
    breached = BreachedPasswords(path)
    assert [one for one in MANY if breached.has(one)] == known
    assert not any(breached.has(f"unknown {number}") for number in range(500))


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", f"{'A' * 40}\n", f"{'a' * 40}:1\n", f"{'A' * 39}:1\n"),
        "\n".join(reversed(lines(MANY))),
        "\n".join(sorted(MANY)),
        None,
    ],
)
async def test_a_file_that_cannot_be_searched_is_said_at_the_start(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "breached.txt"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=f"^WATCHWORD_BREACHED_PASSWORDS: {file}"):
        await prepare(settings_for(tmp_path / "data", file))
    assert not (tmp_path / "data").exists()


async def test_a_breached_password_cannot_be_set(tmp_path: Path, file: Path) -> None:
    settings = settings_for(tmp_path / "data", file)
    with pytest.raises(SettingsError, match=r"ADMIN_PASSWORD.*breach"):
        await prepare(settings)
    async with open_watchword(
        settings, hashing=INSECURE_FOR_TESTS, background=False
    ) as engine:
        account = await engine.accounts.register("ann", OTHER)
        with pytest.raises(PasswordRejected) as refused:
            await engine.accounts.set_password(account.id, LEAKED)
        assert refused.value.fault is PasswordFault.LEAKED
        file.unlink()  # noqa: ASYNC240 - in memory
        with pytest.raises(StoreUnavailable):
            await engine.accounts.set_password(account.id, OTHER)
