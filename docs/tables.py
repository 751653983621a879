"""The tables of settings, errors and commands, and the tree of errors, as text.

The values are those of the program, the words those of its own descriptions.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import click
import yaml

from watchword import errors
from watchword.cli import main
from watchword.config import ENV_PREFIX, Settings
from watchword.config.effective import as_written
from watchword.errors import WatchwordError
from watchword.metrics.catalog import PREFIX, Counter, Gauge, Histogram
from watchword.server import problems
from watchword.server.endpoints import ENDPOINTS
from watchword.server.operation import ADMIN_BASE, BASE

ALERTS: Final = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yml"
_COMPUTED: Final = {
    "issuer": "the address served",
    "mail_url": "`outbox:` where the issuer is loopback, else none",
    "mail_from": "`no-reply@` the issuer's host",
    "service_name": "the issuer's host",
    "links": "the issuer",
}
"""Defaults that depend on other settings."""


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; a bar in a cell would end it."""
    columns = head.split(" | ")
    lines = [columns, ["---"] * len(columns)]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _listed(some: Iterable[str], every: Iterable[str]) -> str:
    """Names in the order of `every`; where most are meant, those that are not."""
    meant, order = set(some), list(every)
    rest = [f"`{one}`" for one in order if one not in meant]
    if len(rest) * 3 > len(order):
        return ", ".join(f"`{one}`" for one in order if one in meant)
    return f"all but {', '.join(rest)}" if rest else "all"


def settings() -> str:
    """Each variable, its default, and what it must be."""
    rows = []
    for name, field in Settings.model_fields.items():
        must = str(field.description)
        rows.append((f"`{ENV_PREFIX}{name.upper()}`", _default(name), must))
    return _table("variable | default | must be", rows)


def _default(name: str) -> str:
    """A default, as an operator would write it."""
    if name in _COMPUTED:
        return _COMPUTED[name]
    value = getattr(Settings() if name == "data" else Settings(data=Path("DATA")), name)
    written = as_written(name, value)
    return "none" if written is None else f"`{written}`"


def metrics() -> str:
    """Every metric of a scrape: its name, labels, kind and meaning."""
    rows = [
        (
            f"`{PREFIX}{one.metric}`",
            " ".join(f"`{label}`" for label in one.labels),
            type(one).__name__.lower(),
            one.text,
        )
        for one in (*Counter, *Gauge, *Histogram)
    ]
    process = f"{PREFIX}process_"
    named = [(name.replace(process, "process_"), *rest) for name, *rest in rows]
    return _table("metric | labels | kind | what it is", named)


def alerts() -> str:
    """The alerts that come with Watchword, and what to do at each."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    rows = []
    for rule in rules:
        said = rule["annotations"]
        page = said["runbook_url"].rpartition("/docs/")[2]
        title = page.removeprefix("runbooks/").removesuffix(".md").replace("-", " ")
        severity = rule["labels"]["severity"]
        name, link = f"`{rule['alert']}`", f"[{title}]({page})"
        rows.append((name, severity, said["summary"], link))
    return _table("alert | severity | when | what to do", rows)


def tree() -> str:
    """The classes of `errors/`, below each other, with their codes."""

    def lines(kind: type[WatchwordError], before: str) -> Iterator[tuple[str, str]]:
        below = [one for one in kind.__subclasses__() if one.__module__ == here]
        for one in below:
            last = one is below[-1]
            yield before + "├└"[last] + f"── {one.__name__}", vars(one).get("code", "")
            yield from lines(one, before + "│ "[last] + "   ")

    here = errors.__name__
    drawn = [(WatchwordError.__name__, ""), *lines(WatchwordError, "")]
    wide = max(len(shown) for shown, _ in drawn)
    return "".join(
        f"    {shown:{wide}}  {code}".rstrip() + "\n" for shown, code in drawn
    )


def codes() -> str:
    """What an answer can say: each code, its status, what it means, and which calls."""
    calls: dict[type[WatchwordError], list[str]] = {
        kind: [] for kind in problems.STATUS
    }
    for one in ENDPOINTS:
        for kind in one.errors:
            calls[kind].append(_call_of(one.path))
    every = dict.fromkeys(_call_of(one.path) for one in ENDPOINTS if one.errors)
    return _table(
        "code | status | meaning | calls",
        (
            (_code(kind), str(status), _meaning(kind), _listed(calls[kind], every))
            for status, kind in _by_status()
            if kind is problems.Internal or status != problems.STATUS[problems.Internal]
        ),
    )


def codes_apart() -> str:
    """Those that no answer says: what clients and operators meet."""
    return _table(
        "code | meaning",
        (
            (_code(kind), _meaning(kind))
            for status, kind in _by_status()
            if kind is not problems.Internal
            and status == problems.STATUS[problems.Internal]
        ),
    )


def codes_of_oauth() -> str:
    """What the OAuth endpoints say instead of each code."""
    kinds = {kind for _, kind in _by_status() if kind.__module__ == problems.__name__}
    for one in ENDPOINTS:
        kinds.update(
            one.errors if one.error_format is problems.ErrorFormat.OAUTH else ()
        )
    said = sorted((*problems.oauth_status(kind), kind.code) for kind in kinds)
    return _table(
        "status | `error` | instead of",
        (
            (str(status), f"`{error}`", ", ".join(f"`{code}`" for *_, code in those))
            for (status, error), those in groupby(said, lambda one: one[:2])
        ),
    )


def _by_status() -> list[tuple[int, type[WatchwordError]]]:
    rows = ((status, kind) for kind, status in problems.STATUS.items())
    return sorted(rows, key=lambda row: (row[0], row[1].code))


def _call_of(path: str) -> str:
    if path.startswith(ADMIN_BASE):  # one name for the many calls of operators
        return ADMIN_BASE
    return path.removeprefix(f"{BASE}/")


def _code(kind: type[WatchwordError]) -> str:
    return f"[`{kind.code}`](troubleshooting.md#{kind.code})"


def _meaning(kind: type[WatchwordError]) -> str:
    paragraph = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")


def nouns() -> str:
    """The commands in short: a row for each noun, and what can be done to it."""
    rows = []
    for name, command in main.commands.items():
        first, *others = getattr(command, "commands", None) or [""]
        names = [f"{name} {first}".rstrip(), *others]
        shown = " · ".join(f"`{one}`" for one in names)
        rows.append((shown, _help(command).partition("\n\n")[0]))
    return _table("command | what it does", rows)


def commands() -> str:
    """Every command with its arguments, and every option with its commands."""
    leaves = dict(_leaves(main, ""))
    options: dict[tuple[str, str], list[str]] = {}
    rows = []
    for name, command in leaves.items():
        taken = [
            str(one.name).upper()
            for one in command.params
            if isinstance(one, click.Argument)
        ]
        rows.append((f"`{' '.join([name, *taken])}`", " ".join(_help(command).split())))
        for one in command.params:
            if isinstance(one, click.Option):
                options.setdefault(_option(one), []).append(name)
    said = (
        (shown, help_of, _listed(names, leaves))
        for (shown, help_of), names in sorted(options.items())
    )
    return "\n".join(
        [
            _table("command | what it does", rows),
            _table("option | what it does | of", said),
        ]
    )


def _leaves(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _leaves(command, f"{before}{name} ")
        else:
            yield before + name, command


def _help(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _option(option: click.Option) -> tuple[str, str]:
    """How it is written, and what it says of itself."""
    shown = " / ".join([*option.opts, *option.secondary_opts])
    if not option.is_flag:
        shown += f" {option.make_metavar(click.Context(main))}"
    return f"`{shown}`", option.help or ""
