"""A server in a thread of this process, under a manual clock, on a line that loses.

What a page sends passes `Line`, which counts it and, where a test says so, loses the
answer after the server has done its work. The same port by the name of localhost is
another origin, and another site.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar, cast

import uvicorn
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from tests.mail.mailbox import Mailbox
from tests.patience import PATIENCE, until
from tests.scenarios.api import BASE, PASSWORD
from watchword.bootstrap import Watchword
from watchword.config import Settings
from watchword.core.session import Session
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.server.app import make_app
from watchword.server.protocol import BoundedProtocol
from watchword.testing import ManualClock

REFRESH: Final = f"{BASE}/refresh"
ANYBODY: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "*, authorization",
}
Found = TypeVar("Found")

Fault = Literal["lost", "cut"] | Response
"""No byte of the answer; its beginning alone; or another one, and nothing was done."""


class Line:
    """Everything that pages send, in order, and what becomes of the answers."""

    def __init__(self) -> None:
        self.application: Any = None
        self.state: dict[str, Any] = {}
        self.pages = {"/page": "<!doctype html><title>a page</title>"}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.fault: Callable[[str], Fault | None] = lambda _: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            self.state = scope["state"]
            await self.application(scope, receive, send)
            return
        path: str = scope["path"]
        headers = {k.decode(): v.decode("latin-1") for k, v in scope["headers"]}
        self.seen.append((scope["method"], path, headers))
        fault = self.fault(path)
        if isinstance(fault, Response):
            await fault(scope, receive, send)
        elif fault is not None:
            await self._lose(fault, scope, receive, send)
        else:
            page = self._page(path, headers)
            await (page or self.application)(scope, receive, send)

    def _page(self, path: str, headers: dict[str, str]) -> Response | None:
        if path in self.pages:
            return HTMLResponse(self.pages[path])
        if path == "/elsewhere":
            return JSONResponse({}, headers=ANYBODY)
        if path == "/away":
            port = headers["host"].partition(":")[2]
            return RedirectResponse(f"http://localhost:{port}/elsewhere")
        return None

    async def _lose(
        self, fault: Fault, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async def swallow(_: Message) -> None: ...

        await self.application(scope, receive, swallow)
        connection: Any = getattr(send, "__self__", None)  # uvicorn's, of this request
        if fault == "cut":
            headers = [
                (b"content-length", b"999"),
                (b"content-type", b"application/json"),
            ]
            start = {"type": "http.response.start", "status": 200, "headers": headers}
            await send(start)
            body = {"type": "http.response.body", "body": b'{"acc', "more_body": True}
            await send(body)
            connection.transport.close()
        else:
            connection.transport._transport.abort()  # below our `Outgoing`
        while (await receive())["type"] != "http.disconnect":
            pass  # the end of the body: that has been read

    def count(self, path: str = REFRESH) -> int:
        return len([one for _, one, _ in self.seen if one == path])

    def sent_to(self, path: str) -> dict[str, str]:
        """The headers of the last request to that path that was no preflight."""
        return next(
            h for m, p, h in reversed(self.seen) if p == path and m != "OPTIONS"
        )


class Site:
    """The server, its clock, and the account alice. Use it with `with`.

    With `has_name` it is called localhost, which passkeys can be bound to. `given` are
    settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        allows_elsewhere: bool = False,
        has_name: bool = False,
        **given: Any,
    ) -> None:
        # Proofs of the browser's own clock have to be of now.
        self.clock = ManualClock(int(time.time() * 1000))
        self.line = Line()
        self._mail = Mailbox(folder)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{port}"
        self.elsewhere = f"http://localhost:{port}"
        if allows_elsewhere:
            given["cors_origins"] = (self.elsewhere,)
        if has_name:
            self.origin, self.elsewhere = self.elsewhere, self.origin
        self._settings = Settings(
            data=folder,
            database_url="memory:",
            issuer=self.origin,
            registration="open",
            **given,
        )

    def __enter__(self) -> Self:
        self.line.application = make_app(
            self._settings,
            clock=self.clock,
            monotonic=ManualClock(0),
            hashing=INSECURE_FOR_TESTS,
            background=False,
        )
        configuration = uvicorn.Config(
            self.line,
            loop="asyncio",
            http=cast("Any", BoundedProtocol),
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(configuration)
        self._loop = asyncio.new_event_loop()
        serving = self._server.serve([self._listener])
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(serving,)
        )
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive())
        assert self._server.started
        self.run(self.engine.accounts.register("alice", PASSWORD))
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._loop.close()
        self._listener.close()

    @property
    def engine(self) -> Watchword:
        engine: Watchword = self.line.state["watchword"]
        return engine

    def run(self, work: Coroutine[Any, Any, Found]) -> Found:
        """In the server's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def token_to(self, address: str) -> str:
        """The next token that came to that address by mail."""
        self.run(self._send_mail())
        return self._mail.token_to(address)

    async def _send_mail(self) -> None:
        assert self.engine.mail is not None
        await self.engine.mail.send_due()
        await self.engine.mail.close()

    def sessions(self) -> list[Session]:
        """Those of alice that live, the oldest first."""
        account = self.run(self.engine.accounts.get("alice"))
        return self.run(self.engine.sessions.list_of_account(account.id))
