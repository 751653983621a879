"""PgBouncer in transaction mode: the machine's, or Debian's package. No root needed.

Debian's is 1.18, which knows nothing of prepared statements: the hard case.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from tests.servers.postgresql import Postgresql
from tests.servers.process import Process, free_port, scratch

_CACHE: Final = Path(__file__).parents[2] / ".tools" / "pgbouncer"
_PACKAGES: Final = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
_numbers = count()


class PgBouncer:
    """A pooler before a server, with the settings given."""

    def __init__(self, server: Postgresql, **settings: str) -> None:
        program, libraries = _program()
        self.port = free_port()
        name = f"pgbouncer{next(_numbers)}"
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            **settings,
        }
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={server.port} user=postgres",
            "[pgbouncer]",
            *(f"{key} = {value}" for key, value in settings.items()),
        ]
        config = scratch() / f"{name}.ini"
        config.write_text("\n".join(lines))
        self.process = Process(
            ["env", f"LD_LIBRARY_PATH={libraries}", str(program), str(config)],
            scratch() / f"{name}.log",
            self._answers,
            user=65534 if os.geteuid() == 0 else None,  # it refuses to run as root
        )

    def url(self, url: str) -> str:
        """The way through it to that database of the server."""
        database = url.rpartition("/")[2]
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> PgBouncer:
        self.process.start()
        return self

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True


@cache
def _program() -> tuple[Path, Path]:
    """The program, and the folder of its libraries."""
    on_path = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
    if on_path is not None:
        return Path(on_path), Path(on_path).parent
    if not _CACHE.exists():
        _fetch()
    # Whoever it runs as may not be able to go into this repository.
    copy = scratch() / "pgbouncer"
    shutil.copytree(_CACHE, copy, symlinks=True)
    (libraries,) = copy.glob("usr/lib/*-linux-gnu*")
    return copy / "usr/sbin/pgbouncer", libraries


def _fetch() -> None:
    """Debian's package, unpacked and not installed."""
    _CACHE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE.parent) as name:
        folder = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        apt = [
            *("apt-get", "-qq", "-o", f"Dir::State::Lists={folder}/lists"),
            *("-o", f"Dir::Cache={folder}/cache", "-o", "APT::Sandbox::User="),
        ]
        root = folder / "root"
        try:
            _run(folder, *apt, "update")
            _run(folder, *apt, "download", *_PACKAGES)
            for package in folder.glob("*.deb"):
                _run(folder, "dpkg-deb", "-x", str(package), str(root))
        except (OSError, subprocess.CalledProcessError) as error:
            reason = (
                f"no PgBouncer here, nor to be had with apt-get: install it ({error})"
            )
            pytest.skip(reason)
        root.chmod(0o755)
        if not _CACHE.exists():  # another process of these tests may have been first
            root.rename(_CACHE)


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
