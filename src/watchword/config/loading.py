"""Where the settings come from: flags, the environment, a file and files of secrets.

A flag wins over an environment variable, a variable over the file, the file over the
default. All faults are collected, so that one failed start names each of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from watchword.config.environment import (
    Given,
    is_from_platform,
    read_config,
    read_text,
    stripped,
    unreadable,
)
from watchword.config.settings import (
    APPLICATION,
    DEFAULT_DATA,
    ENV_PREFIX,
    Settings,
)
from watchword.core.network import is_loopback
from watchword.errors import SettingsError
from watchword.mail.url import OUTBOX
from watchword.text import has_control, trimmed, without_line_ends

FILE_VARIABLE: Final = "WATCHWORD_CONFIG"
FILE_NAME: Final = "watchword.toml"
_SHOWN: Final = 60  # characters of a wrong value that a fault repeats
_PASSWORDS: Final = frozenset({"admin_password"})
_FROM_FILES: Final = (
    *("database_url", "session_store_url", "mail_url"),
    *("secret", "admin_password"),
)
_LISTS: Final = frozenset(
    {
        *("secret", "behind_proxy", "cors_origins", "first_party_scope"),
        *("registration_domains", "passkey_origins", "metrics_from"),
    }
)


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def load_settings(
    named: Callable[[str], str] = _flag,
    /,
    **flags: Any,  # noqa: ANN401 -- checked by Settings
) -> Settings:
    """The settings of this process. A flag that is None or empty counts as not given.

    Raises SettingsError with one sentence for each fault. `named` returns the name by
    which these sentences call a flag.
    """
    faults: list[str] = []
    flags = {key: value for key, value in flags.items() if value not in (None, ())}
    given = _gather(flags, named, faults)
    _read_secrets(given, faults)
    given = {key: _cleaned(key, entry, faults) for key, entry in given.items()}
    settings, wrong = _validate(given, faults)
    faults.extend(_conflicts(settings, given, wrong))
    if faults:
        raise SettingsError(faults)
    settings.came_from({key: entry.source for key, entry in given.items()})
    return settings


def _gather(
    flags: dict[str, Any], named: Callable[[str], str], faults: list[str]
) -> dict[str, Given]:
    """The value of each setting, from the source that wins.

    Adds a fault for each unknown name.
    """
    environment = EnvSettingsSource(Settings)()
    if is_from_platform(_variable("port"), str(environment.get("port"))):
        del environment["port"]
    known = [FILE_VARIABLE, *map(_variable, Settings.model_fields)]
    for name, value in sorted(os.environ.items()):
        stray = name.startswith(ENV_PREFIX) and name not in known
        if stray and not is_from_platform(name, value):
            faults.append(_unknown(name, known))
    data = flags.get("data") or environment.get("data") or DEFAULT_DATA
    config = trimmed(os.environ.get(FILE_VARIABLE, ""))
    path = Path(config) if config else Path(trimmed(str(data))) / FILE_NAME
    file = read_config(path, faults, FILE_VARIABLE if config else None)
    if not config and file.pop("data", None):
        faults.append(f"data (in {path}): this file lies in the data folder")
    given: dict[str, Given] = {}
    for values, name_of, source in (
        (file, lambda key: f"{key} (in {path})", path.name),
        (environment, _variable, "environment"),
        (flags, named, None),
    ):
        for key, value in values.items():
            if key in Settings.model_fields:
                name = name_of(key)
                given[key] = Given(value, name, source or _of_flag(name))
            else:
                names = map(name_of, Settings.model_fields)
                faults.append(_unknown(name_of(key), names))
    return given


def _of_flag(name: str) -> str:
    """Where a flag stood. An application has arguments instead."""
    return name if name.startswith("--") else APPLICATION


def _variable(key: str) -> str:
    return ENV_PREFIX + key.upper()


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")


def _read_secrets(given: dict[str, Given], faults: list[str]) -> None:
    """Add the contents of the files that the `_file` settings name."""
    for key in _FROM_FILES:
        if (file := given.get(f"{key}_file")) is None:
            continue
        if key in given:
            faults.append(f"give {given[key].name} or {file.name}, not both")
            continue
        try:
            text = read_text(Path(trimmed(str(file.value))))
        except (OSError, ValueError) as reason:
            faults.append(unreadable(file.name, reason))
            continue
        lines = list(filter(None, map(trimmed, text.splitlines())))
        value = lines if key == "secret" else text
        given[key] = Given(value, file.name, _variable(f"{key}_file"))


def _cleaned(key: str, entry: Given, faults: list[str]) -> Given:
    """The value without invisible characters at its ends.

    Adds a fault for a password with a blank at an end, for a path that is only blank,
    and for a control character.
    """
    strip = without_line_ends if key in _PASSWORDS else trimmed
    value = stripped(entry.value, strip)
    if not isinstance(value, str):
        return entry._replace(value=value)
    # Only a password can have blanks left: they may be meant or not.
    if value != trimmed(value):
        faults.append(f"{entry.name} must not begin or end with a blank")
    elif entry.value and not value and _is_path(key):
        faults.append(f"{entry.name} must be {Settings.model_fields[key].description}")
    elif key not in _LISTS and has_control(value):
        faults.append(f"{entry.name} must not contain a control character")
    return entry._replace(value=value)


def _is_path(key: str) -> bool:
    """Whether the value itself is a path, and not the contents of the file there."""
    kind = Settings.model_fields[key].annotation
    return kind in (Path, Path | None) and not key.endswith("_file")


def _validate(
    given: dict[str, Given], faults: list[str]
) -> tuple[Settings, frozenset[str]]:
    """The settings, with defaults for those that are wrong, and the names of those."""
    values = {key: entry.value for key, entry in given.items()}
    try:
        return Settings(**values), frozenset()
    except ValidationError as refused:
        places = [error["loc"][0] for error in refused.errors(include_url=False)]
    wrong = frozenset(given).intersection(map(str, places))
    for key in sorted(wrong):
        field, value = Settings.model_fields[key], str(values[key])
        # A URL with a user name may have a password in it, and a long value may be a
        # secret: neither is repeated.
        shown = field.repr and "@" not in value and len(value) <= _SHOWN
        was = f", not {value!r}" if shown else ""
        faults.append(f"{given[key].name} must be {field.description}{was}")
    return Settings(**{k: v for k, v in values.items() if k not in wrong}), wrong


def _conflicts(
    settings: Settings, given: Mapping[str, Given], wrong: frozenset[str]
) -> Iterator[str]:
    """Faults of settings that contradict each other, a sentence each."""

    def name(key: str) -> str:
        return given[key].name if key in given else _variable(key)

    for short, long in (
        ("access_ttl", "refresh_idle"),
        ("refresh_idle", "refresh_absolute"),
        ("sign_in_idle", "sign_in_absolute"),
    ):
        less, more = getattr(settings, short), getattr(settings, long)
        if less > more and not wrong & {short, long}:
            yield f"{name(short)} ({less}s) must not exceed {name(long)} ({more}s)"
    for key, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if key in given and other not in given:
            yield f"{name(key)} needs {name(other)} beside it"
        if key in given and key not in wrong:
            try:
                Path(given[key].value).open("rb").close()
            except (OSError, ValueError) as reason:
                yield unreadable(name(key), reason)
    if not is_loopback(settings.host):
        yield from _exposed(f"{name('host')} {settings.host}", given, name)
    yield from _of_admin_listener(settings, given, name, wrong)
    yield from _of_mail(settings, name)
    yield from _of_passkeys(settings, name, wrong)
    from_outside = name("database_url") not in ("database_url", _flag("database_url"))
    if settings.database_url == "memory:" and from_outside:
        yield f"{name('database_url')}: memory: forgets all and is for tests alone"


def _of_admin_listener(
    settings: Settings,
    given: Mapping[str, Given],
    name: Callable[[str], str],
    wrong: frozenset[str],
) -> Iterator[str]:
    """What is wrong with the listener for operators, a sentence each."""
    listener = settings.admin_listen
    if listener is None:
        return
    if not is_loopback(listener.host) and "tls_cert" not in given:
        yield (
            f"{name('admin_listen')} {listener} is not loopback, and plain HTTP would "
            f"be heard: give --tls-cert and --tls-key ({name('tls_cert')}, "
            f"{name('tls_key')}), or an address of this machine alone"
        )
    if listener.port == settings.port and listener.port and "port" not in wrong:
        yield (
            f"{name('admin_listen')} {listener} must have another port than "
            f"{name('port')}, {settings.port}"
        )


def _of_mail(settings: Settings, name: Callable[[str], str]) -> Iterator[str]:
    """What hinders mail, a sentence each."""
    host = urlsplit(settings.effective_issuer).hostname or ""
    if settings.mail_url == OUTBOX and not is_loopback(host):
        yield (
            f"{name('mail_url')}: outbox: sends nothing, and is only for an issuer on "
            f"loopback: {name('issuer')} is {settings.effective_issuer}"
        )
    folder = settings.templates
    if folder is not None and not folder.is_dir():
        yield f"{name('templates')}: there is no folder {folder}"


def _of_passkeys(
    settings: Settings, name: Callable[[str], str], wrong: frozenset[str]
) -> Iterator[str]:
    """What browsers would refuse of passkeys, a sentence each."""
    if not settings.passkeys or wrong & {"issuer", "rp_id"}:
        return
    host = urlsplit(settings.effective_issuer).hostname or ""
    domain = settings.effective_rp_id
    given = settings.rp_id
    if domain is None and (given or settings.passkey_origins):
        key = "rp_id" if given else "passkey_origins"
        yield (
            f"{name(key)}: passkeys are bound to a name, and {name('issuer')} is the "
            f"address {settings.effective_issuer}"
        )
        return
    if given and given != host and not ("." in given and _is_below(host, given)):
        yield (
            f"{name('rp_id')} must be the host of the issuer or a domain above it: "
            f"{name('issuer')} is {settings.effective_issuer}"
        )
        return
    for origin in settings.passkey_origins:
        url = urlsplit(origin)
        is_page = url.scheme in {"https", "http"}
        if not (is_page and _is_below(url.hostname or "", domain or "")):
            yield (
                f"{name('passkey_origins')}: no passkey works at {origin}: it is not "
                f"below {domain}, which passkeys are bound to"
            )


def _is_below(host: str, domain: str) -> bool:
    return f".{host}".endswith(f".{domain}")


def _exposed(
    host: str, given: Mapping[str, Given], name: Callable[[str], str]
) -> Iterator[str]:
    """What a server lacks that other machines can reach, a sentence each."""
    if not given.keys() & {"tls_cert", "tls_key", "behind_proxy"}:
        yield (
            f"{host} is not loopback, and plain HTTP would be heard: give --tls-cert "
            f"and --tls-key ({name('tls_cert')}, {name('tls_key')}) to serve HTTPS, or "
            f"--behind-proxy ({name('behind_proxy')}) with the proxy that does"
        )
    if not given.keys() & {"secret", "secret_file"}:
        yield f"{host} is not loopback: give {name('secret')} or {name('secret_file')}"
    if "issuer" not in given:
        yield f"{host} is not loopback: give {name('issuer')}, the URL that callers use"
