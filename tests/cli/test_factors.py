"""`watchword user`: second factors, as an operator sees and resets them."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from tests.cli.terminal import PASSWORD, Terminal
from watchword.bootstrap import Watchword
from watchword.core.actor import Actor, By
from watchword.core.session import Authenticated, SessionOptions, as_text
from watchword.errors import ConfirmationInvalid
from watchword.ports.credentials import Credential, CredentialKind

USER = By(Actor.USER, "192.0.2.1")
SEVEN = uuid.UUID(int=7)


async def subject_of(watchword: Watchword, name: str) -> bytes:
    if name == "7":
        return SEVEN.bytes
    return (await watchword.accounts.get(name)).id


@pytest.mark.parametrize("name", ["ann", "7"])
def test_an_operator_sees_demands_and_resets_factors(
    name: str, terminal: Terminal
) -> None:
    """Of an account, and of a user of an app's own."""
    terminal.add("ann", "--role", "admin")

    async def add(watchword: Watchword) -> None:
        subject, now = await subject_of(watchword, name), watchword.clock()
        row = Credential(
            id=bytes(16),
            account_id=subject,
            kind=CredentialKind.TOTP,
            created_at=now,
            label="old phone",
        )
        factors = watchword.second_factors.factors
        await factors.add(subject, row, keep_session=None, by=USER)

    async def sign_in(watchword: Watchword) -> None:
        subject = await subject_of(watchword, name)
        proved = Authenticated.by_password(subject, at=watchword.clock())
        for acr in ("aal1", "aal2"):
            await watchword.sessions.start(
                msgspec.structs.replace(proved, acr=acr),
                SessionOptions(client_id="first-party"),
            )

    said = terminal.run("user", "factors", name).stdout
    assert said == f"{name} has no second factor.\n"
    terminal.engine(sign_in)
    assert terminal.json("user", "require-factor", name) == {
        "name": name,
        "required": True,
        "revoked": 1,
    }
    terminal.engine(add)
    found = terminal.json("user", "factors", name)
    (factor,) = found.pop("factors")
    assert (factor["kind"], factor["name"], factor["usedAt"]) == (
        "totp",
        "old phone",
        None,
    )
    assert found == {
        "name": name,
        "subject": as_text(terminal.engine(lambda w: subject_of(w, name))),
        "recoveryCodesLeft": 10,
        "required": True,
    }
    assert terminal.json("user", "factors", found["subject"])["factors"] == [factor]
    said = terminal.run("user", "require-factor", name, "--no").stdout
    assert said == f"For {name} WATCHWORD_SECOND_FACTOR alone says what is needed.\n"
    shown = terminal.run("user", "factors", name).stdout
    assert "old phone" in shown
    assert shown.endswith("\nRecovery codes left: 10\n")
    said = terminal.run("user", "reset-factors", name).stdout
    assert said == f"Removed 1 factor of {name}; all its sessions have ended.\n"
    assert terminal.json("sessions", "list") == []
    assert terminal.json("user", "reset-factors", name)["removed"] == 0
    recorded = terminal.run("audit", "--json").stdout
    assert recorded.count('"authn_factors_reset"') == 2


def test_a_code_to_enrol_with_is_for_one_user(terminal: Terminal) -> None:
    terminal.add("ann")
    made = terminal.json("user", "enrol-code", "ann")
    assert made.keys() == {"name", "code", "expiresAt"}
    shown = terminal.run("user", "enrol-code", str(SEVEN).upper())
    assert shown.stdout.startswith("ww_cf_")

    async def look(watchword: Watchword) -> None:
        enrolment = watchword.second_factors.factors.enrolment
        ann = await subject_of(watchword, "ann")
        assert await enrolment(ann, made["code"])
        assert await enrolment(SEVEN.bytes, shown.stdout.strip())
        with pytest.raises(ConfirmationInvalid):
            await enrolment(SEVEN.bytes, made["code"])

    terminal.engine(look)
    for command in ("factors", "reset-factors", "require-factor", "enrol-code"):
        told = terminal.run("user", command, "ben", code=1).stderr
        assert told == "watchword: there is no account named 'ben'\n"


def test_a_stranger_that_is_called_as_her_subject_is_not_taken_for_her(
    terminal: Terminal,
) -> None:
    terminal.add("ann")
    ann = as_text(terminal.engine(lambda w: subject_of(w, "ann")))
    terminal.add(ann)
    assert terminal.json("user", "factors", ann)["subject"] == ann


def test_a_demand_that_no_mail_can_help_with_is_told(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users without a factor then need a code of the operator."""
    terminal.add("ann")
    monkeypatch.setenv("WATCHWORD_SECOND_FACTOR", "required: ")
    told = terminal.run("check", code=1).stderr
    assert told.startswith("watchword: WATCHWORD_SECOND_FACTOR must be optional, ")
    monkeypatch.setenv("WATCHWORD_SECOND_FACTOR", "required")
    monkeypatch.setenv("WATCHWORD_ISSUER", "https://id.example.org")
    assert "watchword user enrol-code" in terminal.run("check").stderr
    monkeypatch.setenv("WATCHWORD_SECOND_FACTOR", "required:clerk")
    adding = ("user", "add", "--password-stdin")
    clerk = terminal.run(*adding, "bob", "--role", "clerk", typed=f"{PASSWORD}\n")
    assert "watchword user enrol-code" in clerk.stderr
    other = terminal.run(*adding, "carol", typed=f"{PASSWORD}\n")
    assert other.stderr == ""
    assert PASSWORD not in told
