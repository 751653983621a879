"""A server that is killed loses no delivery, wherever it was with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cli.terminal import Terminal
from tests.patience import PATIENCE, until
from tests.server.live import Live
from watchword.core.limits import SECOND, WEBHOOK_LEASE
from watchword.webhooks import verify

TOPICS = ("--topic", "session.*", "--allow-private")


class Came(ThreadingHTTPServer):
    """A receiver: what came, by `webhook-id`; it answers while `answers` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.answers = threading.Event()

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.came]


class _Handler(BaseHTTPRequestHandler):
    server: Came

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.came.append((headers, body))
        self.server.answers.wait(PATIENCE)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def receiving() -> Iterator[Came]:
    with Came() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.answers.set()
            receiver.shutdown()
            thread.join()


def test_what_a_killed_server_had_under_way_comes_from_the_next_one(
    tmp_path: Path,
) -> None:
    """One delivery in the middle of a try, and an event that no process has read."""
    with receiving() as receiver, Live(tmp_path / "data", clock=True) as server:
        terminal = Terminal(server.data)
        url = f"http://127.0.0.1:{receiver.server_port}/"
        made = terminal.json("webhooks", "add", url, *TOPICS)
        server.login()
        until(lambda: receiver.came)
        (first,) = receiver.ids
        server.login()
        server.kill()
        receiver.answers.set()
        # The lease of the dead is over.
        server.advance(WEBHOOK_LEASE // SECOND)
        server.start()
        states = "webhooks", "deliveries", made["id"]
        until(lambda: {o["state"] for o in terminal.json(*states)} == {"delivered"})
        assert server.stop() == 0
        assert receiver.ids.count(first) == 2
        assert len(set(receiver.ids)) == 2
        for headers, body in receiver.came:
            now = int(headers["webhook-timestamp"])
            delivery = verify(body, headers, made["publicKey"], now=now)
            assert delivery["type"] == "session.started"
        (row,) = terminal.json("webhooks", "list")
        assert (row["waiting"], row["state"]) == (0, "enabled")
        assert made["secret"] not in server.printed() + json.dumps(row)
        assert url not in server.printed()
