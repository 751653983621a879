"""The server in this process, who uses it, and a look at every answer that it gives.

Requests go in as ASGI and raw, so that nothing between repairs what an attacker sends.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote, urlencode

from tests.scenarios.api import BASE, PASSWORD, LocalApi
from tests.surfaces.answers import Answer, faults_of
from tests.surfaces.proofs import Prover
from watchword.core.session import from_text

ORIGIN: Final = "https://auth.example"
APP: Final = "https://app.example"
FORM: Final = "application/x-www-form-urlencoded"
FIRST: Final = "first-party"
COOKIE: Final = "__Host-watchword"
OAUTH: Final = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")
SECURE: Final = f"{BASE}/secure"
BY_SCRIPT: Final = ("X-Requested-With", "fetch")

_SECRET_HEADERS: Final = (b"authorization", b"cookie", b"dpop", b"idempotency-key")

Pair = tuple[str, str | bytes]
Throw = Callable[[str], Awaitable[Answer]]


class Holder(NamedTuple):
    """Whoever has signed in, and what they were given."""

    access: str
    refresh: str
    session: str
    client: str = FIRST
    prover: Prover | None = None
    cookie: bool = False


class Stage:
    """Alice is the victim; the clients are known by their secrets, None if public."""

    def __init__(self, api: LocalApi) -> None:
        self.engine = api.engine
        self.clock = api.clock
        transport = cast("Any", api.client._transport)
        self._application = transport.app
        self.clients: dict[str, str | None] = {FIRST: None}
        self.secrets = [PASSWORD]
        self.thrown: list[str] = []

    async def prepare(self) -> None:
        self.bob = (await self.engine.accounts.register("bob", PASSWORD)).id
        both = ("refresh_token", "client_credentials")
        # Without a grace: a spent token is reuse at once, whatever the client.
        pocket: dict[str, Any] = {"confidential": False, "scope": ["read", "write"]}
        shop: dict[str, Any] = {
            "rights": ["introspect"],
            "grants": both,
            "scope": ["read"],
        }
        await self.add("pocket", grace=0, **pocket)
        await self.add("keyed", confidential=False, dpop=True)
        await self.add("shop", grace=0, **shop)
        await self.add("rival", rights=["introspect"], grants=both)
        await self.add("plain")
        await self.add("gone")
        await self.engine.clients.disable("gone")

    async def add(self, name: str, *, confidential: bool = True, **given: Any) -> None:
        _, secret = await self.engine.clients.add(
            name, confidential=confidential, **given
        )
        self.clients[name] = secret
        self.secrets += [secret] if secret else []

    async def call(
        self,
        method: str,
        target: str,
        headers: Iterable[Pair] = (),
        body: bytes = b"",
        *,
        address: str = "192.0.2.1",
    ) -> Answer:
        path, _, query = target.partition("?")
        sent = [(name.lower().encode(), _raw(value)) for name, value in headers]
        self.thrown += [
            value.decode("latin-1") for name, value in sent if name in _SECRET_HEADERS
        ]
        if body and all(name != b"content-length" for name, _ in sent):
            sent.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": sent,
            "client": (address, 0),
            "server": ("127.0.0.1", 8000),
        }
        answer = await _exchange(self._application, scope, body)
        self._keep_secrets(answer)
        return answer

    def _keep_secrets(self, answer: Answer) -> None:
        if answer.status != 200:
            return
        self.secrets += re.findall(r"ww_rt_[\w-]{76}", answer.header("set-cookie"))
        found = answer.json() if answer.body[:1] == b"{" else {}
        names = ("accessToken", "refreshToken", "access_token", "refresh_token")
        self.secrets += [found[name] for name in names if name in found]

    async def json(
        self, path: str, value: Any, *headers: Pair, method: str = "POST"
    ) -> Answer:
        kind = ("Content-Type", "application/json")
        return await self.call(method, path, [kind, *headers], _json(value))

    async def form(
        self,
        path: str,
        fields: dict[str, str] | Sequence[tuple[str, str]],
        *headers: Pair,
    ) -> Answer:
        body = urlencode(fields, errors="surrogatepass").encode()
        return await self.call("POST", path, [("Content-Type", FORM), *headers], body)

    async def oauth(
        self, path: str, fields: dict[str, str], client: str, *headers: Pair
    ) -> Answer:
        """The form, sent by a client that authenticates in it."""
        fields = {**fields, "client_id": client}
        if self.clients[client] is not None:
            fields["client_secret"] = self.secret(client)
        return await self.form(path, fields, *headers)

    def secret(self, client: str) -> str:
        return self.clients[client] or ""

    def basic(self, client: str, secret: str | None = None) -> Pair:
        pair = f"{client}:{self.secret(client) if secret is None else secret}"
        encoded = base64.b64encode(pair.encode("utf-8", "surrogatepass")).decode()
        return "Authorization", f"Basic {encoded}"

    def nonce(self, role: str = "token") -> str:
        if role == "token":
            return self.engine.proofs.nonces.current()
        proofs = self.engine.checker._proofs
        assert proofs is not None
        return proofs.nonces.current()

    def proof(
        self,
        prover: Prover,
        method: str,
        path: str,
        access: str | None = None,
        **changes: Any,
    ) -> Pair:
        """The header for this request; for a resource where there is a token."""
        return "DPoP", self.proofs(prover, method, path, access)(**changes)

    def proofs(
        self, prover: Prover, method: str, path: str, access: str | None = None
    ) -> Callable[..., str]:
        """Makes good proofs for that request, changed as one asks."""
        return functools.partial(
            prover.proof,
            method,
            ORIGIN + path,
            self.clock.now,
            access=access,
            nonce=self.nonce("token" if access is None else "resource"),
        )

    async def sign_in(
        self,
        name: str = "alice",
        *,
        client: str = FIRST,
        prover: Prover | None = None,
        cookie: bool = False,
    ) -> Holder:
        body = {"username": name, "password": PASSWORD, "clientId": client}
        headers = [] if self.clients[client] is None else [self.basic(client)]
        if prover is not None:
            headers.append(self.proof(prover, "POST", f"{BASE}/login"))
        if cookie:
            body["transport"] = "cookie"
        answer = await self.json(f"{BASE}/login", body, *headers)
        assert answer.status == 200, answer
        told = answer.json()
        refresh = told.get("refreshToken") or answer.cookie()
        return Holder(
            told["accessToken"], refresh, told["sessionId"], client, prover, cookie
        )

    async def refresh(self, holder: Holder, *more: Pair) -> Answer:
        """The refresh as its owner would ask for it."""
        path = f"{BASE}/refresh" if holder.client == FIRST else "/oauth/token"
        headers = list(more)
        if holder.prover is not None:
            headers.append(self.proof(holder.prover, "POST", path))
        if holder.cookie:
            headers += [("Cookie", f"{COOKIE}={holder.refresh}"), BY_SCRIPT]
            return await self.call("POST", path, headers)
        if holder.client == FIRST:
            return await self.json(path, {"refreshToken": holder.refresh}, *headers)
        fields = {"grant_type": "refresh_token", "refresh_token": holder.refresh}
        return await self.oauth(path, fields, holder.client, *headers)

    async def rotated(self, holder: Holder) -> Holder:
        answer = await self.refresh(holder)
        assert answer.status == 200, answer
        told = answer.json()
        access = told.get("accessToken") or told["access_token"]
        refresh = told.get("refreshToken") or told.get("refresh_token")
        return holder._replace(access=access, refresh=refresh or answer.cookie())

    async def lives(self, holder: Holder) -> bool:
        """Whether the session is untouched."""
        row = await self.row(holder)
        return row is not None and row.revoked_at is None

    async def row(self, holder: Holder) -> Any:
        session_id = from_text(holder.session)
        assert session_id is not None
        return await self.engine.sessions.get(session_id)

    async def besiege(
        self,
        texts: Iterable[tuple[str, str]],
        throw: Throw,
        allowed: Collection[str],
        *,
        advance: int = 0,
    ) -> list[str]:
        """Throw them all; what was answered otherwise than it should be.

        `allowed` has statuses with their codes, as in `401 token_invalid`.
        """
        faults: list[str] = []
        for name, text in texts:
            self.thrown.append(text)
            answer = await throw(text)
            faults += [f"{name}: {fault}" for fault in faults_of(answer, allowed, text)]
            self.clock.advance(advance)
        return faults

    async def logged(self) -> str:
        """The audit log, as text."""
        events = await self.engine.stores.audit.read(0, 1_000_000)
        return "\n".join(repr(event) for _, event in events)


async def _exchange(application: Any, scope: dict[str, Any], body: bytes) -> Answer:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return Answer(
        sent[0]["status"],
        [(name.decode(), value.decode()) for name, value in sent[0]["headers"]],
        b"".join(message["body"] for message in sent[1:]),
        scope["method"],
        scope["path"],
    )


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()
