"""Secret files: whether what they say can be believed, and that they are there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchword.config import Settings, load_settings
from watchword.errors import SettingsError
from watchword.secret_files import (
    ADMIN_PASSWORD_FILE,
    SECRET_FILE,
    check_secret_files,
    make_private,
)

STRANGER = 12_345
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="root: a file can be given to another user"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    assert make_private(folder / SECRET_FILE, "s" * 40, "x")
    return folder


def settings_of(data: Path) -> Settings:
    return load_settings(data=data)


def give_away(path: Path) -> None:
    os.chown(path, STRANGER, -1, follow_symlinks=False)


def for_a_group(data: Path) -> None:
    os.chown(data / SECRET_FILE, -1, STRANGER)
    (data / SECRET_FILE).chmod(0o660)


def link(data: Path, *, owner: int | None = None) -> None:
    """The secret lies elsewhere, and a link to it in the data folder."""
    target = data.parent / "elsewhere"
    (data / SECRET_FILE).rename(target)
    (data / SECRET_FILE).symlink_to(target)
    if owner is not None:
        give_away(data / SECRET_FILE)


def link_through_a_loop(data: Path) -> None:
    (data / SECRET_FILE).unlink()
    (data / SECRET_FILE).symlink_to(data / SECRET_FILE)


def elsewhere_is_open(data: Path) -> None:
    link(data)
    folder = data.parent / "open"
    folder.mkdir()
    folder.chmod(0o777)
    (data.parent / "elsewhere").rename(folder / "secret")
    (data / SECRET_FILE).unlink()
    (data / SECRET_FILE).symlink_to("../open/secret")


def sticky(data: Path) -> None:
    data.chmod(0o1777)


def sticky_and_planted(data: Path) -> None:
    sticky(data)
    give_away(data / SECRET_FILE)


def sticky_and_linked(data: Path) -> None:
    sticky(data)
    link(data, owner=STRANGER)


Change = Callable[[Path], None]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: data.chmod(0o777), "data: everyone on this machine may write"),
        (lambda data: data.parent.chmod(0o707), "everyone on this machine may write"),
        (lambda data: (data / SECRET_FILE).chmod(0o666), "secret: everyone on this"),
        (elsewhere_is_open, "open: everyone on this machine may write"),
        pytest.param(sticky_and_planted, "may have put it", marks=needs_root),
        pytest.param(sticky_and_linked, "may have put it", marks=needs_root),
    ],
)
def test_what_anybody_may_have_written_is_refused(
    data: Path, change: Change, named: str
) -> None:
    change(data)
    with pytest.raises(SettingsError, match=named):
        check_secret_files(settings_of(data))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: (data / SECRET_FILE).chmod(0o644), "may read it"),
        pytest.param(
            for_a_group,
            f"group {STRANGER} may write it",
            marks=needs_root,
        ),
        pytest.param(
            lambda data: give_away(data / SECRET_FILE),
            f"belongs to user {STRANGER}",
            marks=needs_root,
        ),
        pytest.param(
            lambda data: link(data, owner=STRANGER),
            f"secret: belongs to user {STRANGER}",
            marks=needs_root,
        ),
    ],
)
def test_what_is_less_than_private_is_told(
    data: Path, change: Change, named: str
) -> None:
    """Containers mount secrets so: refused, they would not start."""
    change(data)
    (sentence,) = check_secret_files(settings_of(data))
    assert named in sentence


@pytest.mark.parametrize("change", [lambda _: None, link, sticky, link_through_a_loop])
def test_what_only_its_owner_may_change_is_fine(data: Path, change: Change) -> None:
    """Links too, and a folder such as /tmp, where nobody replaces another's file."""
    change(data)
    assert check_secret_files(settings_of(data)) == []


def test_a_mounted_folder_is_told_of(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume of Kubernetes may be written by everyone in its container."""
    data.chmod(0o777)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == data)
    (sentence,) = check_secret_files(settings_of(data))
    assert "may write it" in sentence


@pytest.mark.parametrize(
    "name",
    [
        *("secret_file", "database_url_file", "admin_password_file", "tls_key"),
        *("session_store_url_file", ADMIN_PASSWORD_FILE, "watchword.db"),
    ],
)
def test_every_secret_file_is_looked_at(data: Path, name: str) -> None:
    file = data / name
    file.write_text("s" * 40)
    file.chmod(0o666)
    given: dict[str, Any] = (
        {name: file} if "." not in name and name in Settings.model_fields else {}
    )
    with pytest.raises(SettingsError, match=f"{name}: everyone"):
        check_secret_files(Settings(data=data, **given))


def test_a_pipe_has_nobody_who_could_replace_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        settings = Settings(data=tmp_path, secret_file=Path(f"/dev/fd/{reading}"))
        assert check_secret_files(settings) == []
    finally:
        os.close(reading)
        os.close(writing)


def test_a_file_is_made_private_and_its_name_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every folder whose entries changed: keys without their secret open nothing."""
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    file = tmp_path / "a" / "b" / "secret"
    assert make_private(file, "text", "x")
    assert synced[1:] == [str(tmp_path / "a" / "b"), str(tmp_path / "a"), str(tmp_path)]
    assert ".secret." in synced[0]
    assert file.read_text() == "text\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not make_private(file, "other", "y")
    assert [one.name for one in file.parent.iterdir()] == ["secret"]


@pytest.mark.parametrize("target", ["not-mounted/secret", SECRET_FILE])
def test_a_link_to_what_is_not_there_is_said(tmp_path: Path, target: str) -> None:
    """Nothing is made in its place: the secret of a volume may yet be mounted."""
    file = tmp_path / SECRET_FILE
    file.symlink_to(target)  # the second one is a loop
    with pytest.raises(SettingsError, match="secret is a link to a file that is not"):
        make_private(file, "text", "x")
    assert list(tmp_path.iterdir()) == [file]
