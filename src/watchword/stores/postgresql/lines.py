"""One connection: making it, what is at its other end, and asking it.

Behind a pooler in transaction mode (PgBouncer, say) the server may change between two
transactions: then no statement has a name there, its text travels with every call, and
a call is one exchange as it is without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.prepared_stmt import PreparedStatement

from watchword.errors import SettingsError
from watchword.stores.sql_files import load_statements

SQL: Final = load_statements("postgresql")
FAULTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError too
)
"""All that the driver raises."""

Result = TypeVar("Result")
Rows = list[asyncpg.Record]


class Line:
    """A connection, and the statements that it knows by now.

    Whatever it does is over by `deadline`, by the loop's clock, or a TimeoutError.
    """

    def __init__(self, raw: asyncpg.Connection, *, pooled: bool) -> None:
        self.raw = raw
        self.deadline = 0.0
        self.idle_since = 0.0
        self._pooled = pooled
        self._prepared: dict[str, PreparedStatement[asyncpg.Record]] = {}
        self._now = asyncio.get_running_loop().time

    async def fetch(self, name: str, *values: Any) -> Rows:  # noqa: ANN401
        """The rows of one statement of `statements.sql`."""
        statement = self._prepared.get(name) or await self._prepare(name)
        return await statement.fetch(*values, timeout=self._left())

    async def fetch_many(self, name: str, rows: Sequence[Sequence[Any]]) -> Rows:
        """The rows of that statement for one `rows` after another.

        One exchange and one transaction, however many there are.
        """
        statement = self._prepared.get(name) or await self._prepare(name)
        found: Rows = await statement.fetchmany(rows, timeout=self._left())
        return found

    async def whole(self, work: Callable[[Line], Awaitable[Result]]) -> Result:
        """What `work` returns: several statements, and one transaction.

        After a time-out it is left open: whoever drops the line ends it.
        """
        await self.raw.execute("BEGIN", timeout=self._left())
        try:
            result = await work(self)
        except asyncpg.PostgresError:
            await self.raw.execute("ROLLBACK", timeout=self._left())
            raise
        await self.raw.execute("COMMIT", timeout=self._left())
        return result

    async def _prepare(self, name: str) -> PreparedStatement[asyncpg.Record]:
        known_as = "" if self._pooled else name
        statement = await self.raw.prepare(
            SQL[name], name=known_as, timeout=self._left()
        )
        self._prepared[name] = statement
        return statement

    def _left(self) -> float:
        return self.deadline - self._now()


class Servers:
    """The servers of a URL, which may name several: the one to ask takes writes.

    The one that did last time is asked first.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        user, at, hosts = parts.netloc.rpartition("@")
        self._urls = [
            parts._replace(netloc=user + at + host).geturl()
            for host in hosts.split(",")
        ]

    async def connect(self, patience: float) -> Line:
        """A new connection. Raises SettingsError, or the last server's of `FAULTS`."""
        fault: Exception = OSError()
        for url in self._urls[:]:
            try:
                line = await _connect(url, patience / len(self._urls))
            except (asyncpg.exceptions.ClientConfigurationError, ValueError):
                # Its own words may have the URL in them, and so a password.
                raise SettingsError(["the URL is not one of PostgreSQL"]) from None
            except FAULTS as error:
                fault = error
            else:
                self._urls.remove(url)
                self._urls.insert(0, url)
                return line
        raise fault


async def _connect(url: str, patience: float) -> Line:
    raw = await asyncpg.connect(
        url,
        timeout=patience,
        statement_cache_size=0,  # `Line` has its own
        target_session_attrs=SessionAttribute.read_write,
    )
    try:
        line = Line(raw, pooled=await _is_pooled(raw, patience))
    except BaseException:
        raw.terminate()
        raise
    return line


async def _is_pooled(raw: asyncpg.Connection, patience: float) -> bool:
    """Whether a pooler is in between. Raises SettingsError if commits may be lost."""
    ((server, commit),) = await raw.fetch(SQL["probe"], timeout=patience)
    if commit == "off":
        fault = (
            "synchronous_commit is off: a server that crashes forgets what was "
            "acknowledged. Set it to on for this role or database"
        )
        raise SettingsError([fault])
    pooled: bool = server != raw.get_server_pid()
    if not pooled:
        await raw.execute(SQL["bound_idle"], timeout=patience)
    return pooled
