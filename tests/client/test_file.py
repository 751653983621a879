"""The token file: its owner's alone, never half of it, and nothing worse if damaged."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import Stage
from tests.client.test_session import STORED
from tests.server.live import PASSWORD
from watchword.client.file import TokenFile
from watchword.client.stored import StoredSession
from watchword.errors import SignedOut, TokenFileError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def file(tmp_path: Path) -> TokenFile[StoredSession]:
    made = TokenFile(tmp_path / "app" / "session.json", StoredSession)
    assert made.try_lock()
    made.write(STORED)
    made.unlock()
    return made


def test_file_lock_and_folder_are_the_owners_alone(stage: Stage) -> None:
    """Whatever the umask, from the sign-in on and after each refresh."""
    before = os.umask(0)
    try:
        auth = stage.signed_in()
        stage.later()
        auth.token()
    finally:
        os.umask(before)
    assert mode_of(stage.file.parent) == 0o700
    names = {path.name: mode_of(path) for path in stage.file.parent.iterdir()}
    assert names == {"session.json": 0o600, "session.json.lock": 0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(
    file: TokenFile[StoredSession], mode: int
) -> None:
    file.path.chmod(mode)
    with pytest.raises(TokenFileError, match="chmod 600"):
        file.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(file: TokenFile[StoredSession]) -> None:
    os.chown(file.path, 12345, -1)
    with pytest.raises(TokenFileError, match="another user"):
        file.read()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"{}", b"\x00" * 4096, b"\xff\xfe", b'{"version": 2}'],
)
def test_a_damaged_file_is_told_and_a_sign_in_mends_it(
    stage: Stage, content: bytes
) -> None:
    """So for any part of a good one. Nothing of what is in it is told."""
    stage.signed_in()
    whole = stage.file.read_bytes()
    for damaged in (content, whole[:-10], whole[:100], whole + whole):
        stage.file.write_bytes(damaged)
        with pytest.raises(TokenFileError, match="damaged: sign in again") as told:
            stage.auth().token()
        assert told.value.__cause__ is None
        assert "ww_rt_" not in str(told.value)
    auth = stage.auth()
    auth.login("admin", PASSWORD)
    assert stage.auth().token() == auth.token()


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(TokenFileError, match="not a file"):
            TokenFile(tmp_path / name, StoredSession).read()


def test_a_link_stays_a_link(stage: Stage) -> None:
    """Dotfiles may lie elsewhere."""
    stage.file.parent.mkdir()
    elsewhere = stage.file.parent / "elsewhere"
    stage.file.symlink_to(elsewhere)
    stage.signed_in()
    assert stage.file.is_symlink()
    assert mode_of(elsewhere) == 0o600


def test_a_session_of_another_server_is_not_sent_anywhere(stage: Stage) -> None:
    stage.signed_in()
    kept = stage.file.read_text()
    stage.file.write_text(kept.replace(stage.url, "https://other.example"))
    for call in (stage.auth().token, stage.auth().logout):
        with pytest.raises(SignedOut, match=r"other\.example"):
            call()
    assert not stage.middle.refreshes()


def test_one_holds_the_lock_until_it_dies(file: TokenFile[StoredSession]) -> None:
    program = (
        "import os, sys; from pathlib import Path;"
        "from watchword.client.file import TokenFile;"
        "from watchword.client.stored import StoredSession;"
        "f = TokenFile(Path(sys.argv[1]), StoredSession); assert f.try_lock();"
        "(f.path.parent / f'{f._new}left').write_text('half');"
        "print(os.getpid(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        assert not file.try_lock()
        holder.kill()
        holder.wait()
    assert file.try_lock()
    file.unlock()
    assert file.read() == STORED
    names = sorted(path.name for path in file.path.parent.iterdir())
    assert names == ["session.json", "session.json.lock"], "what it left is gone"


def test_a_disk_that_is_full_loses_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the refresh: it is not sent. After it: the key asks for the same again."""
    auth = stage.signed_in()
    stage.later()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("watchword.client.file.os.fsync", full)
        with pytest.raises(TokenFileError, match="No space left"):
            auth.token()
    assert not stage.middle.refreshes()

    def full_then(_: object) -> None:
        monkeypatch.setattr("watchword.client.file.os.fsync", full)

    with monkeypatch.context() as patched:
        fsync = os.fsync
        stage.middle.then("/api/auth/refresh", full_then)
        with pytest.raises(TokenFileError, match="No space left"):
            auth.token()
    monkeypatch.setattr("watchword.client.file.os.fsync", fsync)
    auth.token()
    assert len({one.key for one in stage.middle.refreshes()}) == 1
    assert stage.generation() == 1
