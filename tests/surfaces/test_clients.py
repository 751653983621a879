"""What is not a client's credentials, at every place that takes them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote_plus

import pytest

from tests.scenarios.api import BASE, PASSWORD
from tests.surfaces.answers import Answer
from tests.surfaces.stage import FIRST, OAUTH, Pair, Stage

_REFUSED: Final = "401 invalid_client"
_WRONG: Final = "400 invalid_request"
_EITHER: Final = f"{_REFUSED}|{_WRONG}"
Fields = dict[str, str]


def bad_secrets(stage: Stage) -> Iterator[tuple[str, str]]:
    """Of the client shop."""
    secret = stage.secret("shop")
    digest = hashlib.sha256(secret.encode()).digest()
    yield from {
        "a character less": secret[:-1],
        "a character more": secret + "A",
        "a blank before": f" {secret}",
        "a blank after": f"{secret} ",
        "a newline after": f"{secret}\n",
        "NUL after": f"{secret}\0",
        "case swapped": secret.swapcase(),
        "without its prefix": secret.removeprefix("ww_cs_"),
        "its prefix alone": "ww_cs_",
        "twice": secret * 2,
        "another client's": stage.secret("plain"),
        "its stored hash": digest.hex(),
        "its stored hash in base64": base64.b64encode(digest).decode(),
        "the hash with the prefix": "ww_cs_"
        + base64.urlsafe_b64encode(digest).decode(),
        "the client's id": "shop",
        "a password": PASSWORD,
        "not ASCII": f"{secret}é",
        "wide letters": "".join(chr(ord(c) + 0xFEE0) for c in secret),
        "30 000 characters": "A" * 30_000,
        "SQL": "' OR '1'='1",
        "null": "null",
    }.items()


def credentials(stage: Stage) -> Iterator[tuple[str, Fields, Sequence[Pair], str]]:
    """Name, form fields, headers, and the answer."""
    for name, secret in bad_secrets(stage):
        form = {"client_id": "shop", "client_secret": secret}
        yield f"{name}, in the form", form, [], _REFUSED
        basic = stage.basic("shop", quote_plus(secret))
        yield f"{name}, by Basic", {}, [basic], _REFUSED
    yield from _other_clients(stage)
    yield from _two_ways(stage)
    for name, value in _headers(stage):
        header = ("Authorization", value)
        yield f"Authorization: {name}", {}, [header], _REFUSED
        named = {"client_id": "shop"}
        yield f"Authorization: {name}, and a name", named, [header], _EITHER


def _other_clients(stage: Stage) -> Iterator[tuple[str, Fields, Sequence[Pair], str]]:
    secret = stage.secret("shop")
    assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    yield "nobody", {}, [], _REFUSED
    yield "a name alone", {"client_id": "shop"}, [], _REFUSED
    yield "an empty secret", {"client_id": "shop", "client_secret": ""}, [], _REFUSED
    yield "an empty secret by Basic", {}, [stage.basic("shop", "")], _REFUSED
    yield "a secret alone", {"client_secret": secret}, [], _REFUSED
    for name in (
        *(
            "SHOP",
            "shop ",
            " shop",
            "shop\0",
            "shop\n",
            "sh\u043ep",
            "ｓｈｏｐ",
            "nobody",
        ),
        *("../shop", "shop/../shop", "*", "s%68op", "' OR '1'='1", "x" * 20_000, "é"),
        *("plain", "rival", "gone", "pocket", FIRST, "FIRST-PARTY", "\u202eshop"),
    ):
        form = {"client_id": name, "client_secret": secret}
        yield f"as {name!r:.20}, in the form", form, [], _REFUSED
        basic = stage.basic(quote_plus(name), secret)
        yield f"as {name!r:.20}, by Basic", {}, [basic], _REFUSED
    gone = {"client_id": "gone", "client_secret": stage.secret("gone")}
    yield "disabled", gone, [], _REFUSED
    yield "disabled, by Basic", {}, [stage.basic("gone")], _REFUSED
    yield (
        "an assertion",
        {"client_id": "shop", "client_assertion_type": assertion}
        | {"client_assertion": "e30.e30.e30"},
        [],
        _REFUSED,
    )


def _two_ways(stage: Stage) -> Iterator[tuple[str, Fields, Sequence[Pair], str]]:
    secret, basic = stage.secret("shop"), stage.basic("shop")
    yield "two ways", {"client_id": "shop", "client_secret": secret}, [basic], _WRONG
    yield "a secret in both", {"client_secret": secret}, [basic], _WRONG
    yield "two names", {"client_id": "rival"}, [basic], _WRONG
    yield "first-party beside Basic", {"client_id": FIRST}, [basic], _WRONG
    yield "Basic twice", {}, [basic, basic], _WRONG
    yield "Basic for two", {}, [basic, stage.basic("rival")], _WRONG


def _headers(stage: Stage) -> Iterator[tuple[str, str | bytes]]:
    good = stage.basic("shop")[1]
    assert isinstance(good, str)
    encoded, secret = good.removeprefix("Basic "), stage.secret("shop")
    yield from {
        "empty": "",
        "Basic alone": "Basic",
        "Basic and a blank": "Basic ",
        "not base64": "Basic ****",
        "half of it": f"Basic {encoded[:-7]}",
        "no colon": "Basic " + base64.b64encode(b"shop").decode(),
        "a colon alone": "Basic Og==",
        "no padding": f"Basic {encoded.rstrip('=')}" if "=" in encoded else "Basic A",
        "in clear": f"Basic shop:{secret}",
        "a tab": f"Basic\t{encoded}",
        "a comma": f"{good}, {good}",
        "something after it": f"{good} x",
        "in quotes": f'Basic "{encoded}"',
        "a newline in it": f"Basic {encoded[:8]}\n{encoded[8:]}",
        "no blank": f"Basic{encoded}",
        "not UTF-8": "Basic " + base64.b64encode(b"shop:\xff\xfe").decode(),
        "a bad escape": "Basic " + base64.b64encode(b"shop:%ff%").decode(),
        "NUL": "Basic " + base64.b64encode(b"shop\0:" + secret.encode()).decode(),
        "Bearer": f"Bearer {secret}",
        "Bearer with Basic's": f"Bearer {encoded}",
        "Digest": f'Digest username="shop", response="{"0" * 32}"',
        "DPoP": f"DPoP {secret}",
        "the secret alone": secret,
        "not ASCII": "Basic \u00e9",
        "30 000 characters": "Basic " + "QUFB" * 10_000,
    }.items()


@pytest.mark.parametrize("path", OAUTH)
async def test_no_credentials_but_the_right_ones(path: str, stage: Stage) -> None:
    """401 and a challenge; 400 for two ways at once (RFC 6749 section 5.2)."""
    victim = await stage.sign_in(client="shop")
    asked = {"token": victim.refresh, "grant_type": "client_credentials"}
    faults: list[str] = []
    for name, fields, headers, allowed in credentials(stage):
        thrown = fields.get("client_secret") or (headers or [("", "")])[0][1]

        async def throw(
            _: str, fields: Fields = fields, headers: Sequence[Pair] = headers
        ) -> Answer:
            return await stage.form(path, asked | fields, *headers)

        # Failures are counted: each comes when the one before is forgotten.
        found = await stage.besiege(
            [(name, str(thrown))], throw, allowed.split("|"), advance=20_000
        )
        faults += found
    assert faults == []
    assert await stage.lives(victim)
    for header in (stage.basic("shop"), _in_small_letters(stage.basic("shop"))):
        answer = await stage.form(path, asked, header)
        assert answer.status == 200, answer


def _in_small_letters(header: Pair) -> Pair:
    assert isinstance(header[1], str)
    return header[0], header[1].replace("Basic", "bASIC")


async def test_a_sign_in_needs_the_client_too(stage: Stage) -> None:
    """A session of a confidential client begins with its secret, or not at all."""
    body = {"username": "alice", "password": PASSWORD}
    cases: list[tuple[str, dict[str, str], Sequence[Pair], str]] = [
        ("no secret", {"clientId": "shop"}, [], _REFUSED),
        ("unknown", {"clientId": "nobody"}, [], _REFUSED),
        ("disabled", {}, [stage.basic("gone")], _REFUSED),
        ("wrong", {}, [stage.basic("shop", "x")], _REFUSED),
        ("public with a secret", {}, [stage.basic("pocket", "x")], _REFUSED),
        ("first-party with a secret", {}, [stage.basic(FIRST, "x")], _REFUSED),
        ("two", {"clientId": "pocket"}, [stage.basic("shop")], _WRONG),
        ("no text", {"clientId": "\0"}, [], _REFUSED),
        ("long", {"clientId": "x" * 5000}, [], _REFUSED),
    ]
    for name, fields, headers, allowed in cases:

        async def throw(
            _: str, fields: Fields = fields, headers: Sequence[Pair] = headers
        ) -> Answer:
            return await stage.json(f"{BASE}/login", body | fields, *headers)

        assert await stage.besiege([(name, "")], throw, [allowed]) == []
    assert (await stage.sign_in(client="shop")).client == "shop"


async def test_an_old_secret_is_none(stage: Stage) -> None:
    old = stage.secret("shop")
    asked = {"grant_type": "client_credentials"}
    assert (await stage.oauth("/oauth/token", asked, "shop")).status == 200
    new = await stage.engine.clients.rotate_secret("shop")
    stage.secrets.append(new)
    for secret, verdict in ((old, _REFUSED), (new, "200 ok"), (old, _REFUSED)):
        answer = await stage.form("/oauth/token", asked, stage.basic("shop", secret))
        assert answer.verdict() == verdict
        stage.clock.advance(2000)


@pytest.mark.parametrize(
    ("client", "path", "fields", "verdict"),
    [
        (FIRST, "/oauth/token", {"grant_type": "client_credentials"}, "unauthorized"),
        (
            "pocket",
            "/oauth/token",
            {"grant_type": "client_credentials"},
            "unauthorized",
        ),
        (FIRST, "/oauth/introspect", {"token": "x"}, "unauthorized"),
        ("pocket", "/oauth/introspect", {"token": "x"}, "unauthorized"),
        ("plain", "/oauth/introspect", {"token": "x"}, "unauthorized"),
    ],
)
async def test_a_client_has_its_own_rights_alone(
    client: str, path: str, fields: Fields, verdict: str, stage: Stage
) -> None:
    await stage.sign_in()
    answer = await stage.oauth(path, fields, client)
    assert answer.verdict() == f"400 {verdict}_client"
