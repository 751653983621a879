"""`watchword clients`: made, shown, changed; and its secret told once."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from tests.cli.terminal import PASSWORD, Terminal
from watchword.bootstrap import Watchword
from watchword.core.session import SessionOptions
from watchword.errors import InvalidClient


@pytest.fixture
def there(terminal: Terminal) -> Terminal:
    """A store; a command that needs one makes none."""
    terminal.run("clients", "add", "app", code=2)
    terminal.add("alice")
    return terminal


def accepts(terminal: Terminal, name: str, secret: str | None) -> bool:
    async def work(watchword: Watchword) -> bool:
        try:
            await watchword.client_authentication.authenticate(name, secret)
        except InvalidClient:
            return False
        return True

    return terminal.engine(work)


def test_a_client_from_its_making_to_its_end(there: Terminal) -> None:
    made = there.json(
        *("clients", "add", "orders", "--confidential", "--scope", "read"),
        *("--scope", "write", "--audience", "https://orders.example"),
        *("--access-ttl", "5m", "--right", "introspect", "--right", "feed"),
        *("--grant", "client_credentials", "--dpop"),
    )
    assert list(made) == ["clientId", "clientSecret"]
    assert made["clientId"] == "orders"
    assert accepts(there, "orders", made["clientSecret"])
    (row,) = there.json("clients", "list")
    assert row.pop("createdAt").endswith("Z")
    assert row == {
        "clientId": "orders",
        "type": "confidential",
        "state": "enabled",
        "grants": ["client_credentials"],
        "rights": ["introspect", "feed"],
        "scope": ["read", "write"],
        "audience": ["https://orders.example"],
        "accessTtl": "300s",
        "dpop": True,
        "checksDpop": False,
        "grace": "10s",
    }
    there.run("clients", "update", "orders", "--checks-dpop", "--grace", "0s")
    (row,) = there.json("clients", "list")
    assert (row["checksDpop"], row["grace"]) == (True, "0s")
    there.run("clients", "update", "orders", "--no-checks-dpop")
    (row,) = there.json("clients", "list")
    assert (row["checksDpop"], row["grace"]) == (False, "0s")
    changed = there.json("clients", "rotate-secret", "orders")
    assert not accepts(there, "orders", made["clientSecret"])
    assert accepts(there, "orders", changed["clientSecret"])
    assert there.json("clients", "disable", "orders") == {
        "clientId": "orders",
        "revoked": 0,
    }
    assert not accepts(there, "orders", changed["clientSecret"])
    assert "disabled" in there.run("clients", "list").stdout
    told = there.run("clients", "enable", "orders").stdout
    assert told == "Enabled orders.\n"
    assert accepts(there, "orders", changed["clientSecret"])
    audit = there.run("audit").stdout
    for secret in (made["clientSecret"], changed["clientSecret"]):
        assert secret not in audit + there.run("clients", "list").stdout


def test_a_client_that_sends_users_here(there: Terminal) -> None:
    uri, other, after = (
        "https://g.example/cb",
        "http://localhost/cb",
        "https://g.example",
    )
    words = ("clients", "add", "grafana", "--redirect", uri, "--post-logout", after)
    more = ("--pkce", "optional", "--trusted", "--name", "Our Grafana", "--par")
    told = there.run(*words, *more, "--id-token-alg", "ES256").stdout
    # Without PKCE it has to have a secret.
    assert "Made the confidential client grafana." in told
    assert "at the issuer http://127.0.0.1:8000. A server that was started" in told
    shown = there.json("clients", "show", "grafana")
    assert shown["grants"] == ["authorization_code", "refresh_token"]
    assert {name: shown[name] for name in list(shown)[-7:]} == {
        "name": "Our Grafana",
        "redirectUris": [uri],
        "postLogoutRedirectUris": [after],
        "idTokenAlg": "ES256",
        "trusted": True,
        "pkce": "optional",
        "par": True,
    }
    there.run(
        *("clients", "update", "grafana", "--scope", "roles", "--audience", "api"),
    )
    shown = there.json("clients", "show", "grafana")
    assert (shown["scope"], shown["audience"]) == (["roles"], ["api"])
    told = there.run(
        *("clients", "update", "grafana", "--remove-scope", "a"), code=1
    ).stderr
    assert told == "watchword: grafana has no such scope: a\n"
    told = there.run("clients", "add", "grafana", "--redirect", uri, code=1).stderr
    assert "named 'grafana' already: `watchword clients update` changes" in told
    there.run(
        *("clients", "update", "grafana", "--redirect", other, "--no-trusted"),
        *("--remove-scope", "roles", "--remove-audience", "api"),
        *("--remove-redirect", uri, "--remove-post-logout", after, "--no-par"),
        *("--pkce", "required", "--name", "G"),
    )
    shown = there.json("clients", "show", "grafana")
    assert (shown["redirectUris"], shown["postLogoutRedirectUris"]) == ([other], [])
    assert (shown["scope"], shown["audience"]) == ([], [])
    assert (shown["trusted"], shown["pkce"], shown["par"]) == (False, "required", False)
    assert f"redirect uris: {other}\n" in there.run("clients", "show", "grafana").stdout
    ours = there.json("clients", "show", "first-party")
    assert (ours["trusted"], ours["name"]) == (True, "watchword")
    told = there.run("clients", "add", "no-way-back", "--post-logout", after).stdout
    assert "It cannot send users here to sign in: it has no --redirect." in told


def test_a_client_is_added_with_a_grace_and_may_check_dpop(there: Terminal) -> None:
    words = ("--confidential", "--right", "introspect", "--checks-dpop")
    there.run("clients", "add", "orders", *words, "--grace", "1m")
    (row,) = there.json("clients", "list")
    assert (row["checksDpop"], row["grace"]) == (True, "60s")


def test_a_secret_is_printed_once_with_a_line_that_says_so(there: Terminal) -> None:
    for words in (("add", "app", "--confidential"), ("rotate-secret", "app")):
        said, secret = there.run("clients", *words).stdout.splitlines()
        assert "secret, shown only now" in said
        assert accepts(there, "app", secret)
    public = there.run("clients", "add", "web").stdout
    assert public == "Made the public client web.\n"
    assert there.json("clients", "add", "spa")["clientSecret"] is None
    assert accepts(there, "spa", None)


def test_disabling_a_client_ends_its_sessions_and_no_others(there: Terminal) -> None:
    there.run("clients", "add", "phone")

    async def sign_in(watchword: Watchword) -> None:
        for client_id in ("phone", "phone", "first-party"):
            options = SessionOptions(client_id=client_id)
            await watchword.sign_in.by_password("alice", PASSWORD, options)

    there.engine(sign_in)
    told = there.run("clients", "disable", "phone").stdout
    assert told == "Disabled phone; ended 2 sessions.\n"
    assert len(there.json("sessions", "list")) == 1


def test_clients_are_listed_to_the_last_page(
    there: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert there.run("clients", "list").stdout == "There are no clients.\n"
    monkeypatch.setattr(import_module("watchword.cli.common"), "PAGE", 2)
    for name in ("e", "b", "a", "d", "c"):
        there.run("clients", "add", name)
    assert [row["clientId"] for row in there.json("clients", "list")] == [*"abcde"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["add", "a b"], 1, "A client id is"),
        (["add", "web", "--right", "feed"], 1, "public client"),
        (["add", "web", "--access-ttl", "soon"], 2, "--access-ttl"),
        (["add", "web", "--access-ttl", "2h"], 1, "3600 seconds"),
        (["add", "web", "--grace", "soon"], 2, "--grace"),
        (["add", "web", "--grace", "61s"], 1, "60 seconds"),
        (["add", "web", "--checks-dpop"], 1, "right introspect"),
        (["add", "web", "--redirect", "http://web.example/"], 1, "https://HOST/PATH"),
        (["add", "web", "--public", "--pkce", "optional"], 1, "Make it confidential"),
        (["show", "web"], 1, "there is no client named 'web'"),
        (["update", "web"], 2, "--grace"),
        (["update", "web", "--grace", "1s"], 1, "there is no client named 'web'"),
        (["update", "first-party", "--grace", "1s"], 1, "built in"),
        (["rotate-secret", "nobody"], 1, "there is no client named 'nobody'"),
        (["disable", "first-party"], 1, "built in"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    there: Terminal, words: list[str], code: int, says: str
) -> None:
    assert says in there.run("clients", *words, code=code).stderr
    assert there.json("clients", "list") == []


def test_a_right_to_administer_is_given_and_taken(there: Terminal) -> None:
    """It comes with a secret and the grant for tokens of the client's own."""
    there.run("clients", "add", "robot", "--right", "admin:write")
    (row,) = there.json("clients", "list")
    assert (row["type"], row["grants"]) == ("confidential", ["client_credentials"])
    there.run("clients", "add", "app", "--public", "--right", "admin:read", code=1)
    there.run("clients", "add", "app", "--scope", "admin:read", code=1)
    there.run("clients", "add", "web", "--confidential", "--grant", "refresh_token")
    there.run("clients", "update", "web", "--right", "admin:read")
    shown = there.json("clients", "show", "web")
    assert shown["grants"] == ["refresh_token", "client_credentials"]
    there.run("clients", "update", "web", "--remove-right", "admin:read")
    assert there.json("clients", "show", "web")["rights"] == []
    there.run("clients", "update", "web", "--remove-right", "admin:read", code=1)
    lines = there.run("audit", "--json").stdout.splitlines()
    details = [json.loads(line)["detail"] for line in lines]
    rights = [one["rights"] for one in details if "rights" in one]
    assert rights == ["admin:write", "", "admin:read", ""]
