"""`Auth`: a session as an auth class of httpx2, for clients and async clients alike."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2

from watchword.client.attending import (
    UNAUTHORIZED,
    Asked,
    Pass,
    Passing,
    Reply,
    attend,
)
from watchword.client.driving import adrive, atake, drive, take
from watchword.client.file import Memory, TokenFile
from watchword.client.keeper import Keeper
from watchword.client.outside import SYSTEM, Clocks, Draws
from watchword.client.proof import Key
from watchword.client.session import Issuer
from watchword.errors import SettingsError
from watchword.text import trimmed


class Auth(httpx2.Auth):
    """Signs in, sends the access token along, and refreshes it by itself.

    `issuer` is the server's address. `file` is kept 0600 and may be shared by
    processes; without it the session is in this process's memory alone. The token goes
    to the issuer's origin and to those of `origins`, and nowhere else: a request to
    another one, or redirected there, goes without. With `dpop` a sign-in binds the
    session to a key (RFC 9449): True for a new one, kept beside the tokens, or a P-256
    private key of `cryptography`, which may live in hardware. `clocks` are for tests.

    Every call raises RefreshError once the session is over, SignedOut where there is
    none; TryAgain where the server could not be asked, and nobody is signed out then;
    TokenFileError; SettingsError here for an address in clear.
    """

    def __init__(
        self,
        issuer: str,
        *,
        file: str | Path | None = None,
        origins: Sequence[str] = (),
        dpop: bool | Key = False,
        clocks: Clocks = SYSTEM,
    ) -> None:
        url = trimmed(issuer).rstrip("/")
        self._origins = frozenset(map(_secure_origin, (url, *origins)))
        draws = Draws()
        self._keeper = Keeper(
            Issuer(url, clocks, draws),
            Memory() if file is None else TokenFile(Path(file)),
            dpop=dpop,
            clocks=clocks,
            draws=draws,
        )

    def login(self, username: str, password: str) -> None:
        """Sign in, in place of a session that is held.

        Raises InvalidCredentials; Throttled and its kin, with `retry_after` in seconds.
        """
        drive(self._keeper.sign_in(username, password))

    async def alogin(self, username: str, password: str) -> None:
        """The same without blocking the event loop."""
        await adrive(self._keeper.sign_in(username, password))

    def logout(self) -> None:
        """End the session, for all who share it; no matter where there is none.

        Raises TryAgain where the server could not be told: the session is kept then, so
        that it can be.
        """
        drive(self._keeper.sign_out())

    async def alogout(self) -> None:
        """The same without blocking the event loop."""
        await adrive(self._keeper.sign_out())

    def token(self) -> str:
        """An access token that works now, for what does not go through httpx2."""
        return drive(self._keeper.fresh()).access_token

    async def atoken(self) -> str:
        """The same without blocking the event loop."""
        return (await adrive(self._keeper.fresh())).access_token

    def attend(
        self, method: str, url: httpx2.URL, *, repeatable: bool
    ) -> Passing[None]:
        """One request as steps, for other HTTP libraries: see `attending.py`."""
        origin = origin_of(url)
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        return attend(
            self._keeper,
            Asked(
                method=method,
                url=f"{url.scheme}://{url.netloc.decode('ascii')}{path}",
                origin=origin,
                allowed=origin in self._origins,
                repeatable=repeatable,
            ),
        )

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """What httpx2 asks of an auth class."""
        passing = self._attend(request)
        outcome: Any = None
        try:
            while True:
                step = passing.send(outcome)
                if not isinstance(step, Pass):
                    outcome = take(step)
                    continue
                request.headers.update(step.headers)
                response = yield request
                if response.status_code == UNAUTHORIZED:
                    response.read()
                outcome = _reply(request, response, step)
        except StopIteration:
            return
        finally:
            passing.close()

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """What httpx2 asks of an auth class."""
        passing = self._attend(request)
        outcome: Any = None
        try:
            while True:
                step = passing.send(outcome)
                if not isinstance(step, Pass):
                    outcome = await atake(step)
                    continue
                request.headers.update(step.headers)
                response = yield request
                if response.status_code == UNAUTHORIZED:
                    await response.aread()
                outcome = _reply(request, response, step)
        except StopIteration:
            return
        finally:
            passing.close()

    def _attend(self, request: httpx2.Request) -> Passing[None]:
        # A stream may have gone by when the answer comes.
        repeatable = isinstance(request.stream, httpx2.ByteStream)
        return self.attend(request.method, request.url, repeatable=repeatable)


def _reply(request: httpx2.Request, response: httpx2.Response, step: Pass) -> Reply:
    """What is told of our token; nothing where a redirect led away from it."""
    if response.request.method != request.method:  # what was asked for has been done
        return Reply()
    sent = response.request.headers.get("Authorization")
    if sent is None or sent != step.headers.get("Authorization"):
        return Reply()
    status = response.status_code
    body = response.content if status == UNAUTHORIZED else b""
    return Reply.of(status, response.headers, body)


def origin_of(url: httpx2.URL) -> str:
    """Scheme, host and port (RFC 6454 §4)."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://{url.host}:{port}"


def _secure_origin(address: str) -> str:
    """Raises SettingsError: a token never leaves the machine in clear."""
    try:
        url = httpx2.URL(trimmed(address))
    except (httpx2.InvalidURL, TypeError):
        raise SettingsError(["an address is not a URL"]) from None
    if url.userinfo:  # which may be a password, so nothing of it is shown
        raise SettingsError(["the URL of a server has no user name or password"])
    if not url.host or url.query or url.fragment:
        raise SettingsError([f"{address!r} is not the URL of a server"])
    if url.scheme != "https" and not (url.scheme == "http" and _loopback(url.host)):
        fault = f"{address!r}: give an https URL; plain http is for this machine alone"
        raise SettingsError([fault])
    return origin_of(url)


def _loopback(host: str) -> bool:
    # As `core/network.py`, which the client does without: it is installed alone. Of the
    # spellings of loopback it takes the usual ones, and refuses the others.
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
