"""A server that strangers come to, with the clients that they are to be."""

from __future__ import annotations

import os
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.terminal import Terminal
from tests.server.live import PASSWORD, Live
from watchword.bootstrap import Watchword

USER = {"username": "admin", "password": PASSWORD}
BASE = "/api/auth"
BACK = "https://stranger.example/callback"
BYE = "https://stranger.example/goodbye"


class Known(msgspec.Struct, frozen=True):
    """A client as its program has it: no secret where it is public."""

    id: str
    secret: str | None = None


class Site(msgspec.Struct, frozen=True):
    """One server; `app` is public, `shop` confidential, `catalogue` an API.

    `office` is a public client as `clients add` makes it; the two others have no grace,
    so that a spent token is seen to be refused. Users sign in by browser at `portal`,
    which is confidential, and at `phone`, which is public.
    """

    live: Live
    terminal: Terminal
    app: Known
    shop: Known
    office: Known
    catalogue: Known
    portal: Known
    phone: Known

    @property
    def issuer(self) -> str:
        return self.live.url

    @property
    def secure(self) -> str:
        return f"{self.issuer}{BASE}/secure"

    def login(
        self, client: Known | None = None, proof: str | None = None, **asked: Any
    ) -> Any:
        """The answer of the native sign-in to a client; first-party's where None."""
        headers = {} if proof is None else {"DPoP": proof}
        body = USER | asked
        if client is not None:
            body["clientId"] = client.id
            if client.secret is not None:
                headers["Authorization"] = basic(client)
        answer = self.live.call("POST", f"{BASE}/login", body, **headers)
        assert answer.status == 200, answer.raw
        return answer.json()

    def token(self, client: Known, *, expired: bool = False, **asked: Any) -> Any:
        """A sign-in as libraries keep it, in the words of RFC 6749 section 5.1."""
        tokens = self.login(client, **asked)
        return {
            "access_token": tokens["accessToken"],
            "token_type": tokens["tokenType"],
            "refresh_token": tokens["refreshToken"],
            "expires_in": -1 if expired else tokens["expiresIn"],
            "expires_at": time.time() + (-1 if expired else tokens["expiresIn"]),
        }

    def opens(self, access_token: str) -> bool:
        answer = self.live.call("GET", f"{BASE}/secure", access=access_token)
        return answer.status == 200

    def metadata(self) -> Any:
        path = "/.well-known/oauth-authorization-server"
        return self.live.call("GET", path).json()

    def facts(self) -> dict[str, Any]:
        """What a script of this folder is given."""
        clients = {
            name: msgspec.to_builtins(getattr(self, name))
            for name in ("app", "shop", "catalogue", "portal", "phone")
        }
        places = {"back": BACK, "bye": BYE}
        return {"issuer": self.issuer, "user": USER, **places, **clients}


def basic(client: Known) -> str:
    """The header of `client_secret_basic`, for names that need no encoding."""
    pair = f"{client.id}:{client.secret}".encode()
    return f"Basic {b64encode(pair).decode()}"


def _client(terminal: Terminal, name: str, *options: str) -> Known:
    told = terminal.json("clients", "add", name, *options)
    return Known(told["clientId"], told.get("clientSecret"))


@contextmanager
def open_site(data: Path, alg: str = "ES256") -> Iterator[Site]:
    """A server whose next key has been published for an hour."""
    terminal = Terminal(data)
    with pytest.MonkeyPatch.context() as patch:
        # Fixtures come before tests/conftest.py clears these for each test.
        for name in [name for name in os.environ if name.startswith("WATCHWORD_")]:
            patch.delenv(name)
        patch.setenv("WATCHWORD_SIGNING_ALG", alg)
        # 3072 bits take up to some seconds, and the length is not what is tested.
        patch.setattr("watchword.keys.signing.RSA_BITS", 2048)
        terminal.engine(_nothing, ago=3600)
        scope = ("--scope", "read", "--scope", "write")
        strict = ("--grace", "0s", *scope)
        app = _client(terminal, "pocket-app", *strict)
        shop = _client(terminal, "web-shop", "--confidential", *strict)
        office = _client(terminal, "office-app")
        rights = ("--confidential", "--right", "introspect", "--checks-dpop")
        catalogue = _client(terminal, "catalogue-api", *rights)
        door = ("--redirect", BACK, "--post-logout", BYE, "--trusted", *strict)
        portal = _client(terminal, "portal", "--confidential", *door)
        phone = _client(terminal, "phone", "--id-token-alg", "ES256", *door)
    with Live(data, WATCHWORD_SIGNING_ALG=alg) as live:
        yield Site(live, terminal, app, shop, office, catalogue, portal, phone)


async def _nothing(_: Watchword) -> None: ...
