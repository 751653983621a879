"""Files that hold secrets: made for their owner alone; what other users may do to them.

A server believes what its secret file says. A user that may write that file, or put
another file in its place, can make tokens of any account. As `ssh` does with its keys,
a file or folder that every user of the machine may write is refused. So is a file that
another user put into a folder where every user may, such as `/tmp`. Two cases are only
a warning here, unlike in `ssh`, because secrets are mounted into containers in this
way: a file that every user may *read* or *one* other user may change, and a mounted
folder that every user may write.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from watchword.config import Settings
from watchword.errors import SettingsError
from watchword.stores import file_of

# As in the Linux kernel: more links than this count as a loop.
_LINKS_MAX: Final = 40
# Root may change anything anyway. A file of an owner without an id in this container is
# shown as owned by the last one, `_UNMAPPED`: see `user_namespaces(7)`.
_ROOT: Final = 0
_UNMAPPED: Final = 65534

SECRET_FILE: Final = "secret"  # noqa: S105 - a name
"""The file in the data folder with the server secret, if the settings give none."""

ADMIN_PASSWORD_FILE: Final = "admin-password"  # noqa: S105 - a name
"""The file in the data folder with the first account's password.

An operator is to read and delete it.
"""


def check_secret_files(settings: Settings) -> list[str]:
    """What other users may do to the settings' secret files, a sentence each.

    Raises SettingsError for a file that cannot be trusted.
    """
    files = [settings.data / ADMIN_PASSWORD_FILE, *_named_by(settings)]
    if not settings.secret:
        files.append(settings.data / SECRET_FILE)
    if (database := file_of(settings.database_url)) is not None:
        files.append(database)
    found = [*dict.fromkeys(one for file in files for one in exposures_of(file))]
    faults = [one.sentence for one in found if one.refused]
    if faults:
        raise SettingsError(faults)
    return [one.sentence for one in found]


def _named_by(settings: Settings) -> Iterator[Path]:
    for file in (
        settings.secret_file,
        settings.database_url_file,
        settings.session_store_url_file,
        settings.mail_url_file,
        settings.admin_password_file,
        settings.tls_key,
    ):
        if file is not None:
            yield file


class Exposure(NamedTuple):
    """A sentence on what other users may do, and whether the file is refused for it."""

    sentence: str
    refused: bool


def exposures_of(path: Path) -> Iterator[Exposure]:
    """What other users may do to that file, or to a folder or link on the way to it.

    Yields nothing for a path that is not there or is not a file: a pipe, say, has no
    name at which another could take its place.
    """
    if os.name != "posix" or not path.is_file():
        return
    for entry, found, folder in _steps(path.absolute()):
        yield from _by_everyone(entry, found)
        yield from _by_owner(entry, found, folder)
    if path.stat().st_mode & stat.S_IROTH:
        yield Exposure(f"{path}: everyone on this machine may read it", refused=False)


def _by_everyone(entry: Path, found: os.stat_result) -> Iterator[Exposure]:
    if stat.S_ISLNK(found.st_mode):
        return  # a link's own mode means nothing
    is_folder = stat.S_ISDIR(found.st_mode)
    # In a sticky folder other users cannot replace files of ours.
    sticky = is_folder and found.st_mode & stat.S_ISVTX
    if found.st_mode & stat.S_IWOTH and not sticky:
        # Kubernetes mounts volumes in this way, and the container has no other user.
        mounted = is_folder and entry.is_mount()
        sentence = f"{entry}: everyone on this machine may write it (chmod o-w)"
        yield Exposure(sentence, refused=not mounted)
    elif found.st_mode & stat.S_IWGRP and found.st_gid not in (_ROOT, os.getegid()):
        sentence = f"{entry}: group {found.st_gid} may write it (chmod g-w)"
        yield Exposure(sentence, refused=False)


def _by_owner(
    entry: Path, found: os.stat_result, folder: os.stat_result
) -> Iterator[Exposure]:
    if found.st_uid in (_ROOT, _UNMAPPED, os.geteuid()):
        return
    planted = bool(folder.st_mode & stat.S_IWOTH)
    sentence = f"{entry}: belongs to user {found.st_uid}"
    if planted:
        sentence += ". That user may have put it there: everyone may write the folder"
    yield Exposure(sentence, refused=planted)


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result, os.stat_result]]:
    """Each folder, link and file on the way: path, its status, its folder's status."""
    root = here = Path(path.anchor)
    folder = here.lstat()
    yield here, folder, folder
    rest = list(reversed(path.parts[1:]))
    links = 0
    while rest:
        name = rest.pop()
        if name == os.pardir:
            here = here.parent
            folder = here.lstat()
            continue
        entry = here / name
        found = entry.lstat()
        yield entry, found, folder
        if not stat.S_ISLNK(found.st_mode):
            here, folder = entry, found
            continue
        links += 1
        if links > _LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = entry.readlink()
        if target.is_absolute():
            here, folder = root, root.lstat()
        rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def make_private(path: Path, text: str, tag: str) -> bool:
    """Create a file whole or not at all, durably. False if there is one already.

    `tag` makes the name of the temporary file unique: no two calls share one. Raises
    OSError. Raises SettingsError for a link to a file that is not there: its volume may
    not be mounted, and a new file in its place would hide that.
    """
    if path.exists():
        return False
    if path.is_symlink():
        raise SettingsError([f"{path} is a link to a file that is not there"])
    changed = [path.parent]
    while not changed[-1].exists():
        changed.append(changed[-1].parent)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written to a temporary file, then linked into place. Of several processes that
    # start at once exactly one creates the file, and none ever reads half of it.
    aside = path.with_name(f".{path.name}.{os.getpid()}.{tag}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    # The folders are synced too. Otherwise a crash could lose the file's name, and
    # leave signing keys without their secret.
    for folder in changed:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return True
