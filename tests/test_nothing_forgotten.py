"""What is added is complete: what a new file needs beside it is there.

CONTRIBUTING.md says for each kind what to touch, and which test fails where one is
forgotten: these, and those that other files have for their own reasons.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Final

import click

from tests.pages import ROOT
from tests.servers.stores import STORES as TESTED
from watchword import cli, integrations, stores
from watchword.config import Settings
from watchword.oauth.exchange import CodeExchange
from watchword.server import endpoints
from watchword.server.operation import Operation
from watchword.sign_in.begin import SignIn
from watchword.sign_in.browser import BrowserSignIn

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHARED: Final = {"health", "sql"}
"""Of `stores/`: what is of every store, and what the SQL stores have in common."""
SIDES: Final = ("api", "embedded")
"""A framework has a program for each: an app only verifies, or signs its users in."""


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    for one in iter_modules(package.__path__, f"{package.__name__}."):
        yield import_module(one.name)


def sources_of(folder: str) -> str:
    return "\n".join(file.read_text() for file in Path(ROOT / folder).glob("**/*.py"))


# Endpoints


def test_every_operation_is_routed() -> None:
    found = {
        (one.method, one.path)
        for domain in modules_of(endpoints)
        for module in modules_of(domain)
        for value in vars(module).values()
        # A screen of the console has one or two, in a tuple.
        for one in (value if isinstance(value, tuple) else (value,))
        if isinstance(one, Operation)
    }
    assert found == {(one.method, one.path) for one in endpoints.ENDPOINTS}


def test_every_domain_of_endpoints_is_independent() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (apart,) = [one["modules"] for one in contracts if one["id"] == "endpoints"]
    assert set(apart) == {domain.__name__ for domain in modules_of(endpoints)}


def test_every_path_is_named_in_a_test() -> None:
    text = sources_of("tests/server")
    paths = [one.path for one in endpoints.ENDPOINTS]
    words = {word for path in paths for word in re.findall(r"[\w.-]+", path)}
    assert [word for word in words if not re.search(rf'["/{{]{word}\b', text)] == []


# Settings


def test_every_setting_has_its_words_and_is_read() -> None:
    """`make docs` prints the words; a setting that no code reads does nothing."""
    home = ROOT / "src/watchword/config/settings.py"
    source = home.read_text().partition("@property")[2] + "".join(
        file.read_text()
        for file in (ROOT / "src/watchword").glob("**/*.py")
        if file != home
    )
    fields = Settings.model_fields
    assert [name for name, field in fields.items() if not field.description] == []
    plain = [name for name in fields if not name.endswith("_file")]
    assert [name for name in plain if not re.search(rf"\.{name}\b", source)] == []


# Stores


def test_every_store_is_in_the_table_the_contract_and_the_tests() -> None:
    rows = stores.STORES | stores.SESSION_STORES
    modules = {module for module, _, _ in rows.values()}
    folder = {
        module.__name__
        for module in modules_of(stores)
        if module.__name__.rpartition(".")[2] not in SHARED
    }
    assert folder == modules
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (apart,) = [one["modules"] for one in contracts if one["id"] == "stores"]
    assert set(apart) == modules
    for module in modules:
        name = module.rpartition(".")[2]
        assert any(one.startswith(name) for one in TESTED), name


def test_every_driver_of_a_store_is_an_extra() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (whole,) = extras["all"]
    for _, extra, _ in (stores.STORES | stores.SESSION_STORES).values():
        assert not extra or extra in extras
        assert extra in {"", "sqlite"} or re.search(rf"\b{extra}\b", whole), extra


# Ways to sign in


def test_every_way_in_goes_through_the_front_door() -> None:
    """It counts each try, and its sessions begin where they are looked at again."""
    home = ROOT / "src/watchword"
    ways = {file.stem for file in (home / "sign_in").glob("*.py")}
    uncounted = {
        way
        for way in ways
        if not re.search(
            r"\.(counted|factor)\(", (home / f"sign_in/{way}.py").read_text()
        )
    }
    # `step_up` and `second_step` prove by others, which count, and compare nothing by
    # themselves. The rest proves nothing: it takes what a way in has proved.
    proving = {"second_step", "step_up"}
    assert uncounted == {"__init__", "begin", "browser", "continuation", *proving}
    for way in uncounted:
        assert "hasher" not in (home / f"sign_in/{way}.py").read_text()


BEGINNINGS: Final = {
    # What writes a session of a user, or raises one of a browser: where it is called.
    r"_(sessions|store)\.create\(": ["sessions/__init__.py", "sessions/redeeming.py"],
    r"sessions\.start\(": ["sign_in/begin.py", "testing/login_as.py"],
    r"_redeemer\.create\(": ["oauth/exchange.py"],
    r"\.sign_in_again\(": ["sign_in/browser.py"],
}


def test_no_session_begins_but_behind_the_gate() -> None:
    """The fixtures of `testing` sign in a user of whom nothing is proved."""
    home = ROOT / "src/watchword"
    sources = {
        str(file.relative_to(home)): file.read_text()
        for file in sorted(home.glob("**/*.py"))
        if not file.is_relative_to(home / "testing/store_contract")
    }
    for call, files in BEGINNINGS.items():
        found = [name for name, text in sources.items() if re.search(call, text)]
        assert found == files, call
    for way in (SignIn.begin, BrowserSignIn.begin):
        # First of all: before anything is written, and whatever is asked for.
        waits = waits_of(way)
        assert waits[0].startswith("self._gate.check(authenticated, ")
    for rest in (SignIn.begin, BrowserSignIn._begun):
        assert any("look_again(" in wait for wait in waits_of(rest))
    assert "self.admitted(" in inspect.getsource(SignIn.look_again)
    assert "self._gate.look_again(" in inspect.getsource(SignIn.admitted)


def test_a_code_makes_no_session_but_behind_the_gate_of_its_browser() -> None:
    """The user passed it when the root began, and is looked at twice more."""
    look, _, create, *afterwards = waits_of(CodeExchange._made)
    assert look.startswith("self._looked_at(")
    assert create.startswith("self._redeemer.create(")
    assert set(afterwards) == {"self._settle(redemption, session)"}
    assert waits_of(CodeExchange._settle)[0].startswith("self._looked_at(")
    assert waits_of(CodeExchange._again)[0].startswith("self._looked_at(")
    assert "self._sign_in.admitted(" in inspect.getsource(CodeExchange._looked_at)


def waits_of(function: Callable[..., object]) -> list[str]:
    """What it awaits, in order."""
    (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(parsed, ast.AsyncFunctionDef)
    waits = [node for node in ast.walk(parsed) if isinstance(node, ast.Await)]
    waits.sort(key=lambda node: (node.lineno, node.col_offset))
    return [ast.unparse(node.value) for node in waits]


# Frameworks


def test_every_framework_has_its_programs() -> None:
    made = [
        module.__name__.rpartition(".")[2]
        for module in modules_of(integrations)
        if getattr(vars(module).get("Auth"), "__module__", "") == module.__name__
    ]
    assert made
    for name in made:
        programs = [ROOT / f"examples/{name}_{side}.py" for side in SIDES]
        assert all(program.exists() for program in programs), name


def test_every_integration_has_its_extra_its_place_and_a_program() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (apart,) = [one["modules"] for one in contracts if one["id"] == "frameworks"]
    extras = PROJECT["project"]["optional-dependencies"]
    (whole,) = extras["all"]
    wanted = {
        module.__name__: set(re.findall(r"watchword\[([a-z]+)\]\"", text))
        for module in modules_of(integrations)
        if (text := Path(str(module.__file__)).read_text())
        and 'needs("watchword[' in text
    }
    assert set(apart) == set(wanted)
    for module, asked in wanted.items():
        name = module.rpartition(".")[2]
        assert asked == {name}
        assert name == "starlette" or re.search(rf"\b{name}\b", whole), name
        assert name in extras
        assert list((ROOT / "examples").glob(f"{name}_*.py")), name


# Commands


def commands_of(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from commands_of(command)


def test_every_command_is_added() -> None:
    added = {id(command) for command in commands_of(cli.main)}
    made: dict[int, str] = {
        id(one): f"{module.__name__}.{name}"
        for module in modules_of(cli)
        for name, one in vars(module).items()
        if isinstance(one, click.Command)
    }
    assert [name for place, name in made.items() if place not in added] == []


def test_every_command_is_called_in_a_test() -> None:
    text = sources_of("tests/cli")
    names = [str(command.name) for command in commands_of(cli.main)]
    assert [name for name in names if f'"{name}"' not in text] == []
