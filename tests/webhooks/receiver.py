"""Another program that takes deliveries, and answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any, Self

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """Listens on loopback. `answer` is sent as it is; None hangs without one.

    `heads` and `bodies` are of the requests that came, `names` those that TLS named.
    `drips` is sent byte by byte after the answer, without an end.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answer: bytes | None = OK
        self.drips = b""
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.names: list[str] = []
        self._tls = tls
        self._gone = asyncio.Event()
        if tls is not None:
            tls.sni_callback = self._named

    async def __aenter__(self) -> Self:
        listen = "127.0.0.1", 0
        self._server = await asyncio.start_server(self._serve, *listen, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        self._server.close()
        await self._server.wait_closed()

    def headers(self, number: int = -1) -> dict[str, str]:
        lines = self.heads[number].split("\r\n")[1:]
        return {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}

    def _named(self, _: Any, name: str | None, __: Any) -> None:
        self.names.append(name or "")

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode()
            self.heads.append(head)
            self.bodies.append(
                await reader.readexactly(int(self.headers()["content-length"]))
            )
            if self.answer is None:
                await self._gone.wait()
            else:
                writer.write(self.answer)
                await writer.drain()
            while self.drips and not self._gone.is_set():
                writer.write(self.drips)
                await writer.drain()
                await asyncio.sleep(0.005)
        writer.close()
