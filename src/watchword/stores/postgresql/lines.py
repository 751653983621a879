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
from watchword.reasons import reason_of
from watchword.stores.sql_files import load_statements

SQL: Final = load_statements("postgresql")
FAULTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError too
)
"""All that the driver raises."""

# Seconds. What the server has not answered by then it never will: the connection goes.
# Until then it is kept, for the statement is under way. It is never cancelled: a commit
# that waits for a standby would be made without it, and be seen, and be acknowledged.
SILENCE_MAX: Final = 30.0

Result = TypeVar("Result")
Rows = list[asyncpg.Record]


class Line:
    """A connection, and the statements that it knows by now.

    Nothing is begun after `deadline`, by the loop's clock: that is a TimeoutError.
    """

    def __init__(self, raw: asyncpg.Connection, *, pooled: bool) -> None:
        self.raw = raw
        self.deadline = 0.0
        self.idle_since = 0.0
        self._silent: asyncio.TimerHandle | None = None
        self._pooled = pooled
        self._prepared: dict[str, PreparedStatement[asyncpg.Record]] = {}
        self._now = asyncio.get_running_loop().time

    async def fetch(self, name: str, *values: Any) -> Rows:  # noqa: ANN401
        """The rows of one statement of `statements.sql`."""
        statement = self._prepared.get(name) or await self._prepare(name)
        return await statement.fetch(*values, timeout=self._checked())

    async def fetch_many(self, name: str, rows: Sequence[Sequence[Any]]) -> Rows:
        """The rows of that statement for one `rows` after another.

        One exchange and one transaction, however many there are.
        """
        statement = self._prepared.get(name) or await self._prepare(name)
        found: Rows = await statement.fetchmany(rows, timeout=self._checked())
        return found

    async def whole(self, work: Callable[[Line], Awaitable[Result]]) -> Result:
        """What `work` returns: several statements, and one transaction.

        After a time-out it is left open: whoever drops the line ends it.
        """
        await self.raw.execute("BEGIN", timeout=self._checked())
        try:
            result = await work(self)
        except asyncpg.PostgresError:
            await self.raw.execute("ROLLBACK", timeout=self._checked())
            raise
        await self.raw.execute("COMMIT", timeout=self._checked())
        return result

    def taken(self, deadline: float) -> None:
        """For one caller, who wants it all done by then."""
        self.deadline = deadline
        loop = asyncio.get_running_loop()
        self._silent = loop.call_later(SILENCE_MAX, self.raw.terminate)

    def given_back(self) -> None:
        """By its caller."""
        if self._silent is not None:
            self._silent.cancel()
        self.idle_since = self._now()

    async def _prepare(self, name: str) -> PreparedStatement[asyncpg.Record]:
        known_as = "" if self._pooled else name
        statement = await self.raw.prepare(
            SQL[name], name=known_as, timeout=self._checked()
        )
        self._prepared[name] = statement
        return statement

    def _checked(self) -> float:
        """The driver's own time-out, which cancels: it only ends what has no end.

        Raises TimeoutError where it is too late to begin.
        """
        if self._now() >= self.deadline:
            raise TimeoutError
        return 2 * SILENCE_MAX


class Servers:
    """The servers of a URL, which may name several: the one to ask takes writes.

    The one that did last time is asked first. `patience` is how long (s) a server may
    take for a statement, the waiting for locks included; a pooler's servers are asked
    by all, so there the role must have such a limit.
    """

    def __init__(self, url: str, patience: float) -> None:
        self._limit = f"{patience}s"
        parts = urlsplit(url)
        user, at, hosts = parts.netloc.rpartition("@")
        self._urls = [
            parts._replace(netloc=user + at + host).geturl()
            for host in hosts.split(",")
        ]

    async def connect(self, within: float) -> Line:
        """A new connection, in so many seconds.

        Raises SettingsError, or the last server's of `FAULTS`.
        """
        last: Exception = OSError()
        for url in self._urls[:]:
            try:
                line = await self._connect(url, within / len(self._urls))
            except (asyncpg.exceptions.ClientConfigurationError, ValueError):
                # Its own words may have the URL in them, and so a password.
                fault = "the URL of the database, or a file that it names, is no good"
                raise SettingsError([fault]) from None
            except asyncpg.UndefinedObjectError as error:
                raise SettingsError([_foreign(error)]) from None
            except FAULTS as error:
                last = error
            else:
                self._urls.remove(url)
                self._urls.insert(0, url)
                return line
        raise last

    async def _connect(self, url: str, within: float) -> Line:
        raw = await asyncpg.connect(
            url,
            timeout=within,
            statement_cache_size=0,  # `Line` has its own
            target_session_attrs=SessionAttribute.read_write,
        )
        try:
            async with asyncio.timeout(within):
                pooled = await _is_pooled(raw)
                if not pooled:
                    await raw.fetch(SQL["bound"], self._limit)
        except BaseException:
            raw.terminate()
            raise
        return Line(raw, pooled=pooled)


def _foreign(error: asyncpg.UndefinedObjectError) -> str:
    """Of a parameter in the URL that the driver has no use for: it asked the server."""
    fault = f"the URL of the database: {reason_of(error)}"
    if "channel_binding" not in str(error):
        return fault
    return (
        f"{fault}. The driver cannot bind to the channel; sslmode=verify-full keeps "
        "others out of the connection"
    )


async def _is_pooled(raw: asyncpg.Connection) -> bool:
    """Whether a pooler is in between.

    Raises SettingsError if commits may be lost, or names that people have.
    """
    ((server, commit, encoding),) = await raw.fetch(SQL["probe"])
    if encoding != "UTF8":
        fault = (
            f"the database is encoded as {encoding}, which cannot store every name: "
            "make another one by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
        raise SettingsError([fault])
    if commit == "off":
        fault = (
            "synchronous_commit is off: a server that crashes forgets what was "
            "acknowledged. Set it to on for this role or database"
        )
        raise SettingsError([fault])
    return bool(server != raw.get_server_pid())
