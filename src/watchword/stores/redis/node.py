"""One server: a few connections to it, and the exchanges over them.

An exchange writes all commands at once on one connection and reads their answers in
turn. Revocations that come together share one exchange. It ends with the wait for the
disk and the replicas, because WAIT and WAITAOF look only at what their own connection
has written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import msgspec
from hiredis import pack_command
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from watchword.batching import Batcher
from watchword.stores.redis.address import Address

Command = tuple[Any, ...]
Reply = Any
"""The server's answer to a command; an exception where the answer was an error."""

# Two for batches of refreshes, two for revocations that wait, two for everything else.
CONNECTIONS: Final = 6
ANSWER_TIMEOUT: Final = 2.0
"""Seconds for an exchange: to get a connection, to open it and to get the answers."""
WAITS_MS: Final = (10, 20, 40, 80, 160, 320, 640, 1730)
"""How long a revocation waits, in steps (ms). The disk is synchronised each second, and
that may lag. At each step the replicas are asked anew how far their disk is; by
themselves they report it only once a second."""


class ConnectionLost(Exception):
    """Not all answers came. With `sent` the commands may have been carried out."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("sent" if sent else "not sent")
        self.sent = sent


class Barrier(msgspec.Struct, frozen=True):
    """What a revocation waits for: so many fsyncs of the master, and of replicas.

    Without `by_disk` the server cannot wait for the disk. Then a revocation waits until
    the replicas have it in memory.
    """

    local: int
    replicas: int
    by_disk: bool

    @property
    def commands(self) -> list[Command]:
        """The commands that wait. Steps after the barrier is met return at once."""
        if self.by_disk:
            return [("WAITAOF", self.local, self.replicas, ms) for ms in WAITS_MS]
        return [("WAIT", self.replicas, sum(WAITS_MS))]

    def is_met(self, replies: Sequence[Reply]) -> bool:
        """Whether enough servers have the write, by the answers to `commands`."""
        if any(isinstance(reply, Exception) for reply in replies):
            return False
        if self.by_disk:
            local, replicas = replies[-1]
            return bool(local >= self.local and replicas >= self.replicas)
        return bool(replies[-1] >= self.replicas)


class Node:
    """A server and the connections to it. Belongs to one event loop."""

    def __init__(self, address: Address, host: str, port: int) -> None:
        self.host: Final = host
        self.port: Final = port
        self.barrier: Barrier | None = None
        self._address = address
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[Any] = []
        self._generation = 0
        self._waiting: Batcher[Sequence[Command], list[Reply]] = Batcher(
            self._exchange_batch
        )
        self._numbers = count()

    def named(self, host: str) -> str:
        """The host that this server names.

        A server that does not know its own name sends "" or "?". That means its own
        address, which is the one used here.
        """
        return self.host if host in {"", "?"} else host

    async def exchange(
        self, commands: Sequence[Command], wait_ms: int = 0
    ) -> list[Reply]:
        """The answers, in order. Raises ConnectionLost.

        `wait_ms` is how long the commands may make the server wait.
        """
        sent = False
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT + wait_ms / 1000), self._slots:
                generation, connection = self._generation, await self._connected()
                sent = True
                try:
                    packed = b"".join(map(pack_command, commands))
                    await connection.send_packed_command(packed, check_health=False)
                    replies = [await _answer(connection) for _ in commands]
                except BaseException:
                    # Answers that are still to come must not reach the next caller.
                    await connection.disconnect(nowait=True)
                    raise
                if generation == self._generation:
                    self._idle.append(connection)
                else:
                    await connection.disconnect(nowait=True)
                return replies
        except (RedisError, OSError, TimeoutError) as error:
            if sent:  # the idle connections lead to the same server, so they go too
                await self.close_idle()
            raise ConnectionLost(sent=sent) from error

    async def exchange_safely(self, commands: Sequence[Command]) -> list[Reply]:
        """The answers, once the writes are where `barrier` wants them.

        Raises ConnectionLost; Overloaded, with nothing sent.
        """
        return await self._waiting.submit(next(self._numbers).to_bytes(8), commands)

    async def _exchange_batch(
        self, shares: Sequence[Sequence[Command]]
    ) -> list[list[Reply] | Exception]:
        commands = [command for share in shares for command in share]
        barrier = [] if self.barrier is None else self.barrier.commands
        replies = await self.exchange([*commands, *barrier], sum(WAITS_MS))
        reached = replies[len(commands) :]
        is_safe = self.barrier is None or self.barrier.is_met(reached)
        coming = iter(replies)
        answers = [[next(coming) for _ in share] for share in shares]
        # A call with refused commands only has written nothing that could be lost.
        return [
            share
            if is_safe or all(isinstance(reply, Exception) for reply in share)
            else ConnectionLost(sent=True)
            for share in answers
        ]

    async def _connected(self) -> Any:  # noqa: ANN401 - untyped in redis-py
        """A connection that is open, as far as can be seen without using it."""
        if self._idle:
            connection = self._idle.pop()
            # An idle connection can be read from only if the server has closed it.
            if not await connection.can_read():
                return connection
            await connection.disconnect(nowait=True)
        else:
            connection = self._address.connection(self.host, self.port)
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def close_idle(self) -> None:
        """Close all connections. One that is in use is closed after its exchange."""
        self._generation += 1
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


async def _answer(connection: Any) -> Reply:  # noqa: ANN401 - untyped in redis-py
    try:
        return await connection.read_response(disconnect_on_error=False)
    except (ResponseError, BusyLoadingError) as error:
        return error
