"""An app that sends its users to Watchword: what it asks for, and what it gets."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2
import msgspec

from tests.scenarios.api import PASSWORD
from tests.server.visiting import Browser, Pages
from watchword.core.session import Session

VERIFIER: Final = "v" * 43
CHALLENGE: Final = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    .rstrip(b"=")
    .decode()
)
NAME: Final = "alice"


class Party:
    """An app with a client. `secret` is None for a public one."""

    def __init__(self, pages: Pages, client_id: str, secret: str | None) -> None:
        self.pages = pages
        self.id = client_id
        self.secret = secret
        self.uri = f"https://{client_id}.example/cb"
        self.given: dict[str, Any] = {}

    def request(self, **changed: Any) -> dict[str, Any]:
        """The parameters of a request that is good; None leaves one out."""
        usual = {
            "client_id": self.id,
            "redirect_uri": self.uri,
            "response_type": "code",
            "scope": "openid",
            "state": "s t&=ä",
            "nonce": "n",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        given = usual | self.given | changed
        return {name: value for name, value in given.items() if value is not None}

    def address(self, **changed: Any) -> str:
        """Where it sends its user."""
        return f"/oauth/authorize?{urlencode(self.request(**changed), doseq=True)}"

    async def post(self, path: str, **form: Any) -> httpx2.Response:
        """A call of its own server."""
        own = {"client_id": self.id}
        if self.secret is not None:
            own["client_secret"] = self.secret
        body = {**own, **form}
        sent = {name: value for name, value in body.items() if value is not None}
        return await self.pages.api.client.post(
            path,
            content=urlencode(sent, doseq=True),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )

    async def redeem(self, code: str, **changed: Any) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.uri,
            "code_verifier": VERIFIER,
        }
        return await self.post("/oauth/token", **form | changed)

    async def push(self, **changed: Any) -> httpx2.Response:
        return await self.post("/oauth/par", **self.request(**changed))

    async def tokens(self, browser: Browser, **changed: Any) -> Any:
        """The tokens that come of a browser that has nothing more to be asked."""
        answer = await browser.get(self.address(**changed))
        redeemed = await self.redeem(code_in(answer))
        assert redeemed.status_code == 200, redeemed.text
        return redeemed.json()


async def party(
    pages: Pages, client_id: str = "app", *, confidential: bool = False, **given: Any
) -> Party:
    """An app that has just been registered, and is trusted unless it is said not."""
    made = Party(pages, client_id, None)
    wanted = {
        "redirect_uris": [made.uri],
        "trusted": True,
        # A pair by RSA would take longer than all of the rest.
        "id_token_alg": "ES256",
        **given,
    }
    _, made.secret = await pages.engine.clients.add(
        client_id, confidential=confidential, **wanted
    )
    return made


def answer_in(response: httpx2.Response) -> dict[str, str]:
    """What is sent to a client in a redirect: its parameters."""
    assert response.status_code == 303, response.text
    pairs = parse_qsl(urlsplit(response.headers["location"]).query)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def code_in(response: httpx2.Response) -> str:
    return answer_in(response)["code"]


def outcome_of(response: httpx2.Response) -> str:
    """`code`, the error that the client is sent, or the page that comes."""
    if response.status_code != 303:
        return str(response.status_code)
    location = response.headers["location"]
    if "://" not in location:
        return str(urlsplit(location).path.removeprefix("../"))
    sent = answer_in(response)
    return sent.get("error") or ("code" if "code" in sent else location)


async def follow(browser: Browser) -> httpx2.Response:
    """The page that the last answer leads to."""
    page = browser.page
    return await browser.get(urljoin(str(page.url), page.headers["location"]))


async def sign_in(browser: Browser, password: str = PASSWORD) -> httpx2.Response:
    """Fill in the sign-in page that is shown, or that the last answer leads to."""
    if browser.page.status_code == 303:
        await follow(browser)
    assert 'name="password"' in browser.page.text, browser.page.text
    fields = {"username": NAME, "password": password}
    return await browser.post(str(browser.page.url), **fields)


async def signed_in(pages: Pages, address: str = "127.0.0.1") -> Browser:
    """A browser that alice has just signed in at."""
    browser = pages.browser(address)
    await browser.get("/sign-in")
    await sign_in(browser)
    assert browser.page.headers["location"] == "account"
    return browser


async def root_of(pages: Pages) -> Session:
    """The newest sign-in of a browser."""
    rows = await pages.engine.sessions.list_of_account(await pages.api.id_of(NAME))
    return next(row for row in rows if row.client_id == "_pages")


def claims_in(token: str) -> Any:
    """The payload of a JWT. Its signature is checked elsewhere."""
    part = token.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
