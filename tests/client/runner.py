"""A client process: some tasks that share a session file, and do as they are told.

    python runner.py ISSUER API FILE TASKS

Each line on standard input is how many seconds the clocks are ahead by now; then every
task asks once, and what they got is printed as JSON: how often, by status or error.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import Counter

import httpx2

from watchword.client import Auth
from watchword.client.clock import Clocks


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def ask(http: httpx2.AsyncClient, url: str) -> str:
    try:
        return str((await http.get(url)).status_code)
    except Exception as error:  # noqa: BLE001 - counted
        return type(error).__name__


async def run(issuer: str, api: str, file: str, tasks: int) -> None:
    ahead = 0.0
    clocks = Clocks(lambda: time.monotonic() + ahead, lambda: time.time() + ahead)
    auth = Auth(issuer, file=file, origins=[api], clocks=clocks)
    async with httpx2.AsyncClient(
        auth=auth,
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        timeout=300,
        limits=httpx2.Limits(max_connections=None),
    ) as http:
        tell("ready")
        for line in iter(sys.stdin.readline, ""):
            ahead = float(line)
            asking = (ask(http, f"{api}/api/auth/secure") for _ in range(tasks))
            tell(json.dumps(Counter(await asyncio.gather(*asking))))


if __name__ == "__main__":
    issuer, api, file, tasks = sys.argv[1:]
    asyncio.run(run(issuer, api, file, int(tasks)))
