"""Where a session is kept: a file that only its owner can read, or memory.

The file is replaced as a whole (a new one beside it, fsync, rename, fsync of the
folder). So a process that reads finds the old session or the new one, and what was
written stays written, whichever process or machine dies at whatever moment. A process
holds a lock file beside it during a refresh. If the process dies, the operating system
releases the lock.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, TypeVar

import filelock
import msgspec

from watchword.errors import TokenFileError

_SIZE_MAX: Final = 64 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
Stored = TypeVar("Stored", bound=msgspec.Struct)


class Memory(Generic[Stored]):
    """A session in this process only. Processes must not share it by forking."""

    on_disk = False

    def __init__(self) -> None:
        self._stored: Stored | None = None

    def read(self) -> Stored | None:
        """The session, or None."""
        return self._stored

    def write(self, stored: Stored | None) -> None:
        """Keep this session, or none."""
        self._stored = stored

    def try_lock(self) -> bool:
        """Always True: no other process shares the session."""
        return True

    def unlock(self) -> None:
        """Does nothing: no other process shares the session."""


class TokenFile(Generic[Stored]):
    """A session that processes share. Only the process with the lock may write.

    `kind` is what the file holds.
    """

    on_disk = True

    def __init__(self, path: Path, kind: type[Stored]) -> None:
        # Links are resolved: the rename must replace the file, not the link to it.
        self.path = path.expanduser().resolve()
        self._new = f".{self.path.name}.watchword-"
        self._decoder = msgspec.json.Decoder(kind)
        self._lock: filelock.BaseFileLock | None = None

    def read(self) -> Stored | None:
        """The session; None where there is no file. Raises TokenFileError."""
        try:
            # O_NONBLOCK, because to open a pipe would wait for a process at its other
            # end. `_check` then refuses what is not a file.
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
            return self._decoder.decode(raw)
        except msgspec.MsgspecError:
            # The message must not show content of the file.
            raise self._refused("it is damaged: sign in again") from None

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._refused("it is not a file")
        if found.st_uid != os.geteuid():
            raise self._refused("it belongs to another user")
        if found.st_mode & _OTHERS:
            raise self._refused(
                "others may read or write it: sign in again, since they may have, or "
                "run chmod 600"
            )

    def write(self, stored: Stored | None) -> None:
        """Replace the file, durably; None removes it. Raises TokenFileError."""
        try:
            if stored is None:
                self.path.unlink(missing_ok=True)
            else:
                self._replace(msgspec.json.format(msgspec.json.encode(stored)))
            self._sync_folder()
        except OSError as error:
            raise self._refused(error.strerror or "cannot be written") from None

    def _replace(self, content: bytes) -> None:
        folder = self.path.parent
        # Made with mode 0600 and a random name, so that no other user of the machine
        # can have put a file there before.
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
        except FileNotFoundError:  # there was no folder, and so no file to remove
            return
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def try_lock(self) -> bool:
        """Take the lock if it is free; whether this process has it now.

        Does not wait. Raises TokenFileError.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A new lock object each time, because one that was inherited by a fork
            # could not be used again.
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
        """Remove files that a process left behind when it was killed while writing."""
        with suppress(OSError):
            for one in self.path.parent.iterdir():
                if one.name.startswith(self._new):
                    one.unlink()

    def unlock(self) -> None:
        """Release the lock, if this process has it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _refused(self, why: str) -> TokenFileError:
        return TokenFileError(f"{self.path}: {why}")
