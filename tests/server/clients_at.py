"""A client that sends browsers without scripts to the pages, and what comes back."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.server.visiting import Browser, Pages
from watchword.ports.clients import Client

REDIRECT: Final = "https://tides.example.org/callback"
SOURCE: Final = "https://tides.example.org"
LOCAL: Final = "http://127.0.0.1/callback"
CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
VERIFIER: Final = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
SCOPE: Final = "openid profile email"


async def add_client(pages: Pages, client_id: str = "tides", **given: Any) -> Client:
    usual: dict[str, Any] = {
        "confidential": False,
        "redirect_uris": (REDIRECT,),
        "name": "Tide Tables",
        "scope": ("tides:read",),
    }
    client, _ = await pages.engine.clients.add(client_id, **(usual | given))
    return client


async def ask(browser: Browser, client_id: str = "tides", **given: str) -> str:
    """What the client sends its user here with; where that leads."""
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT,
        "scope": SCOPE,
        "state": "a-state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    await browser.get(f"/oauth/authorize?{urlencode(parameters | given)}")
    return await follow(browser)


async def follow(browser: Browser) -> str:
    """On to the next page, whose path this returns, or the address at a client."""
    while browser.page.status_code == 303:
        to = browser.page.url.join(browser.page.headers["location"])
        if to.host != browser.page.url.host or to.port != browser.page.url.port:
            return str(to)
        await browser.get(str(to))
    return browser.page.url.path


async def press(browser: Browser, **fields: str) -> str:
    """The form of the page that is shown, with these fields; where it leads."""
    await browser.post(str(browser.page.url), **fields)
    return await follow(browser)


def told(address: str) -> dict[str, str]:
    """The parameters that came to a client."""
    return {k: one for k, (one,) in parse_qs(urlsplit(address).query).items()}
