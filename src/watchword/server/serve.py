"""Runs the application under uvicorn: one process, or several behind one socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
import sys
from functools import partial
from typing import Final

import uvicorn

from watchword.config import Settings
from watchword.server.app import make_app
from watchword.server.protocol import BoundedProtocol
from watchword.server.workers import SERVING, Workers

# SIGTERM: answers in flight finish, then the store commits what it accepted. Container
# runtimes kill after 10 s.
GRACE_SECONDS: Final = 7
KEEP_ALIVE_SECONDS: Final = 75


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
    """Lets go of those who follow the feed before it waits for what is in flight."""

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
    return uvicorn.Config(
        partial(make_app, settings),
        factory=True,
        loop="uvloop",
        http=BoundedProtocol,
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
