"""Inside another application: bodies that the host's server left unread."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchword.errors import InvalidRequest

_UNREAD: Final = "Send a request with a body without an offer to upgrade."


def guarded(application: ASGIApp) -> ASGIApp:
    """The application, guarded against bodies that the server left unread.

    The scope of such a request gets the error to refuse it with, under `refused`, and
    the answer ends the connection.
    """

    async def application_guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "CONNECT" or _offers_upgrade(scope):
            receive = await _read_ahead(scope, receive)
            if "refused" in scope:
                send = _closing(send)
        await application(scope, receive, send)

    return application_guarded


def _offers_upgrade(scope: Scope) -> bool:
    return any(name == b"upgrade" for name, _ in scope["headers"])


async def _read_ahead(scope: MutableMapping[str, Any], receive: Receive) -> Receive:
    """Mark a request for refusal if the server did not read its body.

    uvicorn parses with llhttp if httptools is installed. For llhttp a message ends
    after its head if it is a CONNECT or offers an Upgrade. The bytes that are its body
    (RFC 9110 §7.8) would then be taken for the next request, which may be that of
    another user if a proxy keeps the connection. Returns the `receive` to use.
    """
    first = await receive()
    is_empty = not first.get("body") and not first.get("more_body")
    if scope["method"] == "CONNECT" or (is_empty and _declares_body(scope)):
        scope["refused"] = InvalidRequest(_UNREAD)
    unread = [first]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again


def _declares_body(scope: MutableMapping[str, Any]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _closing(send: Send) -> Send:
    """A `send` that ends the connection with the answer: later bytes are not parsed."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"connection", b"close")]
            message = {**message, "headers": headers}
        await send(message)

    return send_closing
