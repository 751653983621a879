"""What `test_logout_reaches.py` runs: a printed API in a process of its own.

Django is set up once in a process, and an example makes its API when it is imported.
"""

from __future__ import annotations

import contextlib
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import httpx2
from starlette.testclient import TestClient

HOST: Final = "http://127.0.0.1"
BLOCKING: Final = ("drf_api", "flask_api")
PATIENCE: Final = 300.0  # as tests/patience.py, which is not on the path here


def client_of(name: str, app: Any) -> AbstractContextManager[Any]:
    if name in BLOCKING:
        transport = httpx2.WSGITransport(app=app)
        return httpx2.Client(transport=transport, base_url=HOST)
    client = TestClient(app, base_url=HOST)
    # Django's ASGI handler knows no lifespan, which entering the client would run.
    return contextlib.nullcontext(client) if name == "django_api" else client


def run(file: str, access: str) -> None:
    """Prints a line when the token is let in, and the code with which it no longer is.

    Waits on standard input in between: that is when the user logs out.
    """
    path = Path(file)
    sys.path.insert(0, str(path.parent))
    app = __import__(path.stem).app
    headers = {"Authorization": f"Bearer {access}"}
    with client_of(path.stem, app) as client:
        until(client, headers, lambda answer: answer.status_code == 200)
        sys.stdout.write("let in\n")
        sys.stdout.flush()
        sys.stdin.readline()
        answer = until(client, headers, lambda answer: answer.status_code == 401)
        sys.stdout.write(f"{answer.json()['code']}\n")


def until(client: Any, headers: dict[str, str], good: Any) -> Any:
    """The first answer that is as wanted: the feed is followed in the background."""
    deadline = time.monotonic() + PATIENCE
    while not good(answer := client.get("/hello", headers=headers)):
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)
    return answer


if __name__ == "__main__":
    run(*sys.argv[1:])
