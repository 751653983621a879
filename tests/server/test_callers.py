"""Every call of operators and accounts, by tokens of each kind: which get through.

One application answers all of it. Calls of operators are asked without If-Match and
without a body, so that a caller that gets through changes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import msgspec
import pytest

from tests.scenarios.api import LocalApi, bearer, code_of, local_api, settings_for
from tests.server.factors import continued
from watchword.core.actor import EndReason
from watchword.core.session import Authenticated, SessionOptions, TokenSet
from watchword.ports.audit import Trail
from watchword.ports.clients import Client
from watchword.ports.credentials import Credential, CredentialKind
from watchword.ports.keys import ID_TOKEN_USES
from watchword.server.endpoints import ENDPOINTS, account, admin, factors, session
from watchword.server.operation import ADMIN_BASE, BASE, Operation
from watchword.testing import ManualClock

SOME_ID: Final = "01234567-89ab-7cde-8f01-23456789abcd"
ROLE: Final = "staff"
"""The admin role of this server: the word `admin` has no meaning of its own."""
SCOPE: Final = "openid profile email offline_access roles account orders:read"

# What a call asks of the user of a token: that it is one of first-party; that it has
# proved all that it can; and that in the last 5 minutes.
OWNER, STRONG, RECENT = "owner", "strong", "recent"
CALLS: Final = {
    ("POST", "/logout-all"): OWNER,
    ("GET", "/sessions"): OWNER,
    ("DELETE", "/sessions/{id}"): OWNER,
    ("POST", "/email/change"): RECENT,
    ("POST", "/email/confirm"): OWNER,
    ("GET", "/account"): OWNER,
    ("PATCH", "/account"): STRONG,
    ("DELETE", "/account"): RECENT,
    ("GET", "/consents"): OWNER,
    ("GET", "/consents/{clientId}"): OWNER,
    ("DELETE", "/consents/{clientId}"): OWNER,
    ("GET", "/factors"): OWNER,
    ("PATCH", "/factors/{id}"): RECENT,
    ("DELETE", "/factors/{id}"): RECENT,
    ("POST", "/factors/totp"): RECENT,
    ("POST", "/factors/passkeys/options"): RECENT,
    ("POST", "/factors/recovery-codes"): RECENT,
}
"""Of accounts, factors and the list of sessions: every call that takes a token."""
ENDING: Final = {("POST", "/logout-all"), ("DELETE", "/account")}
"""They need nothing but the token: what gets through is tested elsewhere."""
USERS_ALONE: Final = (
    f"{ADMIN_BASE}/sessions/end-before",
    f"{ADMIN_BASE}/webhooks",
)
"""What the changes begin with that no client can do, whatever right it has."""
NOT_OF_A_USER: Final = {
    *("/me", "/secure", "/forward", "/logout", "/login/passkey/options"),
}
"""They take a token, and say or do no more than that token says or ends."""

GOOD: Final = "through"


class Kind(NamedTuple):
    """What the tokens of one kind get: of calls of operators, and of their own user."""

    shows: str
    changes: str
    owner: str = GOOD
    strong: str = GOOD
    recent: str = GOOD


NO_ROLE: Final = "403 insufficient_role"
WEAK: Final = "401 insufficient_user_authentication"
INVALID: Final = "401 token_invalid"
KINDS: Final = {
    "admin": Kind(GOOD, GOOD),
    "admin with a second factor, proved": Kind(GOOD, GOOD),
    "admin with a second factor, not proved": Kind(WEAK, WEAK, GOOD, WEAK, WEAK),
    "admin, proved 6 minutes ago": Kind(GOOD, GOOD, recent=WEAK),
    "admin, proved 16 minutes ago": Kind(GOOD, WEAK, recent=WEAK),
    "admin until a second ago": Kind(NO_ROLE, NO_ROLE),
    "admin that was disabled a moment ago": Kind(NO_ROLE, NO_ROLE),
    "user with another role": Kind(NO_ROLE, NO_ROLE),
    "admin, by another client with every scope": Kind(
        NO_ROLE, NO_ROLE, *["403 insufficient_scope"] * 3
    ),
    "client that may read": Kind(GOOD, NO_ROLE, *[INVALID] * 3),
    "client that may write": Kind(GOOD, GOOD, *[INVALID] * 3),
    "client without a right": Kind(NO_ROLE, NO_ROLE, *[INVALID] * 3),
    "client that was disabled": Kind(NO_ROLE, NO_ROLE, *[INVALID] * 3),
    "client, by a token for another API": Kind(*[INVALID] * 5),
    "ID token of an admin": Kind(*[INVALID] * 5),
    "refresh token of an admin": Kind(*[INVALID] * 5),
    "continuation of an admin": Kind(*[INVALID] * 5),
    "expired": Kind(*["401 token_expired"] * 5),
    "session that has ended": Kind(*["401 token_revoked"] * 5),
    "bound to a key, as Bearer": Kind(*[INVALID] * 5),
    "bound to a key, without a proof": Kind(*["401 invalid_dpop_proof"] * 5),
    "none, but a cookie": Kind(*["401 token_missing"] * 5),
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Callers:
    """Makes the tokens of a server whose admin role is ROLE."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.engine = api.engine
        self.stores: Any = api.engine.stores

    async def admin(self, name: str, *roles: str, factor: bool = False) -> bytes:
        made = await self.engine.accounts.import_hash(name, "!", roles=roles or [ROLE])
        if factor:
            await self.gets_factor(made.id)
        return made.id

    async def gets_factor(self, account_id: bytes) -> None:
        row = Credential(
            id=account_id[::-1],
            account_id=account_id,
            kind=CredentialKind.TOTP,
            created_at=self.engine.clock(),
        )
        await self.stores.credentials.add([row], Trail())

    async def session(
        self, account_id: bytes, *, acr: str = "aal1", age: int = 0, **options: Any
    ) -> TokenSet:
        """A session whose user proved itself so many milliseconds ago."""
        row = await self.stores.accounts.by_id(account_id)
        proved = Authenticated(
            account_id,
            row.roles,
            epoch=row.epoch,
            amr=("pwd",),
            acr=acr,
            at=self.engine.clock() - age,
        )
        asked = SessionOptions(**{"client_id": "first-party", **options})
        return await self.engine.sessions.start(proved, asked)

    async def client(self, name: str, *rights: str, **more: Any) -> str:
        """The own token of a client with these rights, and every scope."""
        _, secret = await self.engine.clients.add(
            name,
            confidential=True,
            rights=rights,
            scope=SCOPE.split(),
            grants=["client_credentials"],
            **more,
        )
        answer = await self.api.client.post(
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=httpx2.BasicAuth(name, secret or ""),
        )
        return str(answer.json()["access_token"])

    async def tokens(self) -> dict[str, str]:
        """A token of each kind."""
        ann = await self.admin("ann")
        safe = await self.admin("safe", factor=True)
        late = await self.admin("late")
        gone = await self.admin("gone")
        plain = await self.admin("plain", "admin", "member")
        await self.engine.clients.add("app", confidential=False, scope=SCOPE.split())
        tokens = {
            "admin": await self.session(ann),
            "admin with a second factor, proved": await self.session(safe, acr="aal2"),
            "admin with a second factor, not proved": await self.session(safe),
            "admin, proved 6 minutes ago": await self.session(ann, age=360_000),
            "admin, proved 16 minutes ago": await self.session(ann, age=960_000),
            "admin until a second ago": await self.session(late),
            "admin that was disabled a moment ago": await self.session(gone),
            "user with another role": await self.session(plain),
            "admin, by another client with every scope": await self.session(
                ann, client_id="app", scope=tuple(SCOPE.split())
            ),
            "expired": await self.session(ann, access_ttl=1000),
            "session that has ended": await self.session(ann),
            "bound to a key": await self.session(ann, jkt="a" * 43),
        }
        access = {name: one.access_token for name, one in tokens.items()}
        await self.engine.accounts.set_roles(late, [])
        row = await self.stores.accounts.by_id(gone)
        off = msgspec.structs.replace(row, disabled=True, version=row.version + 1)
        await self.stores.accounts.swap(row, off, Trail())
        ended = tokens["session that has ended"].session.id
        await self.engine.sessions.end_one(ended, EndReason.LOGOUT)
        access |= {
            "client that may read": await self.client("reads", "admin:read"),
            "client that may write": await self.client("writes", "admin:write"),
            "client without a right": await self.client("plain", "introspect"),
            "client that was disabled": await self.client("off", "admin:write"),
            "client, by a token for another API": await self.client(
                "other", "admin:write", audience=["other"]
            ),
            "refresh token of an admin": tokens["admin"].refresh_token,
            "continuation of an admin": await continued(self.api),
            "ID token of an admin": await self.id_token(tokens["admin"]),
        }
        await self.engine.clients.disable("off")
        return access

    async def id_token(self, tokens: TokenSet) -> str:
        assert self.engine.oauth is not None
        client = Client(id="app", secret_hash=None, created_at=0, id_token_alg="ES256")
        await self.engine.keys.ensure(ID_TOKEN_USES["ES256"])
        return await self.engine.oauth.id_tokens.make(
            tokens.session, client, tokens.access_token
        )

    async def headers(self) -> dict[str, dict[str, str]]:
        """What a request of each kind sends."""
        await self.engine.accounts.set_roles(await self.api.id_of("alice"), [ROLE])
        await self.gets_factor(await self.api.id_of("alice"))
        tokens = await self.tokens()
        bound = tokens.pop("bound to a key")
        cookie = f"__Host-watchword={tokens['refresh token of an admin']}"
        self.api.clock.advance(2000)
        return {
            **{name: bearer(token) for name, token in tokens.items()},
            "bound to a key, as Bearer": bearer(bound),
            "bound to a key, without a proof": {"Authorization": f"DPoP {bound}"},
            "none, but a cookie": {"Cookie": cookie},
        }


def of_account(one: Operation) -> tuple[str, str]:
    return one.method, one.path.removeprefix(BASE)


def expected_of(one: Operation, name: str) -> str:
    """What a request of that kind is told by that call."""
    kind = KINDS[name]
    if one.path.startswith(ADMIN_BASE):
        if one.method == "GET":
            return kind.shows
        by_client = name == "client that may write"
        alone = by_client and one.path.startswith(USERS_ALONE)
        return NO_ROLE if alone else kind.changes
    return str(getattr(kind, CALLS[of_account(one)]))


def test_the_table_has_every_call() -> None:
    """A new one that takes a token has to say what it asks for."""
    known = {
        of_account(one)
        for part in (account, factors, session)
        for one in part.ENDPOINTS
        if one.bearer and one.path.removeprefix(BASE) not in NOT_OF_A_USER
    }
    assert known == set(CALLS)
    assert all(one.path.startswith(ADMIN_BASE) for one in admin.ENDPOINTS)
    assert {one.tag for one in admin.ENDPOINTS} == {"admin"}
    unguarded = [one.path for one in admin.ENDPOINTS if not one.needs_bearer]
    assert unguarded == []


async def test_only_what_the_call_is_for_gets_through(
    tmp_path: Path, clock: ManualClock
) -> None:
    """No scope, and no token but a user's own of now or a client's with its right."""
    settings = settings_for(
        tmp_path, "memory", admin_role=ROLE, mail_url="smtp://localhost:1"
    )
    calls = [
        one
        for one in ENDPOINTS
        if one.path.startswith(ADMIN_BASE)
        or (one.path.startswith(BASE) and of_account(one) in CALLS)
    ]
    async with local_api(settings, clock) as api:
        kinds = await Callers(api).headers()
        assert set(kinds) == set(KINDS)
        wrong = []
        for one in calls:
            for name, headers in kinds.items():
                expected = expected_of(one, name)
                if (expected == GOOD and of_account(one) in ENDING) or (
                    one.path.endswith("/email/confirm") and "cookie" in name
                ):
                    continue
                path = re.sub("{.*?}", SOME_ID, one.path)
                answer = await api.client.request(one.method, path, headers=headers)
                told = f"{answer.status_code} {code_of(answer)}"
                if answer.status_code not in {401, 403, 500}:
                    told = GOOD
                challenged = "www-authenticate" in answer.headers
                if told != expected or challenged != ("401" in told or "scope" in told):
                    wrong.append((one.method, one.path, name, told, expected))
        assert wrong == []
        for name, asked in {
            "admin with a second factor, not proved": 'acr_values="aal2"',
            "admin, proved 16 minutes ago": 'max_age="900"',
        }.items():
            path = f"{ADMIN_BASE}/accounts"
            answer = await api.client.post(path, headers=kinds[name])
            assert asked in answer.headers["www-authenticate"]
