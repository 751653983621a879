"""Where a session is kept: a file that is its owner's alone, or memory.

The file is replaced whole (a new one beside it, fsync, rename, fsync of the folder):
whoever reads finds the old session or the new one, and what was written stays written,
whatever dies when. A lock file beside it is held around a refresh, by one process at a
time; the system gives it back when its holder dies.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import filelock
import msgspec

from watchword.client.session import Held
from watchword.errors import TokenFileError

_SIZE_MAX: Final = 64 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_HELD: Final = msgspec.json.Decoder(Held)


class Memory:
    """A session that nobody else sees. Processes must not share it by forking."""

    on_disk = False

    def __init__(self) -> None:
        self._held: Held | None = None

    def read(self) -> Held | None:
        """What is held."""
        return self._held

    def write(self, held: Held | None) -> None:
        """Hold that, or nothing."""
        self._held = held

    def try_lock(self) -> bool:
        """There is nobody else."""
        return True

    def unlock(self) -> None:
        """There was nobody else."""


class TokenFile:
    """A session that processes share. Only who has the lock may write."""

    on_disk = True

    def __init__(self, path: Path) -> None:
        # Behind a link: a rename must replace the file, not the link to it.
        self.path = path.expanduser().resolve()
        self._new = f".{self.path.name}.watchword-"
        self._lock: filelock.BaseFileLock | None = None

    def read(self) -> Held | None:
        """What is held; None where there is no file. Raises TokenFileError."""
        try:
            # What is no file, such as a pipe, is opened without waiting for anybody.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(error.strerror or "cannot be read") from None
        try:
            self._check(os.fstat(descriptor))
            raw = os.read(descriptor, _SIZE_MAX)
        finally:
            os.close(descriptor)
        try:
            return _HELD.decode(raw)
        except msgspec.MsgspecError:
            # Nothing of its content is told.
            raise self._refused("it is damaged: sign in again") from None

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._refused("it is not a file")
        if found.st_uid != os.geteuid():
            raise self._refused("it belongs to somebody else")
        if found.st_mode & _OTHERS:
            raise self._refused(
                "others may read or write it: sign in again, since they may have, or "
                "run chmod 600"
            )

    def write(self, held: Held | None) -> None:
        """Replace it, durably; None removes it. Raises TokenFileError."""
        try:
            if held is None:
                self.path.unlink(missing_ok=True)
            else:
                self._replace(msgspec.json.format(msgspec.json.encode(held)))
            self._sync_folder()
        except OSError as error:
            raise self._refused(error.strerror or "cannot be written") from None

    def _replace(self, content: bytes) -> None:
        folder = self.path.parent
        # Made with mode 0600 and a name that nobody can have put there before.
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=self._new)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _sync_folder(self) -> None:
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # nothing was there to be removed
            return
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def try_lock(self) -> bool:
        """Whether the lock is ours now, without waiting. Raises TokenFileError."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A new one each time: one that a fork inherited could not be used again.
            lock = filelock.FileLock(
                f"{self.path}.lock", mode=0o600, thread_local=False
            )
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except OSError as error:
            raise self._refused(error.strerror or "cannot be locked") from None
        self._lock = lock
        self._sweep()
        return True

    def _sweep(self) -> None:
        """Remove what somebody who was killed while writing has left behind."""
        with suppress(OSError):
            for one in self.path.parent.iterdir():
                if one.name.startswith(self._new):
                    one.unlink()

    def unlock(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _refused(self, why: str) -> TokenFileError:
        return TokenFileError(f"{self.path}: {why}")
