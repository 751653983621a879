"""`Verifier`: checks access tokens in a resource server, and follows their issuer.

Two background tasks fetch the issuer's keys and follow its feed. `keyset` and
`following` keep what they read and decide when to ask again; `checker` checks tokens
without I/O. The clocks and the source of randomness enter the package here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Final, Literal, Self, Unpack, get_args
from urllib.parse import quote_plus

import httpx2
import msgspec

from watchword.clocks import Clock, monotonic, system_clock
from watchword.core import limits
from watchword.core.access_token import Claims
from watchword.errors import SettingsError, StoreUnavailable, TokenInvalid
from watchword.text import trimmed
from watchword.tokens.checker import Checker, Needs
from watchword.tokens.dpop import Nonces, Proofs
from watchword.tokens.jose import Malformed
from watchword.verify import bounds, discovery, following, keyset
from watchword.verify.discovery import Metadata
from watchword.verify.event_loop import need_asyncio
from watchword.verify.fetching import FetchFailed, fetch
from watchword.verify.following import FeedFollower
from watchword.verify.keyset import KeySet, NotYet, UnknownKey
from watchword.verify.options import CutOff
from watchword.verify.replay_cache import MemoryReplayCache

_NO_FEED: Final = (
    "no feed is followed, so a logout counts here only when the access token expires: "
    "give feed=(id, secret) of a client that was made with `watchword clients add ID "
    "--confidential --right feed`"
)
_log = logging.getLogger("watchword.verify")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier knows and how old it is. Ages are in seconds, None before a read.

    `ready` says whether good tokens are accepted now. `feed` is `off` where none is
    followed, `starting` before the first complete read, then `following`, or `cut off`
    once the last complete read is older than 30 seconds. `ended` is the number of
    sessions remembered as ended. An error is that of the last attempt and None where it
    succeeded; it holds no secret.
    """

    ready: bool
    keys: int
    keys_age: float | None
    keys_error: str | None
    feed: Literal["off", "starting", "following", "cut off"]
    feed_age: float | None
    feed_error: str | None
    ended: int


class Verifier:
    """Checks the access tokens of one issuer for one audience. Use it in `async with`.

    `feed` is id and secret of a client with the right `feed`. With it a logout anywhere
    is honoured within a second, and no token is accepted before the feed was read. When
    the feed has been cut off for longer than 30 seconds, `cut_off` decides: `closed`
    refuses with StoreUnavailable, `open` accepts until `exp`. Without `feed` a logout
    takes effect only when the access token expires, by default within two minutes. A
    warning says so once, at the start.

    If the issuer cannot be reached at the start, it is asked again in the background.
    Until its keys are there, verifying raises StoreUnavailable. `http` is used for all
    requests and not closed. The clocks are for tests. Raises SettingsError for an
    `issuer` or `cut_off` that is not possible.
    """

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        feed: tuple[str, str] | None = None,
        cut_off: CutOff = "closed",
        http: httpx2.AsyncClient | None = None,
        clock: Clock = system_clock,
        monotonic: Callable[[], int] = monotonic,
    ) -> None:
        if cut_off not in get_args(CutOff):
            raise SettingsError(["cut_off: closed or open"])
        issuer, audience = trimmed(issuer), trimmed(audience)
        try:
            self._metadata_url = discovery.metadata_url(issuer)
        except ValueError as fault:
            raise SettingsError([f"issuer: {fault}"]) from None
        self._issuer = issuer
        self._clock = clock
        self._monotonic = monotonic
        self._given_http = http
        self._http: httpx2.AsyncClient | None = None
        self._keys = KeySet()
        self._follower: FeedFollower | None = None
        if feed is not None:
            closed = cut_off == "closed"
            self._follower = FeedFollower(clock, monotonic, closed=closed)
        self._authorization = None if feed is None else _basic(*map(trimmed, feed))
        self._metadata: Metadata | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._discovered = asyncio.Event()
        self._polled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = contextlib.AsyncExitStack()
        nonces = Nonces([secrets.token_bytes(32)], "resource", clock)
        self.checker: Final = Checker(
            issuer=issuer,
            audience=audience,
            key_of=self._keys.key_of,
            has_ended=_never if self._follower is None else self._follower.has_ended,
            clock=clock,
            proofs=Proofs(
                nonces=nonces, use_once=MemoryReplayCache(clock), clock=clock
            ),
        )

    async def __aenter__(self) -> Self:
        """Begin to fetch. Raises RuntimeError on another event loop than asyncio."""
        need_asyncio("Verifier")
        if self._follower is None:
            _log.warning("%s", _NO_FEED)
        async with contextlib.AsyncExitStack() as stack:
            given = self._given_http
            self._http = given or await stack.enter_async_context(httpx2.AsyncClient())
            stack.push_async_callback(self._stop)
            self._tasks = [
                asyncio.create_task(work()) for work in (self._keep_keys, self._follow)
            ]
            self._closing = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def verify(self, token: str) -> Claims:
        """The claims of a token that is genuine, in time, and of a living session.

        For `Authorization: Bearer`: a token that is bound to a key is invalid there
        (RFC 9449 §7.2). The issuer is asked only about a key that is not known, and not
        often. Raises TokenInvalid, TokenExpired or TokenRevoked, and StoreUnavailable
        (to be answered with 503) where keys or revocations are not known.
        """
        try:
            return self.checker.verify(token)
        except (NotYet, UnknownKey):
            await self._ask_issuer()
        with _public_errors():
            return self.checker.verify(token)

    async def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        """The claims of a token that came with the proof of its key (RFC 9449 §7.1).

        For `Authorization: DPoP`. `method` and `url` are the request's, as its sender
        wrote them. Nonces are good in this process only. Raises what `verify` raises,
        and TokenProofInvalid. Raises TokenNonceNeeded with a `nonce`, which belongs
        into the answer's header DPoP-Nonce. Raises Overloaded where more proofs are
        used than the process can remember.
        """
        given = {"method": method, "url": url}
        try:
            return await self.checker.verify_bound(token, proof, **given)
        except (NotYet, UnknownKey):
            await self._ask_issuer()
        with _public_errors():
            return await self.checker.verify_bound(token, proof, **given)

    def require(self, claims: Claims, **needs: Unpack[Needs]) -> None:
        """Raises unless the claims have the scope, the roles and a good enough sign-in.

        All of `scope` and all of `roles` are needed. `max_age` is in seconds since the
        sign-in, and one of `acr_values` is enough. Raises InsufficientScope,
        InsufficientRole or InsufficientAuthentication (RFC 9470 §3).
        """
        self.checker.require(claims, **needs)

    def health(self) -> Health:
        """What the verifier knows now. Sends no request."""
        now, keys, follower = self._monotonic(), self._keys, self._follower
        read_at = keys.read_at
        age = None if follower is None else follower.age()
        return Health(
            ready=read_at is not None and (follower is None or follower.is_usable()),
            keys=len(keys),
            keys_age=None if read_at is None else (now - read_at) / limits.SECOND,
            keys_error=keys.error,
            feed="off" if follower is None else follower.state(),
            feed_age=None if age is None else age / limits.SECOND,
            feed_error=None if follower is None else follower.error,
            ended=0 if follower is None else len(follower),
        )

    async def _stop(self) -> None:
        tasks = [*self._tasks, *filter(None, [self._fetching])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._http = None

    async def _ask_issuer(self) -> None:
        """Ask for keys if they may be asked for, and wait for the first feed answer."""
        if self._fetching is not None or self._keys.may_ask(self._monotonic()):
            await self._fetch_keys()
        if self._follower is None or self._follower.age() is not None:
            return
        if self._discovered.is_set():
            # The first read of the feed is under way. Once it has come or failed, there
            # is no wait.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(bounds.FETCH_TIMEOUT / limits.SECOND):
                    await self._polled.wait()

    async def _keep_keys(self) -> None:
        retry = _Retry()
        while True:
            await self._fetch_keys()
            if self._keys.error is None:
                retry.reset()
                await _sleep(self._keys.rest(random.random()))  # noqa: S311 - jitter
            else:
                await _sleep(retry.next())

    async def _fetch_keys(self) -> None:
        """Fetch the keys, once for all calls that want them now. Raises nothing."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._read_keys())
        # `wait`, not `await` of the task: a caller that is cancelled does not cancel
        # the fetch, and a fetch that is cancelled does not cancel its callers.
        await asyncio.wait([self._fetching])

    async def _read_keys(self) -> None:
        now = self._monotonic()
        self._keys.asked(now)
        before = self._keys.error
        try:
            # The metadata is read each time, because an issuer may move its keys.
            http = self._running()
            found = await fetch(http, self._metadata_url, limit=bounds.METADATA_MAX)
            metadata = discovery.read_metadata(found.body, self._issuer)
            found = await fetch(http, metadata.jwks, limit=bounds.METADATA_MAX)
            age = keyset.age_of(
                found.headers.get("cache-control", ""), found.headers.get("age", "")
            )
            self._keys.read(keyset.read_keys(found.body), age, now)
            self._metadata = metadata
            self._discovered.set()
        except Exception as fault:  # noqa: BLE001 - logged, tried again
            self._keys.failed(f"The issuer's keys cannot be had: {_reason(fault)}.")
        finally:
            self._fetching = None
        _log_change("keys", before, self._keys.error)

    def _running(self) -> httpx2.AsyncClient:
        if self._http is None:
            raise FetchFailed("the verifier does not run, use `async with`")
        return self._http

    async def _follow(self) -> None:
        follower = self._follower
        if follower is None:
            return
        retry = _Retry()
        await self._discovered.wait()
        while True:
            before = follower.error
            try:
                await self._poll(follower)
            except Exception as fault:  # noqa: BLE001 - logged, tried again
                why = _reason(fault)
                follower.failed(f"The revocation feed cannot be followed: {why}.")
                pause = retry.next()
            else:
                retry.reset()
                pause = follower.pause()
            _log_change("feed", before, follower.error)
            self._polled.set()
            await _sleep(pause)

    async def _poll(self, follower: FeedFollower) -> None:
        url = None if self._metadata is None else self._metadata.revocations
        if url is None:
            raise FetchFailed("the issuer has none")
        wait = follower.wait()
        query = {"after": follower.cursors, "wait": str(wait // limits.SECOND)}
        sent = self._monotonic()
        found = await fetch(
            self._running(),
            url,
            limit=bounds.FEED_ANSWER_MAX,
            within=wait + bounds.FETCH_TIMEOUT,
            query=query,
            authorization=self._authorization,
        )
        answer = following.read_answer(found.body)
        follower.take(answer, sent=sent, received=self._monotonic())


class _Retry:
    """Pauses that grow from one failure to the next, in milliseconds, with jitter."""

    def __init__(self) -> None:
        self._pause = bounds.RETRY_LEAST

    def reset(self) -> None:
        self._pause = bounds.RETRY_LEAST

    def next(self) -> int:
        pause = self._pause
        self._pause = min(2 * pause, bounds.RETRY_MOST)
        return int(pause * (0.5 + random.random()))  # noqa: S311 - jitter


@contextlib.contextmanager
def _public_errors() -> Iterator[None]:
    """Raise the public error in place of UnknownKey and NotYet, which are internal."""
    try:
        yield
    except UnknownKey:
        raise TokenInvalid from None
    except NotYet as error:
        raise StoreUnavailable(str(error)) from None


async def _sleep(ms: int) -> None:
    await asyncio.sleep(ms / limits.SECOND)


def _reason(fault: Exception) -> str:
    """The cause of a fault, to end a sentence with. An unexpected fault is logged."""
    if isinstance(fault, (FetchFailed, Malformed)):
        return str(fault)
    _log.error("unexpected %s", type(fault).__name__, exc_info=fault)
    return type(fault).__name__


def _log_change(what: str, before: str | None, error: str | None) -> None:
    """Log each new kind of error once, and once that it is over."""
    if error is not None and error != before:
        _log.warning("%s", error)
    elif error is None and before is not None:
        _log.warning("%s: works again", what)


def _never(_: str) -> bool:
    return False


def _basic(name: str, secret: str) -> str:
    pair = f"{quote_plus(name)}:{quote_plus(secret)}"  # RFC 6749 §2.3.1
    return "Basic " + b64encode(pair.encode()).decode()
