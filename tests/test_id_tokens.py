"""ID tokens: what they say, that they are hints later, and that they open nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.doors import ISSUER, Door, door
from watchword.core import limits
from watchword.core.session import Session, SessionOptions
from watchword.errors import TokenInvalid
from watchword.oauth.id_tokens import IdTokens
from watchword.ports.clients import Client
from watchword.ports.keys import ID_TOKEN_USES
from watchword.tokens.jose import ALGORITHMS
from watchword.verify import Checker


class World:
    """A server with sessions of a client, and its ID tokens."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.keys = door.engine.keys
        assert door.engine.oauth is not None
        self.id_tokens: IdTokens = door.engine.oauth.id_tokens
        self.access = ""

    async def session(self) -> Session:
        tokens = await self.door.sign_in(SessionOptions(client_id="first-party"))
        self.access = tokens.access_token
        return tokens.session

    async def token(self, alg: str = "ES256", **given: Any) -> str:
        session = await self.session()
        client = Client(id="app", secret_hash=None, created_at=0, id_token_alg=alg)
        return await self.id_tokens.make(session, client, self.access, **given)

    def read(self, token: str) -> jwt.Token:
        published = KeySet.import_key_set(json.loads(self.keys.jwks))
        return jwt.decode(token, published, algorithms=list(ALGORITHMS))


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with door(tmp_path) as opened:
        yield World(opened)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    ("alg", "hashed"), [("RS256", "sha256"), ("ES256", "sha256"), ("EdDSA", "sha512")]
)
async def test_an_id_token_says_which_user_signed_in_when_and_how(
    world: World, alg: str, hashed: str
) -> None:
    """OpenID Connect Core §2: by a key of its own, with the hash of its algorithm."""
    token = await world.token(alg, nonce="n-1")
    read, now = world.read(token), world.door.clock() // 1000
    session = (await world.door.alive())[0]
    digest = hashlib.new(hashed, world.access.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2])
    kid = (await world.keys.ensure(ID_TOKEN_USES[alg])).kid
    assert read.header == {"typ": "JWT", "alg": alg, "kid": kid}
    assert read.claims == {
        "iss": ISSUER,
        "sub": (await world.door.engine.accounts.get("ada")).subject,
        "aud": "app",
        "iat": now,
        "exp": now + 600,
        "auth_time": session.auth_time // 1000,
        "nonce": "n-1",
        "acr": "aal1",
        "amr": ["pwd"],
        "sid": session.sid,
        "at_hash": half.decode().rstrip("="),
    }


async def test_without_a_nonce_none_is_said_and_no_token_outlives_its_session(
    world: World,
) -> None:
    session = await world.session()
    client = Client(id="app", secret_hash=None, created_at=0, id_token_alg="ES256")
    # At a refresh, two minutes before the end.
    ends = world.door.engine.sessions.ends_at(session)
    world.door.clock.advance(ends - world.door.clock() - 2 * limits.MINUTE)
    token = await world.id_tokens.make(session, client, world.access)
    claims = world.read(token).claims
    assert claims["exp"] == ends // 1000
    assert claims["auth_time"] == session.auth_time // 1000 < claims["iat"]
    assert "nonce" not in claims


async def test_a_hint_is_an_id_token_of_this_server_expired_or_not(
    world: World,
) -> None:
    token = await world.token()
    claims = world.read(token).claims
    key = await world.keys.ensure(ID_TOKEN_USES["ES256"])
    head, body, signature = token.split(".")
    other = "A" if signature[0] != "A" else "B"
    none = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"none"}').decode().rstrip("=")
    hints = {
        "as it was made": token,
        "expired": key.sign_as("JWT", claims | {"exp": 1, "iat": 0}),
        "of another issuer": key.sign_as("JWT", claims | {"iss": "https://b.example"}),
        "of another type": key.sign_as("at+jwt", claims),
        "by a key of access tokens": world.keys.active.sign_as("JWT", claims),
        "an access token": world.access,
        "for several clients": key.sign_as("JWT", claims | {"aud": ["app", "b"]}),
        "without a session": key.sign_as("JWT", {**claims, "sid": None}),
        "altered": f"{head}.{body}.{other}{signature[1:]}",
        "unsigned": f"{none}.{body}.{signature}",
        "no token": "x" * 10,
        "nothing": "",
        "too long": key.sign_as("JWT", claims | {"nonce": "n" * 9000}),
    }
    read = {name: world.id_tokens.read_hint(text) for name, text in hints.items()}
    known = {name for name, hint in read.items() if hint is not None}
    assert known == {"as it was made", "expired"}
    for name in known:
        hint = msgspec.structs.asdict(read[name])  # type: ignore[arg-type]
        assert hint == {
            "subject": claims["sub"],
            "sid": claims["sid"],
            "client_id": "app",
        }
    # A rotation keeps hints; an emergency does not.
    await world.keys.maintain()
    world.door.clock.advance(limits.JWKS_MAX_AGE)
    await world.keys.rotate(ID_TOKEN_USES["ES256"])
    assert world.id_tokens.read_hint(token) is not None
    await world.keys.retire(key.kid)
    assert world.id_tokens.read_hint(token) is None


@pytest.mark.parametrize("signing_alg", ["ES256", "RS256"])
async def test_no_id_token_is_an_access_token(tmp_path: Path, signing_alg: str) -> None:
    """Nor is a token with all claims of one, of a type or by a key of ID tokens."""
    async with door(tmp_path, signing_alg=signing_alg) as opened:
        world = World(opened)
        token, here = await world.token(signing_alg), opened.engine.checker
        access = world.read(world.access).claims
        key = await world.keys.ensure(ID_TOKEN_USES[signing_alg])
        active = world.keys.active
        # A verifier elsewhere sees all published keys alike: there the type decides.
        published = {one.kid: one.public for one in (key, active)}
        elsewhere = Checker(
            issuer=ISSUER,
            audience="api",
            key_of=published.get,
            has_ended=lambda _: False,
            clock=opened.clock,
        )
        fakes = [
            token,
            key.sign_as("JWT", access),
            active.sign_as("JWT", access),
            key.sign_as("JWT", {**access, "aud": "api"}),
        ]
        for checker in (here, elsewhere):
            assert checker.verify(world.access).sid == access["sid"]
            own = [key.sign_as("at+jwt", access)] if checker is here else []
            for fake in (*fakes, *own):
                with pytest.raises(TokenInvalid):
                    checker.verify(fake)
                with pytest.raises(TokenInvalid):
                    checker.verify_for(fake, ("api", "app"))
                with pytest.raises(TokenInvalid):
                    checker.verify_signature(fake)
