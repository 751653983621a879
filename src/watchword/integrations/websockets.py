"""Websockets: how an access token comes with one, and how a websocket is refused.

A browser cannot set `Authorization` for a websocket, and a query would end up in logs.
So it offers two subprotocols: `bearer` and the token. This module knows ASGI, and no
framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from watchword.errors import TryAgain, WatchwordError
from watchword.tokens.challenges import Refusal
from watchword.tokens.headers import Headers

BEARER: Final = "bearer"
"""The subprotocol that the app accepts. An access token follows it in the offer."""

POLICY_VIOLATION: Final = 1008  # RFC 6455 §7.4.1
TRY_AGAIN_LATER: Final = 1013  # as registered with IANA
_STATE: Final = "watchword.socket"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


def headers_of(scope: Mapping[str, Any]) -> Headers:
    """The header fields of a request. The token of a websocket becomes `Authorization`.

    A websocket that has an `Authorization` too, or two tokens, then has two such
    fields, which is refused (RFC 6750 §2).
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
    return tuple(scope.get("subprotocols") or ())  # servers may leave out the key


class _Socket:
    """The state of one websocket: whether it is accepted, and why it is refused."""

    def __init__(self) -> None:
        self.is_accepted = False
        self.error: WatchwordError | None = None


class Sockets:
    """A middleware of the app: accepts `bearer`, and says why a websocket is refused.

    A client that offers subprotocols needs one of them to be accepted. A refusal is an
    HTTP answer if the server can do that (`websocket.http.response`). Otherwise, and
    for a websocket that is open already, it is a close with the code 1008, or 1013 if
    trying again may help.
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
    """Note why the websocket of that scope is about to be closed."""
    socket: _Socket | None = scope.get(_STATE)
    if socket is not None and isinstance(error, WatchwordError):
        socket.error = error


class Close:
    """An ASGI application that closes a websocket; `Sockets` sends the reason."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        note(scope, self._error)
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
