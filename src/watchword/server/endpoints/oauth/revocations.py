"""GET /revocations: the sessions that ended, for APIs that verify tokens elsewhere.

It is a long poll. With `Accept: text/event-stream` the same answers come as server-sent
events. The answers have only what this process knows already: the store is asked for
nothing but the client and its secret.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from watchword import errors
from watchword.clients.rules import Right
from watchword.core import limits
from watchword.core.session import as_text
from watchword.errors import InvalidClient, InvalidRequest, UnauthorizedClient
from watchword.revocation.log import Page, RevocationLog
from watchword.server.client_auth import basic_credentials
from watchword.server.operation import Operation
from watchword.server.parsing import client_address, engine_of, one_header, query_of
from watchword.server.responses import JSON

STREAM: Final = "text/event-stream"
_WAIT_MAX: Final = limits.FEED_WAIT_MAX // limits.SECOND
_CURSORS_MAX: Final = 1024
_STAMP_SECONDS: Final = limits.FEED_STAMP / limits.SECOND

After = Annotated[
    str,
    msgspec.Meta(
        title="after",
        description=(
            "The `cursor` of the answer before. Without it, or where it is not one of "
            "this process, the answer begins at the beginning. Several, of several "
            "processes, are separated by commas."
        ),
        max_length=_CURSORS_MAX,
    ),
]
Wait = Annotated[
    int,
    msgspec.Meta(
        title="wait",
        description="Where there is nothing new: for how many seconds to wait for it.",
        ge=0,
        le=_WAIT_MAX,
    ),
]


class EndedSession(msgspec.Struct, frozen=True):
    """A session that ended before its time: milliseconds since the epoch.

    `until` is when its last access token has expired, and the entry may be forgotten.
    """

    sid: str
    at: int
    until: int


class Ended(msgspec.Struct, frozen=True, rename="camel"):
    """What ended after a cursor.

    `now` and `completeAsOf` are of the server's monotonic clock, in milliseconds: all
    that ended before the latter is in here or was in earlier answers, unless there is
    `more`. `complete`: this answer begins at the beginning.
    """

    cursor: str
    entries: list[EndedSession]
    more: bool
    complete: bool
    now: int
    complete_as_of: int


async def revocations(request: Request) -> Response:
    credentials = basic_credentials(request)
    if credentials is None:
        raise InvalidClient("A client is needed: HTTP Basic, its id and its secret.")
    engine = engine_of(request)
    log = engine.revocation_log
    address = client_address(request)
    client = await engine.client_authentication.authenticate(
        *credentials, address=address
    )
    if Right.FEED not in client.rights:
        raise UnauthorizedClient
    after, wait = _query(request)
    if "watchword.blocking" in request.scope:
        wait = 0  # a wait would hold one of the host's threads
    accepted = one_header(request, b"accept") or b""
    if request.method == "GET" and STREAM.encode() in accepted.lower():
        resumed = one_header(request, b"last-event-id")
        return _Stream(
            log,
            after if resumed is None else resumed.decode("latin-1"),
            log.following(client.id, address),
        )
    log.page(after)  # raises at once what it would raise after the wait
    if wait:
        with log.following(client.id, address):
            await _wait_for_entries(request, log, after, wait)
    return JSON(_ended(log.page(after)))


OPERATION = Operation(
    method="GET",
    path="/revocations",
    handler=revocations,
    summary="Which sessions ended",
    description=(
        "For confidential clients with the right `feed`, by HTTP Basic. With `Accept: "
        + STREAM
        + "` the same answers are a stream of server-sent events; each has the cursor "
        "as its id, and `Last-Event-ID` counts before `after`."
    ),
    tag="operation",
    query={"after": After, "wait": Wait},
    response=Ended,
    client=True,
    errors=(
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.UnauthorizedClient,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


def _query(request: Request) -> tuple[str, int]:
    """The cursor to go on from, and the seconds to wait. Raises InvalidRequest."""
    fields = query_of(request)
    wait = fields.get("wait", "0")
    if re.fullmatch(r"\d{1,2}", wait, re.ASCII) is None or int(wait) > _WAIT_MAX:
        raise InvalidRequest(f"wait is a number of seconds, {_WAIT_MAX} at most.")
    return fields.get("after", ""), int(wait)


async def _wait_for_entries(
    request: Request, log: RevocationLog, after: str, seconds: int
) -> None:
    """Wait until there are entries, the time is over, or the client has gone."""
    waits = (
        asyncio.ensure_future(log.wait(after, seconds)),
        asyncio.ensure_future(_disconnected(request)),
    )
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _ended(page: Page) -> Ended:
    return Ended(
        page.cursor,
        [
            EndedSession(as_text(one.session_id), one.at, one.until)
            for one in page.entries
        ],
        page.more,
        page.complete,
        page.now,
        page.complete_as_of,
    )


class _Stream(StreamingResponse):
    """A stream of events. It counts as a follower for as long as it lasts."""

    def __init__(
        self, log: RevocationLog, after: str, following: AbstractContextManager[None]
    ) -> None:
        # Read before the stream begins, so that a refusal is an answer with a status.
        first = log.page(after)
        super().__init__(
            _events(log, first),
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
            media_type=STREAM,
        )
        self._following = following

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._following:
            await super().__call__(scope, receive, send)


async def _events(log: RevocationLog, page: Page) -> AsyncIterator[bytes]:
    """Pages of entries as they come, and an empty page now and then if none come.

    The stream ends after a while, so that the client has to prove again that it may
    follow. It also ends when this process stops, and when this process no longer knows
    what has ended.
    """
    clock = asyncio.get_running_loop().time
    over = clock() + limits.FEED_STREAM / limits.SECOND
    while True:
        body = msgspec.json.encode(_ended(page))
        yield b"id: %b\ndata: %b\n\n" % (page.cursor.encode(), body)
        if not page.more:
            await log.wait(page.cursor, _STAMP_SECONDS)
        if log.is_closed or clock() > over:
            return
        try:
            page = log.page(page.cursor)
        except errors.StoreUnavailable:
            return
