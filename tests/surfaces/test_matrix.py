"""Every kind of token at every place that takes one: only the intended cells work.

The table is the promise; the test makes it anew, each cell with a token of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import pytest

from tests.scenarios.api import BASE, PASSWORD
from tests.surfaces.answers import Answer
from tests.surfaces.proofs import Prover
from tests.surfaces.stage import (
    APP,
    BY_SCRIPT,
    COOKIE,
    FIRST,
    SECURE,
    Holder,
    Pair,
    Stage,
)
from tests.surfaces.test_access_tokens import mint_of

# B   Bearer at GET /secure             D   the DPoP scheme there, with its key's proof
# U   Bearer at GET /sessions           LB  Bearer at /logout   LD  DPoP at /logout
# R   /refresh, as an object            RS  as a bare string    RC  in the cookie
# RP  /refresh, with a proof            L   /logout, body       LC  in the cookie
# T1  /oauth/token by first-party       T2  by a public client  T3  a confidential one
# V1  /oauth/revoke by first-party      V2  and V3, likewise
# I3  /oauth/introspect by the confidential client
# CS  client_secret in a form           CB  in Basic            PW  password at /login
# PL  the header DPoP at /login         PR  the same at GET /secure
# A   Bearer at GET /account            AD  the DPoP scheme there, with its key's proof
# SU  /step-up, in the body             SP  the same, with a proof
# *   works;  X  ends the session, and gives nothing;  .  refused, or without effect
TABLE: Final = """
                         B U D LB LD R RS RC RP L LC T1 T2 T3 V1 V2 V3 I3 CS CB PW PL PR
user access token        * * . X  X  . .  .  .  . .  .  .  .  X  .  .  *  .  .  .  .  .
bound access token       . . * X  X  . .  .  .  . .  .  .  .  X  .  .  .  .  .  .  .  .
public client's access   * . . X  X  . .  .  .  . .  .  .  .  .  X  .  *  .  .  .  .  .
client's own access      * . . .  .  . .  .  .  . .  .  .  .  .  .  .  *  .  .  .  .  .
bound client's own       . . * .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
refresh token            . . . .  .  * *  .  *  X X  *  .  .  X  .  .  .  .  .  .  .  .
bound refresh token      . . . .  .  . .  .  *  X X  .  .  .  X  .  .  .  .  .  .  .  .
spent refresh token      . . . .  .  X X  .  X  X X  X  .  .  X  .  .  .  .  .  .  .  .
revoked refresh token    . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
cookie's refresh token   . . . .  .  . .  *  .  X X  .  .  .  X  .  .  .  .  .  .  .  .
public client's refresh  . . . .  .  . .  .  .  X X  .  *  .  .  X  .  .  .  .  .  .  .
confidential's refresh   . . . .  .  . .  .  .  X X  .  .  *  .  .  X  *  .  .  .  .  .
confidential's spent     . . . .  .  . .  .  .  X X  .  .  X  .  .  X  .  .  .  .  .  .
client secret            . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  *  *  .  .  .
introspection JWT        . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
proof for /login         . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  *  .
proof for /secure        . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  *
ID token                 . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
logout token             . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
security event           . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
client assertion         . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
password                 . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  *  .  .
session id               . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
nonce                    . . . .  .  . .  .  .  . .  .  .  .  .  .  .  .  .  .  .  .  .
"""
ACCOUNT_TABLE: Final = """
                         A AD SU SP
user access token        * .  .  .
bound access token       . *  .  .
public client's access   . .  .  .
client's own access      . .  .  .
bound client's own       . .  .  .
refresh token            . .  *  *
bound refresh token      . .  .  *
spent refresh token      . .  X  X
revoked refresh token    . .  .  .
cookie's refresh token   . .  .  .
public client's refresh  . .  .  .
confidential's refresh   . .  .  .
confidential's spent     . .  .  .
client secret            . .  .  .
introspection JWT        . .  .  .
proof for /login         . .  .  .
proof for /secure        . .  .  .
ID token                 . .  .  .
logout token             . .  .  .
security event           . .  .  .
client assertion         . .  .  .
password                 . .  .  .
session id               . .  .  .
nonce                    . .  .  .
"""


class Cell(NamedTuple):
    """A token and the session that it is of; the holder of a bound one, to prove it."""

    text: str
    holder: Holder


Make = Callable[[Stage], Awaitable[Cell]]
Show = Callable[[Stage, Cell], Awaitable[Answer]]

KEY: Final = Prover()


def _access(**given: object) -> Make:
    async def make(stage: Stage) -> Cell:
        holder = await stage.sign_in(**given)  # type: ignore[arg-type]
        return Cell(holder.access, holder)

    return make


def _refresh(*, spent: bool = False, revoked: bool = False, **given: object) -> Make:
    async def make(stage: Stage) -> Cell:
        holder = await stage.sign_in(**given)  # type: ignore[arg-type]
        if spent:
            await stage.rotated(holder)
        if revoked:
            await stage.json(f"{BASE}/logout", holder.refresh)
        return Cell(holder.refresh, holder)

    return make


def _own(*, bound: bool) -> Make:
    async def make(stage: Stage) -> Cell:
        holder = await stage.sign_in(client="shop")
        proof = [stage.proof(KEY, "POST", "/oauth/token")] if bound else []
        asked = {"grant_type": "client_credentials"}
        answer = await stage.oauth("/oauth/token", asked, "shop", *proof)
        return Cell(answer.json()["access_token"], holder)

    return make


def _signed(typ: str, **claims: object) -> Make:
    """By the server's own key, and all else as in the victim's access token."""

    async def make(stage: Stage) -> Cell:
        holder = await stage.sign_in(prover=KEY)
        mint = mint_of(stage, holder)
        return Cell(mint.token(mint.header(typ=typ), mint.payload(**claims)), holder)

    return make


async def _introspection(stage: Stage) -> Cell:
    holder = await stage.sign_in()
    accept = ("Accept", "application/token-introspection+jwt")
    asked = {"token": holder.access}
    answer = await stage.oauth("/oauth/introspect", asked, "shop", accept)
    assert answer.header("content-type") == accept[1], answer
    return Cell(answer.body.decode(), holder)


def _proof(method: str, path: str, *, resource: bool) -> Make:
    async def make(stage: Stage) -> Cell:
        holder = await stage.sign_in(prover=KEY)
        access = holder.access if resource else None
        _, text = stage.proof(KEY, method, path, access)
        return Cell(str(text), holder)

    return make


def _text(read: Callable[[Stage, Holder], str]) -> Make:
    async def make(stage: Stage) -> Cell:
        holder = await stage.sign_in()
        return Cell(read(stage, holder), holder)

    return make


_EVENT: Final[dict[str, object]] = {
    "http://schemas.openid.net/event/backchannel-logout": {}
}

ROWS: Final[dict[str, Make]] = {
    "user access token": _access(),
    "bound access token": _access(prover=KEY),
    "public client's access": _access(client="pocket"),
    "client's own access": _own(bound=False),
    "bound client's own": _own(bound=True),
    "refresh token": _refresh(),
    "bound refresh token": _refresh(prover=KEY),
    "spent refresh token": _refresh(spent=True),
    "revoked refresh token": _refresh(revoked=True),
    "cookie's refresh token": _refresh(cookie=True),
    "public client's refresh": _refresh(client="pocket"),
    "confidential's refresh": _refresh(client="shop"),
    "confidential's spent": _refresh(client="shop", spent=True),
    "client secret": _text(lambda stage, _: stage.secret("shop")),
    "introspection JWT": _introspection,
    "proof for /login": _proof("POST", f"{BASE}/login", resource=False),
    "proof for /secure": _proof("GET", SECURE, resource=True),
    "ID token": _signed("JWT", nonce="n", cnf=...),
    "logout token": _signed("logout+jwt", events=_EVENT, cnf=...),
    "security event": _signed("secevent+jwt", events=_EVENT, cnf=...),
    "client assertion": _signed("client-authentication+jwt", iss="shop", sub="shop"),
    "password": _text(lambda _, __: PASSWORD),
    "session id": _text(lambda _, holder: holder.session),
    "nonce": _text(lambda stage, _: stage.nonce("resource")),
}


def _at(method: str, path: str, scheme: str = "Bearer") -> Show:
    async def show(stage: Stage, cell: Cell) -> Answer:
        headers: list[Pair] = [("Authorization", f"{scheme} {cell.text}")]
        if scheme == "DPoP":
            headers.append(stage.proof(KEY, method, path, cell.text))
        return await stage.call(method, path, headers)

    return show


def _body(where: str, *, bare: bool = False, proved: bool = False, **more: str) -> Show:
    async def show(stage: Stage, cell: Cell) -> Answer:
        path = f"{BASE}/{where}"
        body = cell.text if bare else {"refreshToken": cell.text, **more}
        proof = [stage.proof(KEY, "POST", path)] if proved else []
        return await stage.json(path, body, *proof)

    return show


def _in_cookie(where: str) -> Show:
    async def show(stage: Stage, cell: Cell) -> Answer:
        headers = [("Cookie", f"{COOKIE}={cell.text}"), BY_SCRIPT, ("Origin", APP)]
        return await stage.call("POST", f"{BASE}/{where}", headers)

    return show


def _oauth(where: str, client: str) -> Show:
    async def show(stage: Stage, cell: Cell) -> Answer:
        name = "refresh_token" if where == "token" else "token"
        fields = {"grant_type": "refresh_token", name: cell.text}
        return await stage.oauth(f"/oauth/{where}", fields, client)

    return show


async def _as_secret(stage: Stage, cell: Cell) -> Answer:
    fields = {"client_id": "shop", "client_secret": cell.text}
    return await stage.form(
        "/oauth/token", {"grant_type": "client_credentials", **fields}
    )


async def _in_basic(stage: Stage, cell: Cell) -> Answer:
    basic = stage.basic("shop", cell.text)
    return await stage.form("/oauth/token", {"grant_type": "client_credentials"}, basic)


async def _as_password(stage: Stage, cell: Cell) -> Answer:
    body = {"username": "alice", "password": cell.text}
    return await stage.json(f"{BASE}/login", body)


async def _as_proof_at_login(stage: Stage, cell: Cell) -> Answer:
    body = {"username": "alice", "password": PASSWORD}
    return await stage.json(f"{BASE}/login", body, ("DPoP", cell.text))


async def _as_proof_at_secure(stage: Stage, cell: Cell) -> Answer:
    headers = [("Authorization", f"DPoP {cell.holder.access}"), ("DPoP", cell.text)]
    return await stage.call("GET", SECURE, headers)


COLUMNS: Final[dict[str, Show]] = {
    "B": _at("GET", SECURE),
    "U": _at("GET", f"{BASE}/sessions"),
    "D": _at("GET", SECURE, "DPoP"),
    "LB": _at("POST", f"{BASE}/logout"),
    "LD": _at("POST", f"{BASE}/logout", "DPoP"),
    "R": _body("refresh"),
    "RS": _body("refresh", bare=True),
    "RC": _in_cookie("refresh"),
    "RP": _body("refresh", proved=True),
    "L": _body("logout"),
    "LC": _in_cookie("logout"),
    "T1": _oauth("token", FIRST),
    "T2": _oauth("token", "pocket"),
    "T3": _oauth("token", "shop"),
    "V1": _oauth("revoke", FIRST),
    "V2": _oauth("revoke", "pocket"),
    "V3": _oauth("revoke", "shop"),
    "I3": _oauth("introspect", "shop"),
    "CS": _as_secret,
    "CB": _in_basic,
    "PW": _as_password,
    "PL": _as_proof_at_login,
    "PR": _as_proof_at_secure,
}
ACCOUNT_COLUMNS: Final[dict[str, Show]] = {
    "A": _at("GET", f"{BASE}/account"),
    "AD": _at("GET", f"{BASE}/account", "DPoP"),
    "SU": _body("step-up", method="password", password=PASSWORD),
    "SP": _body("step-up", proved=True, method="password", password=PASSWORD),
}
# They say 200 whether or not there was anything to end.
_QUIET: Final = {"LB", "LD", "L", "LC", "V1", "V2", "V3"}


_TABLES: Final = [(TABLE, COLUMNS), (ACCOUNT_TABLE, ACCOUNT_COLUMNS)]


@pytest.mark.parametrize(("table", "columns"), _TABLES, ids=["all", "account"])
async def test_only_the_intended_cells_work(
    table: str, columns: dict[str, Show], stage: Stage
) -> None:
    made = [f"{'':24} {' '.join(columns)}"]
    for name, make in ROWS.items():
        cells = [await _cell(stage, make, column, columns) for column in columns]
        made.append(f"{name:24} {' '.join(cells)}".rstrip())
    assert made == table.strip("\n").split("\n")


async def _cell(stage: Stage, make: Make, column: str, columns: dict[str, Show]) -> str:
    cell = await make(stage)
    # A browser's session holds its next rotation off for half a minute.
    before = await stage.lives(cell.holder)
    answer = await columns[column](stage, cell)
    stage.thrown += [] if cell.text == cell.holder.session else [cell.text]
    assert answer.status in (200, 400, 401, 403), answer
    ended = before and not await stage.lives(cell.holder)
    stage.clock.advance(20_000)  # failed sign-ins and clients are counted
    if ended:
        mark = "X"
    elif column in _QUIET or answer.status != 200:
        mark = "."
    else:
        mark = "." if answer.code() == "inactive" else "*"
    return mark.ljust(len(column))


@pytest.mark.parametrize(("table", "columns"), _TABLES, ids=["all", "account"])
def test_the_table_has_every_kind_and_place(
    table: str, columns: dict[str, Show]
) -> None:
    head, *rows = table.strip("\n").split("\n")
    assert head.split() == list(columns)
    assert [row[:24].strip() for row in rows] == list(ROWS)
