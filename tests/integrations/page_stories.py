"""The pages inside an app, told to any client that speaks HTTP."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from tests.integrations.stories import NAME, PASSWORD, bearer, login
from tests.patience import until
from watchword.server.csrf import FIELD

BASE_URL: Final = "https://127.0.0.1"
OWN: Final = "the app's own"
GIVEN: Final = {"registration": "open", "mail_url": "outbox:", "console": "on"}
"""The settings of an app whose users register themselves, and which has a console."""

# What the app is given for `pages`, and below which path they are then; None: nowhere.
PLACES: Final[tuple[tuple[bool | str, str | None], ...]] = (
    (True, ""),
    ("/id", "/id"),
    (False, None),
)


def pages_story(client: Any, place: str | None) -> None:
    """The door opens, its files come, and a mail leads back here; or nothing is there.

    The app has a page `/forgot` of its own, which it had before ours, and
    `/signed-out`, which it got after them: at the root they win.
    """
    for path in ("/forgot", "/signed-out"):
        assert client.get(path).text == OWN
        if place:
            assert client.get(place + path).status_code == 200
    if place is None:
        assert client.get("/sign-in").status_code == 404
        assert client.get("/pages/watchword.css").status_code == 404
        assert client.get("/oauth/authorize").status_code == 404
        assert client.get("/console").status_code == 404
        return
    assert client.get(f"{place}/pages/watchword.css").status_code == 200
    assert client.get(f"{place}/sign-in/").status_code == 404
    refused = client.post(f"{place}/sign-in", data={"username": NAME})
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "text/html; charset=utf-8"

    unknown = client.get(f"{place}/oauth/authorize?client_id=unknown")
    assert unknown.status_code == 400
    assert 'href="../pages/watchword.css"' in unknown.text

    door = client.get(f"{place}/sign-in")
    assert door.status_code == 200
    assert "default-src 'none'" in door.headers["content-security-policy"]
    fields = {FIELD: token_of(door), "username": NAME, "password": PASSWORD}
    inside = client.post(f"{place}/sign-in", data=fields, follow_redirects=False)
    assert (inside.status_code, inside.headers["location"]) == (303, "account")
    # Two cookies at once: no framework may lose one.
    assert len(inside.headers.get_list("set-cookie")) == 2
    assert f"<bdi>{NAME}</bdi>" in client.get(f"{place}/account").text
    operators_story(client, place)

    form = client.get(f"{place}/register")
    fields = {FIELD: token_of(form), "email": "mara@example.org", "password": PASSWORD}
    assert client.post(f"{place}/register", data=fields).status_code == 200
    outbox = Path("outbox")
    until(lambda: list(outbox.glob("*.eml")) != [])
    (message,) = outbox.glob("*.eml")
    assert f"{BASE_URL}{place}/confirm#ww_cf_" in message.read_text()


def operators_story(client: Any, place: str) -> None:
    """The first account is an admin's: by the console, and by calls of each method."""
    assert 'href="console/accounts"' in client.get(f"{place}/console").text
    found = client.get(f"{place}/console/accounts?q={NAME}")
    assert 'href="../pages/watchword.css"' in found.text
    forged = {FIELD: "forged"}
    screen = f"{place}/console/sessions"
    sent = client.post(screen, data=forged, follow_redirects=False)
    assert sent.headers["location"] == "../console/sessions"
    access = bearer(login(client)["accessToken"])
    added = client.post("/api/admin/clients", json={"clientId": "shop"}, headers=access)
    version = {"If-Match": added.headers["etag"], **access}
    one = "/api/admin/clients/shop"
    changed = client.patch(one, json={"name": "Shop"}, headers=version)
    assert changed.json()["name"] == "Shop"
    assert client.patch(one, json={}, headers=version).status_code == 412
    unknown = client.delete("/api/admin/sessions/nonsense", headers=access)
    assert unknown.status_code == 404


def token_of(page: Any) -> str:
    found = re.search(rf'name="{FIELD}" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]
