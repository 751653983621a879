"""Writes what the pages say that the code says already.

The layers, the public names, and the tables of `tables.py`, each between two marks in
its page. `make docs` runs it, and a test fails where a page is not what it would write.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

from docs import tables
from watchword import errors

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = {
    "watchword": "Watchword",
    "watchword.accounts.registry:Accounts": "Accounts of a running Watchword",
    "watchword.sessions:Sessions": "Sessions of a running Watchword",
    "watchword.sign_in.begin:SignIn": "Signing in, with a running Watchword",
    "watchword.clients.registry:Clients": "OAuth clients of a running Watchword",
    "watchword.webhooks.registry:Webhooks": "Webhooks of a running Watchword",
    "watchword.webhooks": "Webhooks, for their receivers",
    "watchword.verify": "Verify access tokens",
    "watchword.client": "Clients that refresh",
    "watchword.integrations.fastapi": "FastAPI",
    "watchword.integrations.starlette": "Starlette",
    "watchword.integrations.litestar": "Litestar",
    "watchword.integrations.flask": "Flask",
    "watchword.integrations.django": "Django",
    "watchword.integrations.django.drf": "Django REST framework",
    "watchword.testing": "Tests",
    "watchword.testing.plugin": "Fixtures of the pytest plugin",
    "watchword.errors": "Errors",
}
"""The modules of docs/api.md, or names of theirs, and the headings of their parts."""
_WIDTH: Final = 84
_SEE: Final = re.compile(r"See `([\w.]+)`\.?")
_TREE: Final = re.compile(r"^    WatchwordError\n.*?\n\n", re.DOTALL | re.MULTILINE)
_COLUMNS: Final = re.compile(r"^ {4}|\S {2,}\S")
_OF_FIELDS: Final = "Struct", "NamedTuple", "TypedDict"
_HEAD: Final = """# API reference

The public names and their docstrings, written by `make docs`. What is not here may
change without notice. How they are used: [frameworks](frameworks.md),
[the verifier](verifier.md), [clients](client.md), [webhooks](webhooks.md),
[testing](testing.md),
[concepts](concepts.md#in-python).
"""


# The layers


def layers(package: griffe.Module) -> str:
    """The import contract of pyproject.toml, drawn: each layer may use those below."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {one["id"]: one for one in config["tool"]["importlinter"]["contracts"]}
    rows = [layer.split(" | ") for layer in contracts.pop("layers")["layers"]]
    wide = max(len(name) for row in rows for name in row)
    room = _WIDTH - wide - 6
    lines = []
    for row in rows:
        lines.append(f"├─{'─' * wide}─┼─{'─' * room}┤")
        for name in row:
            said = textwrap.wrap(_beginning(package[name]), room - 1)
            lines.append(f"│ {name:{wide}} │ {said[0]:{room}}│")
            lines += [f"│ {'':{wide}} │ {more:{room}}│" for more in said[1:]]
    lines[0] = lines[0].translate(str.maketrans("├┼┤", "┌┬┐"))
    lines.append(f"└─{'─' * wide}─┴─{'─' * room}┘")
    also = "".join(f"* {one['name']}.\n" for one in contracts.values())
    drawing = "\n".join(lines)
    return f"```text\n{drawing}\n```\n\nThe build also proves:\n\n{also}"


def _beginning(module: griffe.Object | griffe.Alias) -> str:
    """The first sentence of a docstring."""
    paragraph = " ".join(_said(module).partition("\n\n")[0].split())
    return re.split(r"(?<=\.) ", paragraph)[0].rstrip(".:")


def _said(thing: griffe.Object | griffe.Alias) -> str:
    return thing.docstring.value if thing.docstring else ""


# The public names


def reference(package: griffe.Module) -> str:
    """docs/api.md: every public name, from its docstring."""
    parts = []
    for place, heading in REFERENCE.items():
        path, _, name = place.partition(":")
        module = package[path.partition(".")[2]] if "." in path else package
        text = f"## {heading}\n\n`{path}`: {_prose(_said(module))}\n"
        names = [name] if name else _exports(module)
        shown = [_name(module, one) for one in names if not one.startswith("_")]
        parts.append("\n".join([text, *shown]))
    return "\n".join([_HEAD, *parts])


def _exports(module: griffe.Object | griffe.Alias) -> list[str]:
    """Its `__all__`; of the plugin, which has none, the fixtures."""
    if module.path == errors.__name__:  # computed there, so not to be read
        return errors.__all__
    return list(map(str, module.exports or module.functions))


def _name(module: griffe.Object | griffe.Alias, name: str) -> str:
    """What a name is, how it is called or made, and what it has."""
    thing = _real(module.members[name])
    shown, members = "", ""
    if isinstance(thing, griffe.Class):
        shown = _class(thing)
        members = "".join(f"\n{one}" for one in _members(thing))
    elif isinstance(thing, griffe.Function) and module.exports:
        shown = _call(thing)
    shown = shown and f"```python\n{shown}\n```\n\n"
    return f"### {name}\n\n{shown}{_prose(_doc(thing))}\n{members}"


def _real(member: griffe.Object | griffe.Alias) -> griffe.Object:
    return member.final_target if isinstance(member, griffe.Alias) else member


def _class(thing: griffe.Class) -> str:
    """How one is made; where it has fields instead, those; of an error, its code."""
    bases = [str(base) for base in thing.bases]
    code = thing.members.get("code")
    if isinstance(code, griffe.Attribute):
        return f"class {thing.name}({bases[0]}):\n    code = {_source(code.value)}"
    if thing.module.path.startswith("watchword.errors.") or "BaseSettings" in bases:
        return f"class {thing.name}({bases[0]})"
    if not any(base.endswith(_OF_FIELDS) for base in bases):
        return _call(thing)
    fields = [
        f"    {one.name}: {_source(one.annotation)}"
        for one in thing.attributes.values()
    ]
    return "\n".join([f"class {thing.name}:", *fields])


def _members(thing: griffe.Class) -> Iterator[str]:
    """The methods and properties that do not begin with an underscore."""
    for name, member in thing.all_members.items():
        target, shown = _real(member), name
        if isinstance(target, griffe.Function) and "classmethod" not in target.labels:
            shown = _call(target, within=_WIDTH * 9)
        elif "property" not in target.labels:
            continue
        if not name.startswith("_"):
            said = textwrap.indent(_prose(_doc(target, thing)), "  ")
            yield f"* **`{shown}`**<br>\n{said}\n"


def _doc(thing: griffe.Object, owner: griffe.Class | None = None) -> str:
    """A docstring; that of a base where there is none, or the one it refers to."""
    said = _said(thing)
    for base in owner.mro() if owner is not None and not said else ():
        if thing.name in base.members:
            said = said or _said(base.members[thing.name])
    found = _SEE.fullmatch(said)
    if found is None:
        return said
    named, _, rest = found[1].partition(".")
    mro = thing.mro() if isinstance(thing, griffe.Class) else []
    bases = {one.name: one for one in mro}
    there = bases.get(named) or thing.module[named]
    target = there[rest] if rest else there
    return _doc(_real(target))


def _prose(docstring: str) -> str:
    """A docstring as Markdown. What is indented, or in columns, is shown as it is."""
    paragraphs: list[str] = []
    for paragraph in inspect.cleandoc(docstring).split("\n\n"):
        if paragraph and all(map(_COLUMNS.search, paragraph.splitlines())):
            paragraphs.append(f"```text\n{textwrap.dedent(paragraph)}\n```")
        else:
            paragraphs.append(" ".join(paragraph.split()).replace("``", "`"))
    return "\n\n".join(paragraphs)


def _call(thing: griffe.Function | griffe.Class, within: int = _WIDTH) -> str:
    """A call as code, on one line, or with each parameter on its own."""
    kind = "class " if thing.is_class else "async " * ("async" in thing.labels)
    given = [one for one in thing.parameters if one.name not in ("self", "cls")]
    returns = thing.returns if isinstance(thing, griffe.Function) else None
    end = "" if returns is None else f" -> {_source(returns)}"
    parameters = list(_parameters(given))
    line = f"{kind}{thing.name}({', '.join(parameters)}){end}"
    if len(line) <= within:
        return line
    inner = "".join(f"    {one},\n" for one in parameters)
    return f"{kind}{thing.name}(\n{inner}){end}"


def _source(expression: str | griffe.Expr | None) -> str:
    """Code, in the quotes that the formatter gives it."""
    return str(expression).replace("'", '"')


def _parameters(given: list[griffe.Parameter]) -> Iterator[str]:
    """As they are written in the source."""
    stars = {"variadic positional": "*", "variadic keyword": "**"}
    starred = False
    for one in given:
        kind = one.kind.value if one.kind is not None else ""
        if (options := _unpacked(one)) is not None:
            yield from [] if starred else ["*"]
            for name, option in options.attributes.items():
                yield f"{name}: {_source(option.annotation)} = ..."
            continue
        if kind == "keyword-only" and not starred:
            yield "*"
        starred = starred or kind in ("keyword-only", "variadic positional")
        typed = "" if one.annotation is None else f": {_source(one.annotation)}"
        plain = one.default is None or kind in stars
        default = "" if plain else f" = {_source(one.default)}"
        yield f"{stars.get(kind, '')}{one.name}{typed}{default}"


def _unpacked(parameter: griffe.Parameter) -> griffe.Object | None:
    """The TypedDict whose keys are the keyword arguments that `**` stands for here."""
    annotation = parameter.annotation
    if not isinstance(annotation, griffe.ExprSubscript):
        return None
    named = annotation.slice
    if str(annotation.left) != "Unpack" or not isinstance(named, griffe.ExprName):
        return None
    found = named.resolved
    return None if found is None else _real(found)


# The pages


def drawn() -> dict[Path, str]:
    """The module of errors with its tree on top, as it should be."""
    source = ROOT / "src/watchword/errors/__init__.py"
    return {source: _TREE.sub(f"{tables.tree()}\n", source.read_text(), count=1)}


def pages() -> dict[Path, str]:
    """The pages with what is made in them, as they should be."""
    package = griffe.load(
        "watchword", search_paths=[ROOT / "src"], resolve_aliases=True
    )
    assert isinstance(package, griffe.Module)  # noqa: S101 - what `load` found
    docs = ROOT / "docs"
    return {
        **drawn(),
        docs / "architecture.md": _filled(
            docs / "architecture.md", layers=layers(package)
        ),
        docs / "api.md": reference(package),
        docs / "settings.md": _filled(docs / "settings.md", settings=tables.settings()),
        docs / "errors.md": _filled(
            docs / "errors.md",
            codes=tables.codes(),
            oauth=tables.codes_of_oauth(),
            apart=tables.codes_apart(),
        ),
        docs / "operate.md": _filled(
            docs / "operate.md", metrics=tables.metrics(), alerts=tables.alerts()
        ),
        docs / "commands.md": _filled(docs / "commands.md", commands=tables.commands()),
        ROOT / "README.md": _filled(ROOT / "README.md", commands=tables.nouns()),
    }


def _filled(page: Path, **parts: str) -> str:
    """A page with those parts between their marks. Raises ValueError without marks."""
    text = page.read_text()
    for name, part in parts.items():
        begun, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, rest = text.split(begun)
        _, after = rest.split(end)
        text = f"{before}{begun}{part}{end}{after}"
    return text


if __name__ == "__main__":
    for make in (drawn, pages):  # the reference shows what was drawn
        for path, text in make().items():
            path.write_text(text)
