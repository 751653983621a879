"""One server: a few connections to it, and what is said over them.

An exchange is one write of all commands and their answers in turn, on one connection.
Revocations that come together share one that ends with the wait for the disk and the
replicas: WAIT and WAITAOF look at what their own connection has written.
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
"""What the server answered; an exception where that was an error."""

# Two for batches of refreshes, two for revocations that wait, the rest for all else.
CONNECTIONS: Final = 6
PATIENCE: Final = 2.0
"""Seconds for an exchange: to get a connection, to connect, to be answered."""
WAITS_MS: Final = (10, 20, 40, 80, 160, 320, 640, 1730)
"""How long a revocation waits, in steps: the disk is synchronised each second, and may
lag. At each step the replicas are asked anew how far theirs is; they say it of their
own accord once a second."""


class Lost(Exception):
    """No answer, or not all. `sent`: the commands may have been carried out."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("sent" if sent else "not sent")
        self.sent = sent


class Barrier(msgspec.Struct, frozen=True):
    """What a revocation waits for: so many fsyncs of the master, and of replicas.

    Where the server cannot wait for the disk, for the replicas to have it in memory.
    """

    local: int
    replicas: int
    by_disk: bool

    @property
    def commands(self) -> list[Command]:
        """The wait itself; the steps that are left when it is over cost nothing."""
        if self.by_disk:
            return [("WAITAOF", self.local, self.replicas, ms) for ms in WAITS_MS]
        return [("WAIT", self.replicas, sum(WAITS_MS))]

    def is_met(self, replies: Sequence[Reply]) -> bool:
        """Whether the server answered that enough have it."""
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
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[Any] = []
        self._life = 0
        self._waiting: Batcher[Sequence[Command], list[Reply]] = Batcher(self._waited)
        self._numbers = count()

    def named(self, host: str) -> str:
        """The host that it means: one that does not know its name is where it is."""
        return self.host if host in {"", "?"} else host

    async def exchange(
        self, commands: Sequence[Command], wait_ms: int = 0
    ) -> list[Reply]:
        """The answers, in order; the server may wait so long. Raises Lost."""
        sent = False
        try:
            async with asyncio.timeout(PATIENCE + wait_ms / 1000), self._places:
                life, connection = self._life, await self._connected()
                sent = True
                try:
                    packed = b"".join(map(pack_command, commands))
                    await connection.send_packed_command(packed, check_health=False)
                    replies = [await _answer(connection) for _ in commands]
                except BaseException:
                    # What is still to come belongs to nobody.
                    await connection.disconnect(nowait=True)
                    raise
                if life == self._life:
                    self._idle.append(connection)
                else:
                    await connection.disconnect(nowait=True)
                return replies
        except (RedisError, OSError, TimeoutError) as error:
            if sent:  # the others lead to the same place
                await self.hang_up()
            raise Lost(sent=sent) from error

    async def exchange_safely(self, commands: Sequence[Command]) -> list[Reply]:
        """The answers, once what was written is where `barrier` wants it.

        Raises Lost; and Overloaded, with nothing sent.
        """
        return await self._waiting.submit(next(self._numbers).to_bytes(8), commands)

    async def _waited(
        self, shares: Sequence[Sequence[Command]]
    ) -> list[list[Reply] | Exception]:
        commands = [command for share in shares for command in share]
        barrier = [] if self.barrier is None else self.barrier.commands
        replies = await self.exchange([*commands, *barrier], sum(WAITS_MS))
        reached = replies[len(commands) :]
        is_safe = self.barrier is None or self.barrier.is_met(reached)
        answers = iter(replies)
        told = [[next(answers) for _ in share] for share in shares]
        # What was refused was not written, so it cannot be lost.
        return [
            share
            if is_safe or all(isinstance(reply, Exception) for reply in share)
            else Lost(sent=True)
            for share in told
        ]

    async def _connected(self) -> Any:  # noqa: ANN401 - untyped in redis-py
        """A connection that was open a moment ago."""
        if self._idle:
            connection = self._idle.pop()
            if not await connection.can_read():  # the server has not hung up
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

    async def hang_up(self) -> None:
        """Close the connections; one in use, after its exchange."""
        self._life += 1
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


async def _answer(connection: Any) -> Reply:  # noqa: ANN401 - untyped in redis-py
    try:
        return await connection.read_response(disconnect_on_error=False)
    except (ResponseError, BusyLoadingError) as error:
        return error
