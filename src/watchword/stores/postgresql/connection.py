"""One connection: how it is made, whether a pooler is in between, and its statements.

Behind a pooler in transaction mode (such as PgBouncer) the server may change between
two transactions. Then statements have no names at the server and their text is sent
with every call. A call is one exchange, with or without a pooler.
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
from watchword.stores.sql.database import REFUSALS
from watchword.stores.sql.files import load_statements

SQL: Final = load_statements("postgresql")
FAULTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError too
)
"""Everything that the driver raises."""

# Seconds. A server that has not answered by then never will, and the connection is
# closed. Until then it is kept, because the statement is under way. A statement is
# never cancelled: a commit that waits for a standby would then be made without the
# standby, and be visible and acknowledged.
SILENCE_MAX: Final = 30.0

Result = TypeVar("Result")
Rows = list[asyncpg.Record]


class Connection:
    """A connection, and the statements that were prepared on it.

    After `deadline`, by the loop's clock, a new statement raises TimeoutError instead
    of being sent.
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
        """Run that statement once with each of `rows`; all rows that it returns.

        It is one exchange and one transaction, however many there are.
        """
        statement = self._prepared.get(name) or await self._prepare(name)
        found: Rows = await statement.fetchmany(rows, timeout=self._checked())
        return found

    async def transaction(
        self, work: Callable[[Connection], Awaitable[Result]]
    ) -> Result:
        """Run `work`, which is several statements, as one transaction; its result.

        After a time-out the transaction is left open. It ends when the caller drops the
        connection.
        """
        await self.raw.execute("BEGIN", timeout=self._checked())
        try:
            result = await work(self)
        except (asyncpg.PostgresError, *REFUSALS):
            await self.raw.execute("ROLLBACK", timeout=self._checked())
            raise
        await self.raw.execute("COMMIT", timeout=self._checked())
        return result

    def begin_use(self, deadline: float) -> None:
        """Note that a caller has the connection, and wants its answer by `deadline`."""
        self.deadline = deadline
        loop = asyncio.get_running_loop()
        self._silent = loop.call_later(SILENCE_MAX, self.raw.terminate)

    def end_use(self) -> None:
        """Note that the caller has given the connection back to the pool."""
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
        """The time-out (s) to give to the driver.

        The driver cancels a statement after it, so it is longer than SILENCE_MAX and
        only guards against a statement without end. Raises TimeoutError where it is too
        late to begin one.
        """
        if self._now() >= self.deadline:
            raise TimeoutError
        return 2 * SILENCE_MAX


class Servers:
    """The servers of a URL, which may name several. The one that takes writes is used.

    The one that took writes last time is tried first. `statement_timeout` is how long
    (s) a server may take for a statement, with its wait for locks. It is set on the
    connection. Behind a pooler connections are shared with other programs, so there it
    has to be set for the role.
    """

    def __init__(self, url: str, statement_timeout: float) -> None:
        self._statement_timeout = f"{statement_timeout}s"
        parts = urlsplit(url)
        user, at, hosts = parts.netloc.rpartition("@")
        self._urls = [
            parts._replace(netloc=user + at + host).geturl()
            for host in hosts.split(",")
        ]

    async def connect(self, within: float) -> Connection:
        """A new connection, in so many seconds.

        Raises SettingsError, or the error of `FAULTS` that the last server gave.
        """
        last: Exception = OSError()
        for url in self._urls[:]:
            try:
                connection = await self._connect(url, within / len(self._urls))
            except (asyncpg.exceptions.ClientConfigurationError, ValueError):
                # The driver's message may have the URL in it, and so a password.
                fault = "the URL of the database, or a file that it names, is no good"
                raise SettingsError([fault]) from None
            except asyncpg.UndefinedObjectError as error:
                raise SettingsError([_foreign(error)]) from None
            except FAULTS as error:
                last = error
            else:
                self._urls.remove(url)
                self._urls.insert(0, url)
                return connection
        raise last

    async def _connect(self, url: str, within: float) -> Connection:
        raw = await asyncpg.connect(
            url,
            timeout=within,
            statement_cache_size=0,  # `Connection` has its own
            target_session_attrs=SessionAttribute.read_write,
        )
        try:
            async with asyncio.timeout(within):
                pooled = await _is_pooled(raw)
                if not pooled:
                    await raw.fetch(SQL["set_timeouts"], self._statement_timeout)
        except BaseException:
            raw.terminate()
            raise
        return Connection(raw, pooled=pooled)


def _foreign(error: asyncpg.UndefinedObjectError) -> str:
    """The message for a parameter in the URL that neither driver nor server knows.

    The driver passes on a parameter that it does not know, and the server refuses it.
    """
    fault = f"the URL of the database: {reason_of(error)}"
    if "channel_binding" not in str(error):
        return fault
    return (
        f"{fault}. The driver cannot bind to the channel; sslmode=verify-full keeps "
        "others out of the connection"
    )


async def _is_pooled(raw: asyncpg.Connection) -> bool:
    """Whether a pooler is between this process and the server.

    Raises SettingsError where the server may lose commits, or cannot store every name.
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
