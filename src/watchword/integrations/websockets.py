"""Websockets: how a token comes with one, and how one is refused.

A browser cannot set `Authorization` there, and what is in a query ends in logs: it
offers the subprotocols `bearer` and the token. Knows ASGI, and no framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from watchword.errors import TryAgain, WatchwordError
from watchword.verify.challenges import Refusal
from watchword.verify.presented import Headers

BEARER: Final = "bearer"
"""The subprotocol that is followed by an access token, and is what the app accepts."""

POLICY_VIOLATION: Final = 1008  # RFC 6455 §7.4.1
TRY_AGAIN_LATER: Final = 1013  # as registered with IANA
_STATE: Final = "watchword.socket"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


def headers_of(scope: Mapping[str, Any]) -> Headers:
    """The fields of a request; of a websocket also the token among its subprotocols.

    Beside `Authorization`, or another one, there are two of them, and that is refused
    (RFC 6750 §2).
    """
    headers: Headers = scope["headers"]
    offered = _offered(scope)
    if scope["type"] != "websocket" or BEARER not in offered:
        return headers
    behind = [*offered[1:], ""]
    return [
        *headers,
        *(
            (b"authorization", f"Bearer {token}".encode("latin-1", "replace"))
            for name, token in zip(offered, behind, strict=True)
            if name == BEARER
        ),
    ]


def _offered(scope: Mapping[str, Any]) -> Sequence[str]:
    return tuple(scope.get("subprotocols") or ())  # a server may leave them out


class _Socket:
    """What is known of one connection."""

    def __init__(self) -> None:
        self.is_accepted = False
        self.error: WatchwordError | None = None


class Sockets:
    """A middleware of the app: accepts `bearer`, and says why a socket is refused.

    A client that offers subprotocols takes no connection without one. A refusal is HTTP
    where the server has that (`websocket.http.response`), else, and for a
    socket that is open already, a close with 1008, or 1013 where trying again helps.
    """

    def __init__(
        self, app: Application, refusal: Callable[[Any, WatchwordError], Refusal]
    ) -> None:
        self._app = app
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        socket = scope.setdefault(_STATE, _Socket())

        async def answer(message: Message) -> None:
            if message["type"] == "websocket.accept":
                socket.is_accepted = True
                if not message.get("subprotocol") and BEARER in _offered(scope):
                    message = {**message, "subprotocol": BEARER}
            if message["type"] == "websocket.close" and socket.error is not None:
                error, socket.error = socket.error, None
                await self._refuse(socket, error, scope, send)
            else:
                await send(message)

        await self._app(scope, receive, answer)

    async def _refuse(
        self, socket: _Socket, error: WatchwordError, scope: Scope, send: Send
    ) -> None:
        refused = self._refusal(scope, error)
        if socket.is_accepted or "websocket.http.response" not in (
            scope.get("extensions") or {}
        ):
            again = isinstance(error, TryAgain)
            code = TRY_AGAIN_LATER if again else POLICY_VIOLATION
            await send({"type": "websocket.close", "code": code, "reason": error.code})
            return
        headers = [(k.encode(), v.encode()) for k, v in refused.headers.items()]
        start = {"status": refused.status, "headers": headers}
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": refused.body})


def note(scope: Mapping[str, Any], error: Exception) -> None:
    """The socket of that scope is about to be closed, and why."""
    socket: _Socket | None = scope.get(_STATE)
    if socket is not None and isinstance(error, WatchwordError):
        socket.error = error


class Close:
    """Closes a websocket, as the answer to an error of ours; `Sockets` says why."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        note(scope, self._error)
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
