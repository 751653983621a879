"""One GET of a document of the issuer: bounded in size and time, never redirected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import httpx2

from watchword.core import limits
from watchword.reasons import reason_of
from watchword.verify import bounds


class FetchFailed(Exception):
    """No usable answer came. The message can be shown: it has no text of the answer."""


class Fetched(NamedTuple):
    """The body and headers of a good answer."""

    body: bytes
    headers: httpx2.Headers


async def fetch(
    http: httpx2.AsyncClient,
    url: str,
    *,
    limit: int,
    within: int = bounds.FETCH_TIMEOUT,
    query: Mapping[str, str] | None = None,
    authorization: str | None = None,
) -> Fetched:
    """The JSON at that address: at most `limit` bytes, within `within` milliseconds.

    Raises FetchFailed.
    """
    seconds = within / limits.SECOND
    # No compression: a small compressed answer could become a large one.
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    if authorization is not None:
        headers["authorization"] = authorization
    try:
        async with (
            asyncio.timeout(seconds),
            http.stream(
                "GET",
                url,
                params=query,
                headers=headers,
                auth=None,
                follow_redirects=False,
                timeout=seconds,
            ) as answer,
        ):
            _check(answer)
            return Fetched(await _body(answer, limit), answer.headers)
    except TimeoutError:
        raise FetchFailed("no answer in time") from None
    except FetchFailed:
        raise
    # The client, its transport or its proxies may raise anything. The task that follows
    # the issuer must survive it and try again.
    except Exception as error:  # noqa: BLE001 - see above
        raise FetchFailed(f"no answer: {reason_of(error)}") from None


def _check(answer: httpx2.Response) -> None:
    if answer.status_code != HTTPStatus.OK:
        raise FetchFailed(f"answered with {answer.status_code}")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/jwk-set+json"):
        raise FetchFailed("answered with something that is not JSON")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise FetchFailed("answered with something compressed, unasked")


async def _body(answer: httpx2.Response, limit: int) -> bytes:
    # The answer is not compressed, so these are the bytes as they came.
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise FetchFailed(f"answered with more than {limit} bytes")
    return body
