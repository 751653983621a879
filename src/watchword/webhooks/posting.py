"""One POST of a delivery over HTTP, and what is kept of its answer.

Nothing of the environment counts: no proxy, no .netrc. No cookie is kept, no redirect
followed, nothing decompressed, and no more read than what is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from watchword.core import limits
from watchword.core.network import Address
from watchword.errors import WatchwordError
from watchword.extras import needs
from watchword.reasons import reason_of
from watchword.webhooks.destination import Destination, destination_of, is_public
from watchword.webhooks.transport import Answer

with needs("watchword[server]"):
    import httpx2

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""The addresses of a host. Raises OSError."""

_HEADERS: Final = {
    "content-type": "application/json",
    "user-agent": "watchword",
    "connection": "close",
}
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_CONNECTED: Final = {"connection.connect_tcp.complete", "connection.start_tls.complete"}
_READ_MAX: Final = 16 * 1024
"""Bytes of an answer: a head that any proxy takes, and more than is kept of a body."""
_ADDRESSES_MAX: Final = 4
_CONNECT: Final = 5.0
_ANSWER: Final = 2.0


class Poster:
    """Implements `Transport`. `tls` and `resolve` are the system's if left out."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, resolve: Resolve | None = None
    ) -> None:
        # Authorities are read once: that takes 20 ms.
        self._tls = tls or httpx2.create_ssl_context()
        self._resolve = resolve or Resolver().addresses

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool
    ) -> Answer:
        """Send it once, within WEBHOOK_TIMEOUT from name to answer. Raises nothing."""
        try:
            async with asyncio.timeout(limits.WEBHOOK_TIMEOUT / limits.SECOND):
                to = destination_of(url, allow_private=allow_private)
                addresses = await self._resolve(to.host, to.port)
                if not allow_private and not all(map(is_public, addresses)):
                    return Answer(None, "the name has an address that is not public")
                return await self._post_to_one(to, addresses, body, headers)
        except WatchwordError as error:
            return Answer(None, str(error))
        except httpx2.ProtocolError:
            return Answer(None, "what answered there speaks no HTTP")
        except (OSError, httpx2.TransportError, httpx2.InvalidURL) as error:
            return Answer(None, reason_of(error)[: limits.WEBHOOK_ANSWER_MAX])

    async def _post_to_one(
        self,
        to: Destination,
        addresses: Sequence[Address],
        body: bytes,
        headers: Mapping[str, str],
    ) -> Answer:
        """Send it to the first of the addresses that takes a connection."""
        *others, last = addresses[:_ADDRESSES_MAX]
        for address in others:
            try:
                return await self._post(to, address, body, headers)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue  # nothing was sent
        return await self._post(to, last, body, headers)

    async def _post(
        self,
        to: Destination,
        address: Address,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Answer:
        host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
        request = httpx2.Request(
            "POST",
            f"{to.scheme}://{host}:{to.port}{to.target}",
            headers={**_HEADERS, **headers, "host": to.authority},
            content=body,
            # The certificate has to be of the name, not of the address.
            extensions={
                "sni_hostname": to.host,
                "timeout": httpx2.Timeout(None, connect=_CONNECT).as_dict(),
                "trace": _bound,
            },
        )
        # A connection of its own for each, so that none is open to an address that the
        # name has no more.
        async with httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False) as way:
            response = await way.handle_async_request(request)
            try:
                text = await _beginning(response)
                return Answer(response.status_code, text, _wait_of(response))
            finally:
                await response.aclose()


async def _bound(step: str, info: Mapping[str, Any]) -> None:
    """Let no more than _READ_MAX be read from the connection that was made.

    Interim answers (1xx) have no end that HTTP would set, and each takes time in which
    this process answers nothing else.
    """
    if step not in _CONNECTED:
        return
    stream, left = info["return_value"], _READ_MAX
    read = stream.read

    async def read_on(most: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as it is called
        nonlocal left
        found: bytes = await read(min(most, left), timeout) if left else b""
        left -= len(found)
        return found

    stream.read = read_on


def _wait_of(response: httpx2.Response) -> int:
    """The Retry-After of an answer in seconds (RFC 9110 §10.2.3); no date is read."""
    asked = response.headers.get("retry-after", "")
    if not _SECONDS.fullmatch(asked):
        return 0
    return min(int(asked) * limits.SECOND, limits.WEBHOOK_TRIES[-1])


async def _beginning(response: httpx2.Response) -> str:
    """The first characters of a body, as they are: it may be compressed, or anything.

    Where it breaks off, or trickles in, what has come is kept: the status is there.
    """
    kept = b""
    if not isinstance(response.stream, httpx2.AsyncByteStream):
        return ""
    try:
        async with asyncio.timeout(_ANSWER):
            async for chunk in response.stream:
                kept += chunk[: limits.WEBHOOK_ANSWER_MAX]
                if len(kept) >= limits.WEBHOOK_ANSWER_MAX:
                    break
    except (TimeoutError, httpx2.TransportError):
        pass
    text = kept[: limits.WEBHOOK_ANSWER_MAX].decode(errors="replace")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes no NUL


class Resolver:
    """Asks the system for the addresses of a host.

    A name server may hang for half a minute, and its thread with it. There is one
    thread a host, so a dead name holds up no other, nor the threads of other work.
    """

    def __init__(self) -> None:
        self._asking: dict[tuple[str, int], asyncio.Future[Sequence[Address]]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses in the order in which to try them. Raises OSError."""
        asked = self._asking.get((host, port))
        if asked is None:
            asked = self._ask(host, port)
        return await asyncio.shield(asked)

    def _ask(self, host: str, port: int) -> asyncio.Future[Sequence[Address]]:
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[Sequence[Address]] = loop.create_future()
        # Its outcome may come when no try waits for it any more.
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())

        def settle(found: Sequence[Address] | OSError) -> None:
            del self._asking[host, port]
            if isinstance(found, OSError):
                asked.set_exception(found)
            else:
                asked.set_result(found)

        def work() -> None:
            found: Sequence[Address] | OSError
            try:
                found = _look_up(host, port)
            except (OSError, UnicodeError) as error:
                found = error if isinstance(error, OSError) else socket.gaierror()
            # Where the loop has ended meanwhile, this is of no interest to it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, found)

        self._asking[host, port] = asked
        # A daemon: a process that ends does not wait for a name server.
        threading.Thread(target=work, name="webhook-resolver", daemon=True).start()
        return asked


def _look_up(host: str, port: int) -> Sequence[Address]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(address[0]) for *_, address in rows]
