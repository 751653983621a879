"""An operator's day: accounts, sessions, keys, and what the audit log says of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.terminal import OTHER_PASSWORD, PASSWORD, Terminal
from watchword.bootstrap import Watchword
from watchword.cli import main
from watchword.core.session import SessionOptions, TokenSet
from watchword.errors import InvalidCredentials

DJANGO = "pbkdf2_sha256$1000$saltsaltsalt$8pqAQVplveJ8O3cVlyRbM1jey+bRuWeMAXKAs78gqIE="


def signing_in(
    name: str, user_agent: str = "", password: str = PASSWORD
) -> Callable[[Watchword], Awaitable[TokenSet]]:
    async def work(watchword: Watchword) -> TokenSet:
        return await watchword.sign_in.by_password(
            name,
            password,
            SessionOptions(client_id="first-party"),
            address="192.0.2.7",
            user_agent=user_agent,
        )

    return work


def test_an_account_from_its_making_to_its_end_is_told_in_the_audit_log(
    terminal: Terminal,
) -> None:
    terminal.add("Alice", "--role", "editor")
    assert (
        terminal.json("user", "list")[0].items()
        >= {
            "name": "alice",
            "roles": ["editor"],
            "state": "enabled",
        }.items()
    )
    tokens = terminal.engine(signing_in("alice"))

    assert "alice" in terminal.run("sessions", "list").stdout
    disabled = terminal.run("user", "disable", "ALICE")
    assert disabled.stdout == "Disabled ALICE; ended 1 session.\n"
    assert "disabled" in terminal.run("user", "list").stdout
    with pytest.raises(InvalidCredentials):
        terminal.engine(signing_in("alice"))
    terminal.run("user", "enable", "alice")
    changed = terminal.json(
        "user", "passwd", "alice", "--password-stdin", typed=OTHER_PASSWORD
    )
    assert changed == {"name": "alice", "revoked": 0}
    terminal.engine(signing_in("alice", password=OTHER_PASSWORD))
    assert terminal.json("user", "delete", "alice", "--yes")["revoked"] == 1
    assert terminal.run("user", "list").stdout == "There are no accounts.\n"

    printed = terminal.run("audit").stdout
    events = [
        json.loads(line) for line in terminal.run("audit", "--json").stdout.splitlines()
    ]
    assert [event["type"] for event in events if "key" not in event["type"]] == [
        "user_created",
        "authn_login_success",
        "user_updated",
        "authn_token_revoked",
        "authn_login_fail",
        "user_updated",
        "authn_password_change",
        "authn_login_success",
        "user_updated",
        "authn_token_revoked",
        "user_deleted",
    ]
    assert len(printed.splitlines()) == len(events)
    for secret in (PASSWORD, OTHER_PASSWORD, tokens.access_token, tokens.refresh_token):
        assert secret not in printed + json.dumps(events)
    last = events[-1]["sequence"]
    assert terminal.run("audit", "--after", f"{last}").stdout == ""
    assert terminal.json("audit", "--after", f"{last - 1}")["sequence"] == last


def test_lists_go_on_behind_their_first_page(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (("common", "PAGE"), ("audit", "_PAGE")):
        # By its full name: `watchword.cli.audit` is the command, too.
        monkeypatch.setattr(import_module(f"watchword.cli.{module}"), name, 2)
    hashes = [
        json.dumps({"username": f"u{n}", "passwordHash": DJANGO}) for n in range(5)
    ]
    terminal.add("admin")
    terminal.run("user", "import", "-", typed="\n".join(hashes))
    assert len(terminal.json("user", "list")) == 6
    for _ in range(5):
        terminal.engine(signing_in("admin"))
    assert len(terminal.json("sessions", "list")) == 5
    assert len(terminal.run("audit").stdout.splitlines()) >= 11


def test_sessions_are_listed_without_control_characters(terminal: Terminal) -> None:
    assert CliRunner().invoke(main, ["sessions", "--help"]).exit_code == 0
    terminal.add("alice")
    terminal.add("bob")
    assert terminal.run("sessions", "list").stdout == "There are no sessions.\n"
    terminal.engine(signing_in("alice", "phone\x1b[2J\n\u202eevil"))
    terminal.engine(signing_in("bob"))
    printed = terminal.run("sessions", "list").stdout
    assert "phone\\x1b[2J\\n\\u202eevil" in printed
    assert len(printed.splitlines()) == 3
    (mine,) = terminal.json("sessions", "list", "--user", "alice")
    assert mine["user"] == "alice"
    assert mine["address"] == "192.0.2.7"


def test_sessions_are_revoked_by_id_account_time_or_all(terminal: Terminal) -> None:
    for name in ("alice", "bob"):
        terminal.add(name)
    old = terminal.engine(signing_in("alice"), ago=7200)
    assert old.session.revoked_at is None
    for name in ("alice", "alice", "bob", "bob"):
        terminal.engine(signing_in(name))
    an_hour_ago = datetime.fromtimestamp(datetime.now(UTC).timestamp() - 3600, UTC)
    naive = an_hour_ago.replace(tzinfo=None).isoformat()
    one = terminal.json("sessions", "list", "--user", "bob")[0]["id"]
    for choice, count in (
        (["--before", naive], 1),
        (["--before", an_hour_ago.isoformat()], 0),
        ([one], 1),
        ([one.upper()], 0),
        (["--user", "alice"], 2),
        (["--all"], 1),
    ):
        told = terminal.json("sessions", "revoke", *choice)
        assert told == {"revoked": count}, choice
    assert terminal.run("sessions", "revoke", "--all").stdout == "Ended 0 sessions.\n"


@pytest.mark.parametrize(
    "choice",
    [
        [],
        ["--all", "--user", "alice"],
        ["--before", "yesterday"],
        ["--before", "2026-13-01"],
        ["01234567-89ab-7cde-8f01-23456789abcd", "--all"],
    ],
)
def test_a_revocation_needs_exactly_one_good_choice(
    terminal: Terminal, choice: list[str]
) -> None:
    terminal.add("alice")
    assert "Usage:" in terminal.run("sessions", "revoke", *choice, code=2).stderr


def test_roles_are_shown_replaced_and_taken_away(terminal: Terminal) -> None:
    terminal.add("alice", "--role", "editor")
    for given, roles in (
        ([], ["editor"]),
        (["--role", "a", "--role", "b"], ["a", "b"]),
        ([], ["a", "b"]),
        (["--role", ""], []),
    ):
        told = terminal.json("user", "roles", "alice", *given)
        assert told == {"name": "alice", "roles": roles}


def test_keys_rotate_and_retire_whatever_their_id_begins_with(
    terminal: Terminal,
) -> None:
    async def nothing(_: Watchword) -> None: ...

    terminal.engine(nothing, ago=3600)  # the next key is published long enough
    before = {row["state"]: row["kid"] for row in terminal.json("keys", "list")}
    assert terminal.json("keys", "rotate") == {"active": before["next"]}
    after = {row["state"]: row["kid"] for row in terminal.json("keys", "list")}
    assert after["retired"] == before["active"]
    early = json.loads(terminal.run("keys", "rotate", "--json", code=1).stderr)
    assert early["code"] == "key_not_ready"
    assert terminal.json("keys", "retire", before["active"])
    rows = terminal.json("keys", "list")
    assert [row["use"] for row in rows] == ["access"] * 2
    # No client has needed a key of ID tokens yet.
    of_id_tokens = ("keys", "rotate", "--id-tokens", "RS256", "--json")
    none = json.loads(terminal.run(*of_id_tokens, code=1).stderr)
    assert none["code"] == "not_found"
    for kid in ("-habc", "--abc"):
        refused = terminal.run("keys", "retire", kid, code=1).stderr
        assert refused == f"watchword: no key has the id {kid}\n"


def test_an_import_takes_the_good_lines_and_names_the_others(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.add("admin")
    lines = [
        b"\xef\xbb\xbf"
        + json.dumps(
            {"username": "Dora", "passwordHash": DJANGO, "roles": ["editor"]}
        ).encode(),
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"username": "eve", "passwordHash": "md5$nope"}',
        b'{"username": "eve", "passwordHash": 1}',
        b'{"username": "eve", "passwordHash": "x", "roles": "admin"}',
        json.dumps({"username": "dora", "passwordHash": DJANGO}).encode(),
        json.dumps({"username": "e\x1bve", "passwordHash": DJANGO}).encode(),
        json.dumps({"username": "eve", "passwordHash": DJANGO}).encode(),
    ]
    file = tmp_path / "accounts.jsonl"
    file.write_bytes(b"\n".join(lines))
    told = terminal.json("user", "import", file, code=1)
    assert (told["imported"], told["refused"]) == (2, 8)
    assert [(fault["line"], fault["code"]) for fault in told["faults"]] == [
        (3, "invalid_request"),
        (4, "invalid_request"),
        (5, "invalid_request"),
        (6, "password_rejected"),
        (7, "invalid_request"),
        (8, "invalid_request"),
        (9, "name_taken"),
        (10, "invalid_request"),
    ]
    assert "md5" not in json.dumps(told)
    again = terminal.run("user", "import", "-", typed=lines[0], code=1)
    assert again.stdout == "Imported 0, refused 1.\n"
    assert again.stderr.startswith("watchword: line 1: ")
    imported = terminal.engine(signing_in("dora", password="lètmein"))
    assert imported.session.roles == ("editor",)


def test_an_import_takes_accounts_without_password_and_without_roles(
    terminal: Terminal,
) -> None:
    """Django's mark for no password: there is no sign-in until one is set."""
    terminal.add("admin")
    rows = [
        {"username": "ann", "passwordHash": "!Ns0mCLWfbpAYTQ9hCQmVWkTqWMJJkV4"},
        {"username": "bob", "passwordHash": f"{DJANGO}\n", "roles": None},
    ]
    told = terminal.json("user", "import", "-", typed="\n".join(map(json.dumps, rows)))
    assert told == {"imported": 2, "refused": 0, "faults": []}
    assert [row["roles"] for row in terminal.json("user", "list")] == [
        [],
        [],
        [],
    ]
    for guess in ("!Ns0mCLWfbpAYTQ9hCQmVWkTqWMJJkV4", "!", ""):
        with pytest.raises(InvalidCredentials):
            terminal.engine(signing_in("ann", password=guess))
    terminal.engine(signing_in("bob", password="lètmein"))
    typed = f"{PASSWORD}\n"
    terminal.run("user", "passwd", "ann", "--password-stdin", typed=typed)
    terminal.engine(signing_in("ann"))


def test_an_import_of_many_batches_keeps_the_order_of_its_lines(
    terminal: Terminal,
) -> None:
    """Of two lines with one name the first counts, in one batch or in another."""
    terminal.add("admin")
    names = [f"u{n % 600}" for n in range(1200)]
    rows = [
        {"username": name, "passwordHash": DJANGO, "roles": [f"line{n}"]}
        for n, name in enumerate(names, 1)
    ]
    typed = "\n".join(map(json.dumps, rows))
    told = terminal.json("user", "import", "-", typed=typed, code=1)
    assert (told["imported"], told["refused"]) == (600, 600)
    assert [fault["line"] for fault in told["faults"]] == list(range(601, 1201))
    assert terminal.json("user", "roles", "u0")["roles"] == ["line1"]
    again = [
        *rows[:2],
        {**rows[2], "username": "twin"},
        {**rows[3], "username": "TWIN"},
    ]
    typed = "\n".join(map(json.dumps, again))
    told = terminal.json("user", "import", "-", typed=typed, code=1)
    assert [fault["line"] for fault in told["faults"]] == [1, 2, 4]
    assert terminal.json("user", "roles", "twin")["roles"] == ["line3"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "this is no JSON in UTF-8"),
        ("[]", 'expected {"username": ..., "passwordHash": ...}'),
        ("{}", '"username" and "passwordHash" must be there, and be text'),
        (
            '{"username": "a", "passwordHash": "md5$x"}',
            "the hash is of no known form or too costly to check",
        ),
        (
            '{"username": "a", "passwordHash": "!", "roles": "admin"}',
            '"roles" must be a list of text, or null',
        ),
        (
            '{"username": "admin", "passwordHash": "!"}',
            "An account of that name exists.",
        ),
    ],
)
def test_a_line_that_is_refused_says_why(
    terminal: Terminal, line: str, reason: str
) -> None:
    terminal.add("admin")
    told = terminal.run("user", "import", "-", typed=f"\n{line}", code=1)
    assert told.stderr == f"watchword: line 2: {reason}\n"


def test_an_import_keeps_the_ids_that_users_have(terminal: Terminal) -> None:
    """A subject is a UUID or a number, nobody's yet, and is the `sub` of tokens."""
    terminal.add("zoe")
    own = "3f0c0b9e-9f5e-4a51-8f4e-6d3c3f5f7a10"
    given = [own, 7, own, "seven", -1, True, 1 << 128, [7]]
    lines = [
        json.dumps({"username": f"u{n}", "passwordHash": DJANGO, "subject": subject})
        for n, subject in enumerate(given)
    ]
    told = terminal.json("user", "import", "-", typed="\n".join(lines), code=1)
    assert [(fault["line"], fault["code"]) for fault in told["faults"]] == [
        (3, "name_taken"),
        *((line, "invalid_request") for line in range(4, 9)),
    ]
    subjects = [row["subject"] for row in terminal.json("user", "list")]
    assert subjects[:-1] == [own, "00000000-0000-0000-0000-000000000007"]
