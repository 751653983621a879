"""Which server gets a request (the only one, or the master of the slot), and retries.

A request that may have been carried out is not sent again, unless it is repeatable. A
server that refuses a request (MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING, READONLY,
NOSCRIPT) has not carried it out. After a few seconds without success a request fails
with StoreUnavailable.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    TryAgainError,
)

from watchword.errors import Overloaded, StoreUnavailable
from watchword.stores.redis.address import Address
from watchword.stores.redis.node import (
    ANSWER_TIMEOUT,
    Barrier,
    Command,
    ConnectionLost,
    Node,
    Reply,
)
from watchword.stores.redis.scripts import Request

PAUSES: Final = (0, 0, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds before each attempt at a request. The first retry, after a redirection for
example, comes at once."""

_ASKING: Final = ("ASKING",)
_REFUSALS: Final = (
    *(AskError, MovedError, TryAgainError, ClusterDownError),
    *(BusyLoadingError, NoScriptError),
)


class _Pending(msgspec.Struct):
    """A request under way.

    `place` is its index among the answers, `to` a server to which another one has
    redirected it, and `error` what went wrong last.
    """

    place: int
    request: Request
    command: Command
    to: Node | None = None
    error: Exception | None = None


class Servers(ABC):
    """Requests to one server or to several: what both have in common."""

    spans_slots: bool
    """Whether one command may name keys of several slots."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._nodes: dict[tuple[str, int], Node] = {}
        self._barrier: Barrier | None = None
        self._busy = 0
        self._quiet = asyncio.Event()
        self._closed = False

    @abstractmethod
    async def start(self) -> None:
        """Find the servers. Raises SettingsError, StoreUnavailable."""

    @abstractmethod
    def masters(self) -> list[Node]:
        """The servers that get requests."""

    @abstractmethod
    def node_of(self, slot: int) -> Node:
        """The server that has that slot."""

    @abstractmethod
    def note_moved(self, slot: int, host: str, port: int) -> None:
        """Note which server has that slot now, as another server has said."""

    @abstractmethod
    async def rediscover(self, lost: Collection[Node]) -> None:
        """Find the servers anew: those in `lost` are gone or no longer masters."""

    def wait_for(self, barrier: Barrier | None) -> None:
        """Set what `durable` requests wait for from now on."""
        self._barrier = barrier
        for node in self._nodes.values():
            node.barrier = barrier

    async def ask(self, *requests: Request) -> list[Any]:
        """The answers, in order, none of them an error.

        Raises StoreUnavailable if any request failed. Each of the requests may then
        have been carried out or not.
        """
        answers = await self.ask_each(*requests)
        failed = [one for one in answers if isinstance(one, StoreUnavailable)]
        if failed:
            raise max(failed, key=lambda one: is_unknown(one.__cause__))
        return answers

    async def ask_each(self, *requests: Request) -> list[Any]:
        """The answers, in order, with a StoreUnavailable for each failed request."""
        if self._closed:
            raise StoreUnavailable
        self._busy += 1
        try:
            return await self._ask(requests)
        finally:
            self._busy -= 1
            if not self._busy:
                self._quiet.set()

    async def close(self) -> None:
        """Let calls that have begun finish, then close the connections."""
        while self._busy:
            self._quiet.clear()
            await self._quiet.wait()
        self._closed = True
        for node in self._nodes.values():
            await node.close_idle()

    async def _ask(self, requests: Sequence[Request]) -> list[Any]:
        answers: list[Any] = [None] * len(requests)
        waiting = [_Pending(n, one, one.command) for n, one in enumerate(requests)]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_TIMEOUT
        for pause in PAUSES:
            if pause:
                await asyncio.sleep(pause)
            waiting = await self._send_each(waiting, answers)
            if not waiting:
                return answers
            if loop.time() > deadline:
                break
        for pending in waiting:
            answers[pending.place] = _unavailable(pending.error)
        return answers

    async def _send_each(
        self, waiting: Sequence[_Pending], answers: list[Any]
    ) -> list[_Pending]:
        """Send each request once; returns those that are to be sent again."""
        shares: dict[tuple[Node, bool], list[_Pending]] = {}
        for pending in waiting:
            node = pending.to or self.node_of(pending.request.slot)
            shares.setdefault((node, pending.request.durable), []).append(pending)
        running = [
            _run(share, node, durable=durable)
            for (node, durable), share in shares.items()
        ]
        answered = (
            [await running[0]] if len(running) == 1 else await asyncio.gather(*running)
        )
        again: list[_Pending] = []
        gone: set[Node] = set()
        for node, pending, reply in chain.from_iterable(answered):
            if not isinstance(reply, Exception):
                answers[pending.place] = reply
            elif _is_final(pending.request, reply):
                answers[pending.place] = _unavailable(reply)
            else:
                again.append(pending)
                if _is_read_only(reply):
                    # The server's name may lead to another server by now.
                    await node.close_idle()
                if self._prepare_again(pending, reply, node):
                    gone.add(node)
        if gone:
            await self.rediscover(gone)
        return again

    def _prepare_again(self, pending: _Pending, error: Exception, node: Node) -> bool:
        """Prepare a failed request to be sent again.

        Returns whether the error shows that the server is gone or no longer a master.
        """
        pending.to, pending.error = None, error
        match error:
            case MovedError():
                self.note_moved(error.slot_id, node.named(error.host), error.port)
            case AskError():
                pending.to = self.node(node.named(error.host), error.port)
            case NoScriptError():
                pending.command = pending.request.in_full
            case TryAgainError() | BusyLoadingError():
                pass
            case _:
                return True
        return False

    def node(self, host: str, port: int) -> Node:
        """The server of that name and port, made on first use."""
        node = self._nodes.get((host, port))
        if node is None:
            node = self._nodes[host, port] = Node(self._address, host, port)
            node.barrier = self._barrier
        return node


def _unavailable(cause: Exception | None) -> StoreUnavailable:
    error = StoreUnavailable()
    error.__cause__ = cause
    return error


def is_unknown(error: BaseException | None) -> bool:
    """Whether a request that failed with this error may have been carried out."""
    return isinstance(error, ConnectionLost) and error.sent


def _is_final(request: Request, error: Exception) -> bool:
    """Whether a request must not be sent again after that error, or need not be."""
    if isinstance(error, ConnectionLost):
        return error.sent and not request.repeatable
    return not isinstance(error, _REFUSALS) and not _is_read_only(error)


def _is_read_only(error: Exception) -> bool:
    """Whether a replica was asked to write.

    For a script Redis 6 says so only in the text of another error.
    """
    return isinstance(error, ReadOnlyError) or "-READONLY" in str(error)


async def _run(
    share: Sequence[_Pending], node: Node, *, durable: bool
) -> list[tuple[Node, _Pending, Reply]]:
    """The answers of that server to these requests.

    If it did not answer, each request gets the same error.
    """
    commands: list[Command] = []
    for pending in share:
        if pending.to is not None:
            commands.append(_ASKING)
        commands.append(pending.command)
    try:
        if durable:
            replies = await node.exchange_safely(commands)
        else:
            replies = await node.exchange(commands)
    except (ConnectionLost, Overloaded) as error:
        return [(node, pending, error) for pending in share]
    answered = zip(commands, replies, strict=True)
    answers = (reply for command, reply in answered if command is not _ASKING)
    return [
        (node, pending, reply) for pending, reply in zip(share, answers, strict=True)
    ]
