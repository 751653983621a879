"""What the pages refer to is there: tests, modules, commands, and programs that run."""

from __future__ import annotations

import ast
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import click
import pytest

from tests.pages import NAMES, ROOT, blocks_of, tables_of, without_blocks
from tests.rows import in_one
from watchword.cli import main
from watchword.core import limits
from watchword.server.serve import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from watchword.server.workers import STOP_SECONDS

STANDARDS: Final = ROOT / "docs/standards.md"
SOURCE: Final = ROOT / "src/watchword"

WORDS: Final = {5 * limits.MINUTE: "five minutes", limits.HOUR: "an hour"}
# What stands for an argument in a command that is shown.
PLACEHOLDERS: Final = {"ID", "KID", "NAME", "COMMAND"}


# docs/standards.md


def test_every_clause_has_one_row() -> None:
    ids = [row[0] for table in tables_of(STANDARDS, "| id |") for row in table]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert all(re.fullmatch(r"[A-Z]{2}-\d\d", name) for name in ids)


def test_every_clause_names_where_it_is_met_and_a_test_of_it() -> None:
    rows = [row for table in tables_of(STANDARDS, "| id |") for row in table]
    assert [row[0] for row in rows if len(row) != 5 or not all(row)] == []
    assert [row[0] for row in rows if "`" not in row[4] and row[4] != "–"] == []


def test_every_module_that_is_named_is_there() -> None:
    cells = [row[3] for table in tables_of(STANDARDS, "| id |") for row in table]
    named = {name for cell in cells for name in re.findall(r"`([\w/]+\.\w+)`", cell)}
    assert named
    assert sorted(name for name in named if not (SOURCE / name).exists()) == []


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests of a file, read and not run."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@cache
def has_case(path: Path, case: str) -> bool:
    """Whether a case is spelled out in a file, or in what it or its scripts import."""
    beside = [*path.parent.glob("*.mjs"), *path.parent.glob("*catalogue.py")]
    return any(f'"{case}"' in file.read_text() for file in (path, *beside))


@in_one("name", NAMES)
def test_every_test_that_is_named_is_there(name: str) -> None:
    found = re.findall(
        r"`(tests/[\w/.]+)(?:::(?:Test\w+::)?(\w+)(?:\[([^]`]+)\])?)?`", text_of(name)
    )
    missing = [
        f"{path}::{test}[{case}]"
        for path, test, case in found
        if not (ROOT / path).exists()
        or (test and test not in names_in(ROOT / path))
        or (case and not has_case(ROOT / path, case))
    ]
    assert missing == []


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


# Numbers

SECONDS: Final = limits.SECOND
NUMBERS: Final = {
    "docs/accounts.md": (
        *(
            f"{burst}, then {limits.HOUR // interval} an hour |"
            for burst, interval in (
                (limits.REGISTER_BURST, limits.REGISTER_INTERVAL),
                (limits.CONFIRM_BURST, limits.CONFIRM_INTERVAL),
                (limits.ASK_BURST, limits.ASK_INTERVAL),
            )
        ),
        f"stranger can cause | {limits.MAIL_ADDRESS_BURST}, then 1 an hour;",
        (
            f"passwords tried | {limits.THROTTLE_NAME_BURST}, then "
            f"{limits.HOUR // limits.THROTTLE_NAME_INTERVAL} an hour |"
        ),
        f"changes by its user | {limits.ACCOUNT_CHANGE_BURST}, then 1 an hour:",
        f"moved away from | {limits.WAYS_BACK_MAX} in seven days |",
        f"told of | {limits.NEW_NETWORK_BURST}, then 1 an hour |",
        f"open registrations | {limits.REGISTRATIONS_PER_ADDRESS}.",
        (
            f"an account has {limits.FACTOR_ACCOUNT_BURST}, then one in "
            f"{limits.FACTOR_ACCOUNT_INTERVAL // SECONDS} seconds, and "
            f"{limits.FACTOR_FAILURES_MAX} without a"
        ),
        (
            f"network has {limits.FACTOR_NETWORK_BURST}, then one in "
            f"{limits.FACTOR_NETWORK_INTERVAL // SECONDS} seconds"
        ),
        f"| registration | {limits.REGISTRATION_LIFE // limits.HOUR} hours |",
        f"| reset | {limits.RESET_LIFE // limits.MINUTE} minutes |",
        f"| new address | {limits.ADDRESS_LIFE // limits.HOUR} hours |",
        f"the old address | {limits.REVERT_LIFE // limits.DAY} days |",
        f"| invitation | {limits.INVITATION_LIFE // limits.DAY} days |",
        f"held for {limits.HELD_FOR // limits.DAY} days",
    ),
    "docs/browser.md": (
        f"a grace of {limits.BROWSER_GRACE // SECONDS} seconds",
        f"for {limits.BROWSER_HOLD_OFF // SECONDS} seconds after a rotation",
    ),
    "docs/concepts.md": (
        f"one cookie | at least {limits.BROWSER_GRACE // SECONDS} seconds",
        f"(dpop.md)) | at least {limits.DPOP_GRACE // SECONDS} seconds",
        f"-send-no-key), {limits.CLIENT_GRACE // SECONDS} seconds by default",
        f"for {limits.BROWSER_HOLD_OFF // SECONDS} seconds after a rotation",
    ),
    "docs/dpop.md": (
        f"`Idempotency-Key` for {limits.DPOP_GRACE // SECONDS} seconds",
        f"about {WORDS[limits.DPOP_NONCE_STEP * limits.DPOP_NONCE_STEPS]}",
        f"off by {WORDS[limits.DPOP_CLOCK]}",
    ),
    "docs/oauth.md": (
        f"a **grace** of {limits.CLIENT_GRACE // SECONDS} seconds",
        f"0s to {limits.GRACE_MAX // SECONDS}s",
    ),
    "docs/running-many.md": (
        f"for {GRACE_SECONDS} seconds at most",
        f"One that hangs is killed after {STOP_SECONDS}",
        f"closes them after {KEEP_ALIVE_SECONDS} seconds",
        f"One that had none for {limits.FEED_STALE // SECONDS} seconds",
        f"{WORDS[limits.FEED_LEEWAY]} more",
        f"published to all {WORDS[limits.JWKS_MAX_AGE]} before",
        f"up to {limits.CLOCK_SKEW // SECONDS} seconds | nothing",
    ),
    "docs/runbooks/compromised-signing-key.md": (
        f"`Cache-Control: max-age={limits.JWKS_MAX_AGE // SECONDS}`",
        f"wait {WORDS[limits.JWKS_MAX_AGE]}",
    ),
    "docs/runbooks/rotate-signing-keys.md": (
        f"every {limits.KEY_ROTATION // limits.DAY} days",
        f"less than {limits.JWKS_MAX_AGE // SECONDS} s ago",
        f"after {WORDS[limits.ACCESS_TTL_MAX]}, the longest life",
    ),
    "docs/standards.md": (
        f"at most {limits.CLIENT_ID_MAX} characters",
        f"{limits.DPOP_RSA_BITS[0]} to {limits.DPOP_RSA_BITS[1]} bits",
        f"add up to {limits.SCOPE_MAX} each",
        f"{limits.RETRY_KEY_MIN} to {limits.RETRY_KEY_MAX} characters",
        f"at most {limits.DPOP_PROOF_MAX // 1024} KiB",
        f"{limits.ACCESS_TOKEN_MAX // 1024} KiB is the most that is verified",
        f"{limits.COOKIE_MAX_AGE // limits.DAY} days at most",
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_of_the_program(name: str) -> None:
    text = " ".join(text_of(name).split())
    assert [words for words in NUMBERS[name] if words not in text] == []


# Commands


def commands_in(page: Path) -> Iterator[tuple[list[str], bool]]:
    """The `watchword` command lines of a page: the arguments, and whether in a block.

    A block shows all that has to be typed; text may name a command without arguments.
    """
    shown = [
        (line.strip(), True)
        for block in blocks_of(page)
        if block.kind in {"console", "sh"}
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    spans = re.findall(r"`([^`\n]+)`", without_blocks(page))
    shown += [(span, False) for span in spans]
    for text, whole in shown:
        found = re.match(r"(?:\w+=(?:\"[^\"]*\"|\S*) )*watchword ((?!\S*/).+)", text)
        if found:
            yield shlex.split(found[1].split("|")[0], comments=True), whole


def assert_parses(words: list[str]) -> None:
    """The command line is one that the program takes. Nothing of it is run."""
    command: click.Command = main
    while words and isinstance(command, click.Group):
        if words[0] in PLACEHOLDERS:
            return
        found = command.commands.get(words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
    if not isinstance(command, click.Group) and "--help" not in words:
        command.make_context(command.name, list(words))


@in_one("name", NAMES)
def test_every_command_that_is_shown_is_one(name: str) -> None:
    for words, whole in commands_in(ROOT / name):
        try:
            assert_parses(words)
        except click.UsageError as error:
            if whole or not isinstance(error, click.MissingParameter):
                pytest.fail(f"{name}: {shlex.join(words)}: {error.format_message()}")


def test_runbooks_have_their_parts() -> None:
    pages = [ROOT / name for name in NAMES if "/runbooks/" in name]
    assert len(pages) >= 6
    for page in pages:
        text = page.read_text()
        for part in ("**When**", "**What users notice**", "is done when"):
            assert part in text, page.name
        assert list(commands_in(page)), page.name
