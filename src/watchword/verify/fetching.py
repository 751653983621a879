"""One GET of what an issuer publishes: bounded in size and time, never redirected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import httpx2

from watchword.core import limits
from watchword.reasons import reason_of


class FetchFailed(Exception):
    """Nothing usable came. The message can be shown: it has nothing of the answer."""


class Fetched(NamedTuple):
    """A good answer's body and headers."""

    body: bytes
    headers: httpx2.Headers


async def fetch(
    http: httpx2.AsyncClient,
    url: str,
    *,
    limit: int,
    within: int = limits.FETCH_TIMEOUT,
    query: Mapping[str, str] | None = None,
    authorization: str | None = None,
) -> Fetched:
    """The JSON at that address: `limit` bytes at most, within so many milliseconds.

    Raises FetchFailed.
    """
    seconds = within / limits.SECOND
    # Compressed, a small answer could be a large one.
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
    # Whatever the client, its transport or its proxies raise: those who follow go on.
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
    # Not compressed: these are the bytes as they came.
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise FetchFailed(f"answered with more than {limit} bytes")
    return body
