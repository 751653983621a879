"""What follows a live server: a client with the right `feed`, and its connections."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from tests.cli.terminal import Terminal
from tests.server.live import Answer, Live, read_answer, request

FEED = "/revocations"


class Follower:
    """Asks for the feed in the name of a client that was added for it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        added = Terminal(live.data).json(
            *("clients", "add", "orders-api", "--confidential", "--right", "feed")
        )
        self.credentials: tuple[str, str] = added["clientId"], added["clientSecret"]
        pair = ":".join(self.credentials).encode()
        self.headers = {
            "Host": "localhost",
            "Authorization": f"Basic {b64encode(pair).decode()}",
        }

    def ask(self, **query: Any) -> Answer:
        head = request("GET", f"{FEED}?{urlencode(query)}", self.headers)
        return Answer(self.live.talk(head))

    def stream(self) -> Stream:
        return Stream(self, {})

    def log_out(self) -> str:
        """A session that ends: its id."""
        tokens = self.live.login()
        body = {"refreshToken": tokens["refreshToken"]}
        assert self.live.call("POST", "/api/auth/logout", body).status == 200
        return str(tokens["sessionId"])


class Stream:
    """An open stream of server-sent events."""

    def __init__(self, follower: Follower, headers: dict[str, str]) -> None:
        given = {"Accept": "text/event-stream", **follower.headers, **headers}
        self.connection = follower.live.connect()
        self.connection.sendall(request("GET", FEED, given))
        self._received = b""

    def answer(self) -> Answer:
        """The answer where it is none, or its head."""
        return Answer(read_answer(self.connection))

    def next(self) -> tuple[str, Any] | None:
        """The id and the data of the next event; None at the end."""
        while b"\n\n" not in self._received.partition(b"\r\n\r\n")[2]:
            more = self.connection.recv(65536)
            if not more:
                return None
            self._received += more
        head, _, rest = self._received.partition(b"\r\n\r\n")
        assert b"200 OK" in head
        assert b"text/event-stream" in head
        # Chunked: each chunk is one event, between lines with its length and without.
        chunk, _, rest = rest.partition(b"\n\n\r\n")
        self._received = head + b"\r\n\r\n" + rest
        _, _, event = chunk.partition(b"\r\n")
        (name, cursor), (data, text) = (
            line.split(b": ", 1) for line in event.split(b"\n")
        )
        assert (name, data) == (b"id", b"data")
        return cursor.decode(), json.loads(text)

    def close(self) -> None:
        self.connection.close()
