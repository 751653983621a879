"""An app that has a code: a browser of alice's, clients, and the token endpoint."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from tests.scenarios.api import PASSWORD, LocalApi, local_api, settings_for
from tests.verify.proving import METHOD, URL, Prover
from watchword.clients.authentication import hash_of
from watchword.clients.rules import GrantType
from watchword.core.code import CodeGrant
from watchword.core.policies import PAGES
from watchword.core.session import EVERYTHING, Authenticated, Session
from watchword.core.ticket import TicketPurpose
from watchword.oauth.exchange import Exchanged
from watchword.ports.audit import Event, EventType
from watchword.ports.clients import Client
from watchword.testing import ManualClock

APP: Final = "app"
SHOP: Final = "shop"
"""A public client, and a confidential one."""

SECRET: Final = "ww_cs_" + "s" * 43
BACK: Final = "https://app.example/back"
VERIFIER: Final = "v" * 43
KEY: Final = "a-key-of-the-client-0001"
OTHER_KEY: Final = "a-key-of-the-client-0002"
HOME: Final = "192.0.2.1"
SCOPE: Final = ("openid", "profile")


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class App:
    """The app, and what stands between it and a session."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.engine = api.engine
        self.stores: Any = api.engine.stores
        self.clock = api.clock
        assert api.engine.oauth is not None
        self.oauth = api.engine.oauth
        self.root: Session
        self._proofs = 0

    async def has(self, name: str, **given: Any) -> None:
        """There is a client of that name."""
        made = {
            "id": name,
            "secret_hash": None,
            "created_at": self.clock(),
            "scope": (*SCOPE, "offline_access"),
            "grants": (GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN),
            "redirect_uris": (BACK,),
            "trusted": True,
            "id_token_alg": "ES256",  # its key is made in no time
        } | given
        event = Event(type=EventType.CLIENT_CREATED, at=self.clock())
        await self.stores.clients.add(Client(**made), event)

    async def change(self, name: str, **given: Any) -> None:
        """The client is another one from now on."""
        before = await self.stores.clients.load(name)
        given["version"] = before.version + 1
        after = msgspec.structs.replace(before, **given)
        event = Event(type=EventType.CLIENT_CHANGED, at=self.clock())
        assert await self.stores.clients.swap(before, after, event)

    async def sign_in(self, name: str = "alice") -> None:
        """A browser signs in at this server: its session is the root."""
        service = self.engine.self_service
        assert service is not None
        proof = await self.engine.sign_in.check_password(name, PASSWORD)
        begun = await service.browser.begin(proof, address=HOME, user_agent="Firefox")
        self.root = begun.session

    async def code(self, client: str = APP, **given: Any) -> str:
        """A code for that client, as `/oauth/authorize` makes it."""
        account = await self.stores.accounts.by_id(self.root.account_id)
        root = self.root
        made: dict[str, Any] = {
            "root": root,
            "client_id": client,
            "redirect_uri": BACK,
            "challenge": challenge_of(VERIFIER),
            "nonce": "n-1",
            "scope": SCOPE,
            "resources": (),
            "jkt": "",
        } | given
        proved = Authenticated(
            root.account_id, (), account.epoch, root.amr, root.acr, root.auth_time
        )
        return self.oauth.codes.make(made.pop("authenticated", proved), **made)

    def grant(self, code: str) -> CodeGrant:
        """What a code says: to an attacker too, if it has the server secret."""
        return self.engine.tickets.open(TicketPurpose.CODE, code, CodeGrant)

    async def redeem(
        self,
        code: str,
        /,
        key: str | None = KEY,
        prover: Prover | None = None,
        **form: Any,
    ) -> httpx2.Response:
        """The answer of `/oauth/token`. `...` takes a parameter out."""
        fields = {
            "grant_type": "authorization_code",
            "client_id": APP,
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        } | form
        sent = {name: value for name, value in fields.items() if value is not ...}
        return await self.post(sent, key, prover)

    async def exchanged(self, code: str, key: str | None = KEY) -> Exchanged:
        """What the engine answers, without HTTP and its client authentication."""
        client = await self.engine.clients.get(APP)
        return await self.oauth.exchange.redeem(
            code,
            client,
            redirect_uri=BACK,
            code_verifier=VERIFIER,
            client_secret="",
            retry_key=key,
            requested=EVERYTHING,
            proof=None,
            address=HOME,
            user_agent="",
        )

    async def post(
        self,
        fields: dict[str, Any],
        key: str | None = None,
        prover: Prover | None = None,
    ) -> httpx2.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        if prover is not None:
            self._proofs += 1
            claims = {
                "jti": f"jti-{self._proofs}",
                "htm": METHOD,
                "htu": URL,
                "iat": self.clock() // 1000,
                "nonce": self.engine.proofs.nonces.current(),
            }
            headers["DPoP"] = prover.proof(payload=claims)
        return await self.api.client.post("/oauth/token", data=fields, headers=headers)

    async def refresh(
        self,
        token: str,
        key: str | None = None,
        client: str = APP,
        prover: Prover | None = None,
        **form: Any,
    ) -> httpx2.Response:
        fields = {"grant_type": "refresh_token", "refresh_token": token}
        return await self.post({**fields, "client_id": client, **form}, key, prover)

    async def alive(self) -> list[Session]:
        """The live sessions but those of browsers."""
        page = await self.engine.sessions.page(None)
        return [one for one in page.sessions if one.client_id != PAGES]

    async def row(self, code: str) -> Session | None:
        """The session of that code, ended or not."""
        return await self.engine.sessions.get(self.grant(code).session_id)

    async def events(self, kind: EventType) -> list[Event]:
        rows = await self.stores.audit.read(0, 999)
        return [event for _, event in rows if event.type is kind]


@contextlib.asynccontextmanager
async def an_app(
    folder: Path, kind: str = "memory", **given: Any
) -> AsyncIterator[App]:
    """An app at a server on that store, and alice's browser, signed in."""
    async with local_api(settings_for(folder, kind, **given), ManualClock()) as api:
        app = App(api)
        await app.has(APP)
        await app.has(SHOP, secret_hash=hash_of(SECRET), pkce=False)
        await app.sign_in()
        yield app


def outcome(answer: httpx2.Response) -> str:
    """`ok`, or the error of RFC 6749 §5.2."""
    return "ok" if answer.status_code == 200 else str(answer.json()["error"])


def claims_of(token: str) -> Any:
    """What a token says, unverified."""
    body = token.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(body + "=="))
