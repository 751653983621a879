"""The programs that the pages show do what they say: curl lines, Python, JavaScript."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.terminal import Terminal
from tests.pages import ROOT, blocks_of, clean_environment
from tests.server.live import Live
from tests.strangers.node import NODE
from tests.test_docs_references import commands_in

OAUTH: Final = ROOT / "docs/oauth.md"
BROWSER: Final = ROOT / "docs/browser.md"
DPOP: Final = ROOT / "docs/dpop.md"
PHRASE: Final = "four words make a phrase"
LOGIN: Final = "/api/auth/login"
SECURE: Final = "/api/auth/secure"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that knows ann, and the clients of docs/oauth.md."""
    with Live(tmp_path_factory.mktemp("docs") / "data") as server:
        add = "user", "add", "ann", "--password-stdin"
        Terminal(server.data).run(*add, typed=PHRASE)
        yield server


@pytest.fixture(scope="module")
def secrets(live: Live) -> dict[str, str]:
    """The secrets of the clients that the page adds."""
    added = [words for words, whole in commands_in(OAUTH) if whole and "add" in words]
    made = [Terminal(live.data).json(*words) for words in added]
    known = {one["clientId"]: one["clientSecret"] for one in made}
    assert known.pop("phone-app") is None
    return known


def curl_of(page: Path, place: str, live: Live, **variables: str) -> str:
    """What the curl line prints that asks at that address."""
    (found,) = [
        block.text
        for block in blocks_of(page)
        if block.kind == "sh" and f"example.org{place} " in block.text
        if all(f"${name}" in block.text for name in variables)
    ]
    for host in ("https://login.example.org", "https://app.example.org"):
        found = found.replace(host, live.url)
    done = subprocess.run(
        ["bash", "-eu", "-c", found],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_lines_of_the_oauth_page_work(live: Live, secrets: dict[str, str]) -> None:
    first = json.loads(curl_of(OAUTH, LOGIN, live))
    assert first["scope"] == "orders:read"

    refresh, key = first["refreshToken"], "drawn-for-this-refresh"
    second = json.loads(curl_of(OAUTH, "/oauth/token", live, refresh=refresh, key=key))
    assert set(second) == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "scope",
    }
    requested = {"secret": secrets["orders-api"], "access": second["access_token"]}
    answer = json.loads(curl_of(OAUTH, "/oauth/introspect", live, **requested))
    assert answer["active"] is True
    assert answer["client_id"] == "phone-app"

    curl_of(OAUTH, "/oauth/revoke", live, refresh=second["refresh_token"])
    answer = json.loads(curl_of(OAUTH, "/oauth/introspect", live, **requested))
    assert answer == {"active": False}


def test_a_client_gets_a_token_of_its_own(live: Live, secrets: dict[str, str]) -> None:
    secret = secrets["reports"]
    answer = json.loads(curl_of(OAUTH, "/oauth/token", live, secret=secret))
    assert answer["scope"] == "reports:read"
    assert "refresh_token" not in answer


def test_a_browsers_sign_in_sets_the_cookie_and_shows_no_token(live: Live) -> None:
    head, _, body = curl_of(BROWSER, LOGIN, live).partition("\n\n")
    assert "refreshToken" not in json.loads(body)
    (cookie,) = [line for line in head.splitlines() if "__Host-watchword=" in line]
    for part in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/"):
        assert part in cookie
    assert "domain" not in cookie.lower()


def test_the_script_of_the_browser_page_refreshes_once_for_all(tmp_path: Path) -> None:
    programs = [block.text for block in blocks_of(BROWSER) if block.kind == "js"]
    (script,) = [one for one in programs if "navigator.locks" in one]
    program = tmp_path / "tabs.mjs"
    program.write_text(STAND_INS + script + STORY)
    done = subprocess.run([NODE, program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "statuses": [200, 200, 200, 200],
        "refreshes": 2,
        "end": "signed out",
    }


# The API takes the newest of the tokens t1, t2 ...; the store of the page is none.
STAND_INS: Final = """
let refreshes = 0, expired = 0, out = false, tail = Promise.resolve();
const respond = (status, body) =>
  ({ status, ok: status === 200, json: async () => body });
globalThis.BroadcastChannel = class { postMessage() {} };
Object.defineProperty(globalThis, "navigator", { value: { locks: {
  request: (_, work) => (tail = tail.then(work, work)),
} } });
globalThis.fetch = async (url, { headers }) => {
  await null;
  if (url !== "/api/auth/refresh") {
    const good = !out && headers.Authorization === `Bearer t${refreshes}`;
    return respond(good && refreshes > expired ? 200 : 401);
  }
  if (!headers["X-Requested-With"]) return respond(403);
  if (out) return respond(401);
  refreshes += 1;
  return respond(200, { accessToken: `t${refreshes}` });
};
"""
STORY: Final = """
const statuses = (await Promise.all([call("/a"), call("/b"), call("/c")]))
  .map((answer) => answer.status);
expired = refreshes;
statuses.push((await call("/d")).status);
const seen = refreshes;
out = true;
await call("/e").catch((error) => error);
const end = await call("/f").catch((error) => error.message);
console.log(JSON.stringify({ statuses, refreshes: seen, end }));
"""


def test_the_proof_of_the_dpop_page_is_accepted(live: Live) -> None:
    program, _ = [block.text for block in blocks_of(DPOP) if block.kind == "python"]
    page: dict[str, Any] = {}
    exec(compile(program, str(DPOP), "exec"), page)
    proof = page["proof"]

    url = live.url + LOGIN
    nonce = nonce_of(live, "POST", LOGIN, proof("POST", url, "none yet"))
    fresh = proof("POST", url, nonce)
    tokens = json.loads(curl_of(DPOP, LOGIN, live, proof=fresh))
    assert tokens["tokenType"] == "DPoP"

    access, url = tokens["accessToken"], live.url + SECURE
    first = proof("GET", url, nonce, access)
    nonce = nonce_of(live, "GET", SECURE, first, Authorization=f"DPoP {access}")
    fresh = proof("GET", url, nonce, access)
    answer = json.loads(curl_of(DPOP, SECURE, live, proof=fresh, access=access))
    assert answer["message"] == "API accessed using valid JWT token"


def nonce_of(live: Live, method: str, path: str, proof: str, **headers: str) -> str:
    """What the server answers to a proof without its nonce."""
    body = None
    if path == LOGIN:
        body = {"username": "ann", "password": PHRASE}
    answer = live.call(method, path, body, DPoP=proof, **headers)
    assert answer.code == "use_dpop_nonce"
    return answer.headers["dpop-nonce"]
