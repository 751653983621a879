"""A person with a browser at a running server: follows redirects, fills in forms.

It has no scripts. Its cookies are `Secure`, which browsers send to this machine in
clear too, and HTTP libraries do not.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx2

from tests.server.live import PASSWORD
from tests.server.shown import parsed

_STEPS: Final = 12
_SAME: Final = {"Sec-Fetch-Site": "same-origin"}


class Walker:
    """One jar, at the server of an issuer."""

    def __init__(
        self, issuer: str, name: str = "admin", password: str = PASSWORD
    ) -> None:
        self.issuer = issuer
        self.given = {"username": name, "password": password}
        self.cookies: dict[str, str] = {}
        self.shown: list[str] = []

    def walk(self, address: str) -> str:
        """Where the browser leaves the server for, with each page's form sent once.

        `shown` are the paths of the pages on the way.
        """
        self.shown = []
        answer = self._get(address)
        for _ in range(_STEPS):
            if answer.has_redirect_location:
                there = urljoin(str(answer.url), answer.headers["location"])
                if not there.startswith(self.issuer):
                    return there
                answer = self._get(there)
            else:
                answer = self._fill_in(answer)
        raise AssertionError(self.shown)

    def sign_out(self) -> None:
        """At the server's own page, which asks for it."""
        answer = self._get(f"{self.issuer}/oauth/logout")
        for _ in range(_STEPS):
            if answer.url.path.endswith("/signed-out"):
                return
            if answer.has_redirect_location:
                there = urljoin(str(answer.url), answer.headers["location"])
                answer = self._get(there)
            else:
                answer = self._fill_in(answer)
        raise AssertionError(str(answer.url))

    def _fill_in(self, answer: httpx2.Response) -> httpx2.Response:
        assert answer.status_code == 200, answer.text
        self.shown.append(urlsplit(str(answer.url)).path)
        form = next(iter(parsed(answer.text).iter("form")))
        fields = {
            one.get("name", ""): one.get("value", "") for one in form.iter("input")
        }
        buttons = [one for one in form.iter("button") if one.get("name")]
        fields |= {one.get("name", ""): one.get("value", "") for one in buttons[:1]}
        fields |= {name: text for name, text in self.given.items() if name in fields}
        there = urljoin(str(answer.url), form.get("action") or str(answer.url))
        return self._send("POST", there, data=fields, headers=_SAME)

    def _get(self, address: str) -> httpx2.Response:
        return self._send("GET", address)

    def _send(self, method: str, address: str, **sent: Any) -> httpx2.Response:
        held = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**sent.pop("headers", {}), "Cookie": held}
        with httpx2.Client() as http:
            answer = http.request(method, address, headers=headers, **sent)
        for one in answer.headers.get_list("set-cookie"):
            name, _, value = one.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer
