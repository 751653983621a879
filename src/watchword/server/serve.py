"""Runs the application under uvicorn: one process, or several behind one socket."""

from __future__ import annotations

import logging
import signal
import sys
from functools import partial
from typing import Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from watchword.config import Settings
from watchword.server.app import make_app
from watchword.server.protocol import BoundedProtocol

# SIGTERM: answers in flight finish, then the store commits what it accepted. Container
# runtimes kill after 10 s.
GRACE_SECONDS: Final = 7
KEEP_ALIVE_SECONDS: Final = 75


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. `bootstrap.prepare` has been done."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        partial(make_app, settings),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
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
    # uvicorn finishes, then sends itself the signal again: that was a good end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if settings.workers > 1:
        Multiprocess(config, [config.bind_socket()]).run()
    else:
        uvicorn.Server(config).run()
