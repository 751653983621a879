"""Who is asked: the one server, or the master of the slot; and asked again.

Nothing is asked again that may have been done, unless the request says that it is all
the same. A server that refuses (MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING, READONLY,
NOSCRIPT) has done nothing. What cannot be had within a moment is StoreUnavailable.
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
from watchword.stores.redis.node import PATIENCE, Barrier, Command, Lost, Node, Reply
from watchword.stores.redis.scripts import Request

PAUSES: Final = (0, 0, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds before each turn of a request: a redirection costs none."""

_ASKING: Final = ("ASKING",)
_REFUSALS: Final = (
    *(AskError, MovedError, TryAgainError, ClusterDownError),
    *(BusyLoadingError, NoScriptError),
)


class _Errand(msgspec.Struct):
    """A request on its way: where to, if it was sent elsewhere; what went wrong."""

    place: int
    request: Request
    command: Command
    to: Node | None = None
    error: Exception | None = None


class Servers(ABC):
    """What is common to one server and to many."""

    together: bool
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
        """Find out who is there. Raises SettingsError, StoreUnavailable."""

    @abstractmethod
    def masters(self) -> list[Node]:
        """Each server that is asked."""

    @abstractmethod
    def node_of(self, slot: int) -> Node:
        """The server that has that slot."""

    @abstractmethod
    def learn(self, slot: int, host: str, port: int) -> None:
        """A server said who has that slot now."""

    @abstractmethod
    async def look_around(self, lost: Collection[Node]) -> None:
        """Servers are gone, or are what they were no more: find out who is there."""

    def wait_for(self, barrier: Barrier | None) -> None:
        """What requests that are `durable` wait for, from now on."""
        self._barrier = barrier
        for node in self._nodes.values():
            node.barrier = barrier

    async def ask(self, *requests: Request) -> list[Any]:
        """The answers, in order, none of them an error.

        Raises StoreUnavailable: then each was carried out, or not, or nobody knows.
        """
        answers = await self.ask_each(*requests)
        failed = [one for one in answers if isinstance(one, StoreUnavailable)]
        if failed:
            raise max(failed, key=lambda one: is_unknown(one.__cause__))
        return answers

    async def ask_each(self, *requests: Request) -> list[Any]:
        """The answers, in order; a StoreUnavailable for each that has none."""
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
        """Let those finish who have begun, then hang up."""
        while self._busy:
            self._quiet.clear()
            await self._quiet.wait()
        self._closed = True
        for node in self._nodes.values():
            await node.hang_up()

    async def _ask(self, requests: Sequence[Request]) -> list[Any]:
        answers: list[Any] = [None] * len(requests)
        errands = [_Errand(n, one, one.command) for n, one in enumerate(requests)]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        for pause in PAUSES:
            if pause:
                await asyncio.sleep(pause)
            errands = await self._turn(errands, answers)
            if not errands:
                return answers
            if loop.time() > deadline:
                break
        for errand in errands:
            answers[errand.place] = _unavailable(errand.error)
        return answers

    async def _turn(
        self, errands: Sequence[_Errand], answers: list[Any]
    ) -> list[_Errand]:
        """Run them once; those that are to be run again."""
        shares: dict[tuple[Node, bool], list[_Errand]] = {}
        for errand in errands:
            node = errand.to or self.node_of(errand.request.slot)
            shares.setdefault((node, errand.request.durable), []).append(errand)
        running = [
            _run(share, node, durable=durable)
            for (node, durable), share in shares.items()
        ]
        told = (
            [await running[0]] if len(running) == 1 else await asyncio.gather(*running)
        )
        again: list[_Errand] = []
        gone: set[Node] = set()
        for node, errand, reply in chain.from_iterable(told):
            if not isinstance(reply, Exception):
                answers[errand.place] = reply
            elif _is_final(errand.request, reply):
                answers[errand.place] = _unavailable(reply)
            else:
                again.append(errand)
                if _is_read_only(reply):
                    await node.hang_up()  # its name may lead elsewhere by now
                if self._is_other(errand, reply, node):
                    gone.add(node)
        if gone:
            await self.look_around(gone)
        return again

    def _is_other(self, errand: _Errand, error: Exception, node: Node) -> bool:
        """Make it ready to be run again; whether that server is not what it was."""
        errand.to, errand.error = None, error
        match error:
            case MovedError():
                self.learn(error.slot_id, node.named(error.host), error.port)
            case AskError():
                errand.to = self.node(node.named(error.host), error.port)
            case NoScriptError():
                errand.command = errand.request.in_full
            case TryAgainError() | BusyLoadingError():
                pass
            case _:
                return True
        return False

    def node(self, host: str, port: int) -> Node:
        """The server of that name."""
        node = self._nodes.get((host, port))
        if node is None:
            node = self._nodes[host, port] = Node(self._address, host, port)
            node.barrier = self._barrier
        return node


def _unavailable(cause: Exception | None) -> StoreUnavailable:
    error = StoreUnavailable()
    error.__cause__ = cause
    return error


class Single(Servers):
    """One server, which has all slots."""

    together = True

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._only = self.node(*address.hosts[0])

    async def start(self) -> None:
        return

    def masters(self) -> list[Node]:
        return [self._only]

    def node_of(self, slot: int) -> Node:
        del slot
        return self._only

    def learn(self, slot: int, host: str, port: int) -> None:
        """Nobody else has any."""

    async def look_around(self, lost: Collection[Node]) -> None:
        """There is no other."""


def is_unknown(error: BaseException | None) -> bool:
    """Whether what failed so may have been carried out."""
    return isinstance(error, Lost) and error.sent


def _is_final(request: Request, error: Exception) -> bool:
    """Whether a request must not be run again after that, or need not be."""
    if isinstance(error, Lost):
        return error.sent and not request.repeatable
    return not isinstance(error, _REFUSALS) and not _is_read_only(error)


def _is_read_only(error: Exception) -> bool:
    """Whether a replica was asked to write; Redis 6 puts it in words in a script."""
    return isinstance(error, ReadOnlyError) or "-READONLY" in str(error)


async def _run(
    share: Sequence[_Errand], node: Node, *, durable: bool
) -> list[tuple[Node, _Errand, Reply]]:
    """Their answers from that server; one error for all where it did not answer."""
    commands: list[Command] = []
    for errand in share:
        if errand.to is not None:
            commands.append(_ASKING)
        commands.append(errand.command)
    try:
        if durable:
            replies = await node.exchange_safely(commands)
        else:
            replies = await node.exchange(commands)
    except (Lost, Overloaded) as error:
        return [(node, errand, error) for errand in share]
    answered = zip(commands, replies, strict=True)
    told = (reply for command, reply in answered if command is not _ASKING)
    return [(node, errand, reply) for errand, reply in zip(share, told, strict=True)]
