"""The stores that rows are measured on, and the database servers behind them.

Owns what a row gets: a place of its own for sessions, gone afterwards. The servers are
those of the tests, from wheels, with settings of their own. They run on the load
generator's core: the other is the app's alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench import servers
from bench.servers import BenchFailed
from tests.servers.postgresql import Postgresql
from tests.servers.redis import Cluster, Redis
from watchword.ports import Stores
from watchword.stores import open_stores

StoreName = Literal["sqlite", "postgresql", "redis", "cluster"]

SECRET: Final = "a-secret-of-the-bench-and-of-nobody-else"
# As a server of its own would be set up, with memory for the tables of the curves. What
# makes a commit durable is left on.
POSTGRESQL: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "fsync": "on",
    "synchronous_commit": "on",
}
VALKEY: Final = {"appendonly": "yes", "appendfsync": "everysec"}


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A place for sessions; `pids` are the database servers, if there are any.

    `data` is the folder of the app's server; `told` says what the figures depend on.
    """

    name: StoreName
    data: Path
    url: str
    session_url: str | None = None
    pids: tuple[int, ...] = ()
    told: dict[str, str] = {}

    @property
    def settings(self) -> dict[str, str]:
        """The environment that leads a server here."""
        settings = {
            "WATCHWORD_DATABASE_URL": self.url,
            "WATCHWORD_SECRET": SECRET,
        }
        if self.session_url is not None:
            settings["WATCHWORD_SESSION_STORE_URL"] = self.session_url
        return settings

    async def open(self) -> Stores:
        """The store, in this process."""
        return await open_stores(self.url, os.urandom, self.session_url)

    def cpu_seconds(self) -> float:
        """CPU time that the database servers have used."""
        return sum(map(servers.cpu_seconds, self.pids))


@contextmanager
def _starting() -> Iterator[None]:
    """What is started in here stays on the load generator's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {servers.LOAD_CORE})
    try:
        yield
    except AssertionError as fault:
        message = f"a database server did not start: {fault}"
        raise BenchFailed(message) from fault
    finally:
        os.sched_setaffinity(0, before)


def _told(name: str, settings: dict[str, str]) -> dict[str, str]:
    how = ", ".join(f"{key} {value}" for key, value in settings.items())
    return {"database, on the load's core": f"{name}, {how}"}


@contextmanager
def _sqlite(folder: Path) -> Iterator[Backend]:
    url = f"sqlite:///{folder}/watchword.db"
    yield Backend(name="sqlite", data=folder / "data", url=url)


@cache
def _postgresql_server() -> Postgresql:
    with _starting():
        return Postgresql("16", **POSTGRESQL).init().start()


@contextmanager
def _postgresql(folder: Path) -> Iterator[Backend]:
    server = _postgresql_server()
    url = server.new_database()
    try:
        yield Backend(
            name="postgresql",
            data=folder / "data",
            url=url,
            pids=(server.process.pid,),
            told=_told("PostgreSQL 16", POSTGRESQL),
        )
    finally:
        server.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


@contextmanager
def _redis(folder: Path) -> Iterator[Backend]:
    with _starting():
        server = Redis("valkey-9", **VALKEY).start()
    try:
        yield Backend(
            name="redis",
            data=folder / "data",
            url=f"sqlite:///{folder}/watchword.db",
            session_url=server.url(),
            pids=(server.process.pid,),
            told=_told("Valkey 9", VALKEY),
        )
    finally:
        server.kill()
        shutil.rmtree(server.folder)


@contextmanager
def _cluster(folder: Path) -> Iterator[Backend]:
    with _starting():
        cluster = Cluster("valkey-9", 3, 0, **VALKEY).start()
    try:
        yield Backend(
            name="cluster",
            data=folder / "data",
            url=f"sqlite:///{folder}/watchword.db",
            session_url=cluster.url(),
            pids=tuple(node.process.pid for node in cluster.nodes),
            told=_told("Valkey 9, 3 masters", VALKEY),
        )
    finally:
        cluster.kill()
        for node in cluster.nodes:
            shutil.rmtree(node.folder)


_STORES: Final[dict[StoreName, Callable[[Path], AbstractContextManager[Backend]]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "redis": _redis,
    "cluster": _cluster,
}


@contextmanager
def backend(name: StoreName, folder: Path) -> Iterator[Backend]:
    """A new place in that store, until the end."""
    folder.mkdir(exist_ok=True)
    with _STORES[name](folder) as one:
        yield one
