"""Runs the application under uvicorn: one process, or several behind one socket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import pickle
import signal
import socket
import sys
from functools import partial
from typing import Any, Final, cast

import uvicorn

from watchword.config import Settings
from watchword.server.app import make_app
from watchword.server.connections import Connections, most_connections
from watchword.server.handshakes import serve_tls
from watchword.server.listening import raise_file_limit
from watchword.server.protocol import BoundedProtocol
from watchword.server.workers import SERVING, Workers

# SIGTERM: answers in flight finish, then the store commits what it accepted. Container
# runtimes kill after 10 s.
GRACE_SECONDS: Final = 7
KEEP_ALIVE_SECONDS: Final = 75
# uvicorn's clock ticks ten times a second: garbage is looked for every ten seconds, if
# so many objects were made since that a leak by cycles could be worth the pause.
COLLECT_TICKS: Final = 100
COLLECT_OBJECTS: Final = 5_000


def run(settings: Settings, listeners: list[socket.socket]) -> None:
    """Serve on these until SIGTERM or SIGINT. `bootstrap.prepare` has been done."""
    _log_to_standard_error()
    if settings.workers > 1:
        sys.exit(asyncio.run(_with_workers(settings, listeners)))
    _end_well()
    _Server(_configuration(settings)).run(listeners)


async def _with_workers(settings: Settings, listeners: list[socket.socket]) -> int:
    return await Workers(settings, listeners).run()


def work() -> None:
    """A worker's whole life: what `Workers` start."""
    _log_to_standard_error()
    _end_well()
    parent = socket.socket(fileno=0)
    with parent.makefile("rb") as sent:
        settings = pickle.load(sent)  # noqa: S301 - by our own parent
    listeners = [socket.socket(fileno=int(one)) for one in sys.argv[1:]]
    _Worker(_configuration(settings), parent).run(listeners)


class _Server(uvicorn.Server):
    """Collects garbage by time, and lets go of the feed's followers when it stops."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.config.is_ssl:
            # uvicorn serves each of its sockets by this function of the loop.
            protocol = cast("type[BoundedProtocol]", self.config.http_protocol_class)
            loop = asyncio.get_running_loop()
            loop.create_server = partial(  # type: ignore[assignment,method-assign]
                serve_tls, protocol.connections_here
            )
        await super().startup(sockets)
        # What lives as long as the process need not be looked at again. A request
        # leaves no cycles behind: counting allocations would stop a busy server for
        # nothing, and a quiet one would keep for days what was left behind once.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)

    async def on_tick(self, counter: int) -> bool:
        if counter % COLLECT_TICKS == 0 and _made_since_collected() > COLLECT_OBJECTS:
            gc.collect()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        watchword = self.lifespan.state.get("watchword")
        if watchword is not None:  # it had started
            watchword.feed.close()
        await super().shutdown(sockets)


class _Worker(_Server):
    """Tells its parent that it serves, and stops when there is none any more."""

    def __init__(self, config: uvicorn.Config, parent: socket.socket) -> None:
        super().__init__(config)
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(self._parent, self._orphaned)
        with contextlib.suppress(OSError):
            self._parent.send(SERVING)

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(self._parent)
        self.should_exit = True


def _made_since_collected() -> int:
    """Objects made and not freed since the last full collection, roughly."""
    youngest, young, old = gc.get_count()
    per_young, per_old, _ = gc.get_threshold()
    return youngest + young * per_young + old * per_young * per_old


def _log_to_standard_error() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _end_well() -> None:
    # uvicorn finishes, then sends itself the signal again: that was a good end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _configuration(settings: Settings) -> uvicorn.Config:
    class Bounded(BoundedProtocol):
        connections_here = Connections(most_connections(raise_file_limit()))

    return uvicorn.Config(
        partial(make_app, settings),
        factory=True,
        loop="uvloop",
        # uvicorn names asyncio.Protocol; its loop takes a BufferedProtocol as well.
        http=cast("Any", Bounded),
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
