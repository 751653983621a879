"""Runs the application under uvicorn: one process, or several on the same sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import pickle
import signal
import socket
import sys
import threading
from functools import partial
from typing import Any, Final, cast

import uvicorn

from watchword.bootstrap.factors import passkeys_off
from watchword.config import Settings
from watchword.metrics.pages import Pages
from watchword.server.app import make_app
from watchword.server.connections import Connections, most_connections
from watchword.server.handshakes import serve_tls
from watchword.server.listening import raise_file_limit
from watchword.server.logs import log_to_standard_error
from watchword.server.protocol import BoundedProtocol
from watchword.server.workers import SERVING, Place, Workers

# How long answers under way may take after SIGTERM. Then the store commits what it has
# accepted. Container runtimes kill after 10 s.
GRACE_SECONDS: Final = 7
KEEP_ALIVE_SECONDS: Final = 75
# uvicorn calls `on_tick` ten times a second, so garbage is looked for every ten
# seconds. It is collected only if so many objects have been made since the last time
# that freeing reference cycles may be worth the pause.
COLLECT_TICKS: Final = 100
COLLECT_OBJECTS: Final = 5_000

_log = logging.getLogger("watchword")
_told_to_end: Final = threading.Event()


def run(settings: Settings, listeners: list[socket.socket]) -> None:
    """Serve on these sockets until SIGTERM or SIGINT.

    `first_start.prepare` must have been called before.
    """
    log_to_standard_error(settings.log_format)
    if (off := passkeys_off(settings)) is not None:
        _log.warning("%s", off)
    if settings.workers > 1:
        sys.exit(asyncio.run(_with_workers(settings, listeners)))
    _end_well()
    _Server(_configuration(settings)).run(listeners)


async def _with_workers(settings: Settings, listeners: list[socket.socket]) -> int:
    return await Workers(settings, listeners).run()


def work() -> None:
    """The main function of a worker process, which `Workers` starts."""
    _end_well()
    parent = socket.socket(fileno=0)
    with parent.makefile("rb") as sent:
        settings = pickle.load(sent)  # noqa: S301 - by our own parent
    log_to_standard_error(settings.log_format)
    listeners = [socket.socket(fileno=int(one)) for one in sys.argv[1:]]
    _Worker(_configuration(settings, **_page()), parent).run(listeners)


def _page() -> dict[str, Any]:
    """The shared memory and the page of this worker, as `make_app` takes them."""
    place = Place.given()
    if place is None:
        return {}
    try:
        return {"pages": Pages.opened(place.file), "slot": place.slot}
    except (OSError, ValueError) as error:  # made by another version
        _log.warning("this worker counts by itself: %s", error)
        return {}


class _Server(uvicorn.Server):
    """Collects garbage at intervals, and ends the waits of followers when it stops."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.config.is_ssl:
            # uvicorn serves each of its sockets by this function of the loop.
            protocol = cast("type[BoundedProtocol]", self.config.http_protocol_class)
            loop = asyncio.get_running_loop()
            loop.create_server = partial(  # type: ignore[assignment,method-assign]
                serve_tls, protocol.connections_here
            )
        await super().startup(sockets)
        # Objects that live as long as the process need not be examined again. A request
        # leaves no reference cycles behind. If garbage were collected by counting
        # allocations, a busy server would pause for nothing, and a quiet one would keep
        # garbage for days.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        if _told_to_end.is_set():
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if counter % COLLECT_TICKS == 0 and _made_since_collected() > COLLECT_OBJECTS:
            gc.collect()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        watchword = self.lifespan.state.get("watchword")
        if watchword is not None:  # None if the start has failed
            watchword.revocation_log.close()
        await super().shutdown(sockets)


class _Worker(_Server):
    """Tells its parent process that it serves, and stops when the parent is gone."""

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
    """About how many objects were made and not freed since the last full collection."""
    youngest, young, old = gc.get_count()
    per_young, per_old, _ = gc.get_threshold()
    return youngest + young * per_young + old * per_young * per_old


def _end_well() -> None:
    # uvicorn finishes its work, then sends the signal to itself again. The process then
    # exits with 0, because it has ended as it should.
    def end(*_: object) -> None:
        # Before uvicorn listens for signals, this may run inside a destructor or the
        # callback of a weak reference, and there Python drops every exception.
        _told_to_end.set()
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _configuration(settings: Settings, **page: Any) -> uvicorn.Config:  # noqa: ANN401
    class Bounded(BoundedProtocol):
        connections_here = Connections(most_connections(raise_file_limit()))

    return uvicorn.Config(
        partial(make_app, settings, **page),
        factory=True,
        loop="uvloop",
        # uvicorn's types ask for asyncio.Protocol; the event loop takes a
        # BufferedProtocol as well.
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
