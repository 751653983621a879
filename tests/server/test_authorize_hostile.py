"""What is sent to the authorization endpoints by mistake or on purpose: never a 5xx."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
import pytest_asyncio

from tests.server.relying import Party, party, signed_in
from tests.server.visiting import Pages, pages_of
from watchword.core.ticket import TicketPurpose
from watchword.oauth.interactions import Interaction
from watchword.testing import ManualClock

FORM = "application/x-www-form-urlencoded"
ODD = [
    b"",
    b" ",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # half of a pair of surrogates
    b"\r\nset-cookie: a=b",
    "\u202e\u2028\U0001f511".encode(),
    b"'\"><script>",
    b"%",
    b"..//..\\",
    b"\xc0\xaf",
    b"-1",
    b"9" * 400,
    b"none none",
    b"login " * 200,
    b"a" * 5000,
    b"[]{}" * 50,
    b"urn:ietf:params:oauth:request_uri:ww_par_" + b"A" * 99,
    b"ww_in_" + b"A" * 99,
    b"eyJhbGciOiJub25lIn0.e30.",
]
MORE = ("unknown", "id_token_hint", "request_uri", "dpop_jkt", "resource", "max_age")


@pytest_asyncio.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, ManualClock()) as opened:
        yield opened


@pytest_asyncio.fixture
async def app(pages: Pages) -> Party:
    return await party(pages, scope=["notes"])


def encoded(fields: dict[str, bytes]) -> bytes:
    pairs = (f"{name}={quote_from_bytes(value)}" for name, value in fields.items())
    return "&".join(pairs).encode()


async def test_no_parameter_makes_the_server_fail(pages: Pages, app: Party) -> None:
    """Each one odd, then many at once, then broken bytes; by all three endpoints."""
    browser, drawn = await signed_in(pages), random.Random(15)
    good = {name: str(value).encode() for name, value in app.request().items()}
    names = [*good, *MORE]
    bodies = [encoded({**good, name: odd}) for name in names for odd in ODD]
    for _ in range(100):
        chosen = drawn.sample(names, drawn.randint(1, len(names)))
        bodies.append(encoded({**good, **{one: drawn.choice(ODD) for one in chosen}}))
    for _ in range(100):
        broken = bytearray(encoded(good))
        for _ in range(drawn.randint(1, 8)):
            broken[drawn.randrange(len(broken))] = drawn.randrange(0x21, 0x7F)
        bodies.append(bytes(broken))
    headers = {"content-type": FORM}
    for body in bodies:
        query = body.decode().replace("#", "%23")
        for answer in (
            await browser.http.get(f"/oauth/authorize?{query}"),
            await browser.http.post("/oauth/authorize", content=body, headers=headers),
            await pages.api.client.post("/oauth/par", content=body, headers=headers),
        ):
            assert answer.status_code in {201, 303, 400, 401, 429}, body
            location = answer.headers.get("location", "")
            assert location.isascii(), body
            assert location.isprintable(), body
            is_ours = "://" not in location.partition("?")[0]
            assert is_ours or location.startswith(f"{app.uri}?"), body


async def test_no_ticket_of_another_kind_opens_an_interaction(
    pages: Pages, app: Party
) -> None:
    browser = pages.browser()
    await browser.get(app.address())
    link = browser.page.headers["location"].removeprefix("..")
    ticket = link.partition("interaction=")[2]
    pushed = (await app.push()).json()["request_uri"].rpartition(":")[2]
    made = Interaction(request=None, browser=bytes(32))  # type: ignore[arg-type]
    broken = pages.engine.tickets.seal(TicketPurpose.INTERACTION, made)
    for bad in (ticket[:-1], ticket + "A", pushed, broken, "ww_in_", "\ud800", "%"):
        address = (
            f"/sign-in?interaction={quote_from_bytes(bad.encode(errors='replace'))}"
        )
        assert (await browser.get(address)).status_code == 400
    assert (await browser.get(link)).status_code == 200


@pytest.mark.parametrize("path", ["/oauth/authorize", "/oauth/par"])
async def test_other_methods_and_bodies_are_refused(pages: Pages, path: str) -> None:
    client = pages.api.client
    assert (await client.put(path)).status_code == 405
    answer = await client.post(path, json={})
    assert answer.status_code in {400, 415}
    big = await client.post(path, content=b"a=" + b"b" * 40_000, headers={})
    assert big.status_code == 413
