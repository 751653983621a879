"""Settings: what an operator may choose, read once and passed in.

Owns the names (`--port`, `WATCHWORD_PORT`, `port` in the file), their defaults, and
every refusal to start that does not need an open store. A flag wins over an environment
variable, a variable over the file, the file over the default. Durations are whole
seconds. Nothing is read at import, and no fault repeats a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlsplit

from watchword.extras import needs

with needs("watchword[server]"):
    from pydantic import (
        AfterValidator,
        BeforeValidator,
        Field,
        SecretStr,
        ValidationError,
    )
    from pydantic_settings import (
        BaseSettings,
        EnvSettingsSource,
        NoDecode,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
    )

from watchword.config.environment import (
    Given,
    is_from_platform,
    read_config,
    read_text,
    stripped,
    unreadable,
)
from watchword.core import limits
from watchword.core.network import is_loopback
from watchword.errors import SettingsError
from watchword.stores import SESSION_STORES, STORES, url_pattern
from watchword.text import has_control, trimmed, without_line_ends

ENV_PREFIX: Final = "WATCHWORD_"
FILE_VARIABLE: Final = "WATCHWORD_CONFIG"
FILE_NAME: Final = "watchword.toml"
DEFAULT_DATA: Final = Path("watchword-data")

_SHOWN: Final = 60  # characters of a wrong value that a fault repeats
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
# Frameworks that make apps out of web pages. Their web view serves the pages under a
# scheme of its own and sends that as the origin. No other scheme is accepted: a
# mistyped https must not pass for one.
_APP_SCHEMES: Final = ("capacitor", "ionic", "tauri")
_LABEL: Final = "[a-z0-9_-]+"  # of a host; browsers send other letters as xn--


def _seconds(value: object) -> int:
    """`120s`, `2m`, `24h`, `7d`, a bare number or a timedelta, as whole seconds.

    Raises ValueError for anything else.
    """
    if isinstance(value, timedelta):
        seconds, rest = divmod(value, timedelta(seconds=1))
        if rest:
            raise ValueError
        return seconds
    shape = re.fullmatch(r"([0-9]{1,12})([smhd]?)", str(value).strip())
    if shape is None:
        raise ValueError
    return int(shape[1]) * _UNITS[shape[2]]


def _split(value: object) -> object:
    return value.split() if isinstance(value, str) else value


def _split_commas(value: object) -> object:
    return _split(value.replace(",", " ")) if isinstance(value, str) else value


def _strong(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < limits.SERVER_SECRET_MIN:
        raise ValueError
    return secret


def _issuer(value: str) -> str:
    url = urlsplit(value)
    if not (url.scheme == "https" or is_loopback(url.hostname or "")) or url.port == 0:
        raise ValueError
    return value


def _origin(value: str) -> str:
    """The origin, if it is spelt as browsers send it (RFC 6454 §6.2).

    Another spelling would never match, so it raises ValueError.
    """
    url = urlsplit(value)
    if url.port == {"https": 443, "http": 80}.get(url.scheme, 0):
        raise ValueError
    if url.scheme in _APP_SCHEMES:  # the app's own pages, from within its package
        return value
    # Names below `localhost` mean this machine too (RFC 6761 §6.3). Tauri's pages on
    # Windows come from `http://tauri.localhost`.
    local = (url.hostname or "").endswith(".localhost")
    return value if local else _issuer(value)


def _url(value: str) -> str:
    """The URL. Raises ValueError if it cannot be parsed or has a fragment."""
    if urlsplit(value).fragment:
        raise ValueError
    return value


def _scope(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(" ".join(value)) > limits.SCOPE_MAX:
        raise ValueError
    return tuple(dict.fromkeys(value))


def _database_url(value: str) -> str:
    # `:memory:` is SQLite's name for a database that is lost when it is closed.
    if value.startswith("sqlite:") and ("?" in value or value.endswith("/:memory:")):
        raise ValueError
    return _url(value)


Algorithm = Literal["ES256", "EdDSA", "RS256"]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Scope = Annotated[
    tuple[Annotated[str, Field(pattern=f"^{limits.SCOPE_CHARACTERS}$")], ...],
    NoDecode,
    BeforeValidator(_split),
    AfterValidator(_scope),
]
Networks = Annotated[
    tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split_commas)
]
Secret = Annotated[SecretStr, AfterValidator(_strong)]
Secrets = Annotated[tuple[Secret, ...], NoDecode, BeforeValidator(_split)]
Wait = Annotated[
    tuple[Annotated[int, Field(ge=0, le=1)], Annotated[int, Field(ge=0, le=100)]],
    NoDecode,
    BeforeValidator(_split_commas),
]
Origin = Annotated[
    str,
    Field(
        pattern=rf"^(https?|{'|'.join(_APP_SCHEMES)})://({_LABEL}(\.{_LABEL})*\.?|\[[0-9a-f:]+\])(:[1-9][0-9]*)?$"
    ),
    AfterValidator(_origin),
]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split_commas)]
Issuer = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#@\\][^\s?#@\\]*$"), AfterValidator(_issuer)
]


def _lasting(least: str, most: str, default: int) -> Any:  # noqa: ANN401 -- as Field
    """A duration field: bounds as a user writes them, default in milliseconds."""
    words = f"a duration from {least} to {most}, such as 120s, 2m, 24h or 7d"
    low, high = _seconds(least), _seconds(most)
    return Field(default // limits.SECOND, ge=low, le=high, description=words)


def _database_of(given: Mapping[str, Any]) -> str:
    return f"sqlite:///{quote(str(given.get('data', DEFAULT_DATA)))}/watchword.db"


class Settings(BaseSettings):
    """The settings: frozen, and made from the arguments alone.

    `load_settings` reads the environment and the file.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,  # `VAR=` in a compose file means: not given
        extra="forbid",
        frozen=True,
        validate_default=False,
        hide_input_in_errors=True,
    )

    # The descriptions finish the sentence "must be …", in faults and documentation.
    # `repr=False` also keeps a wrong value out of its fault.
    data: Path = Field(DEFAULT_DATA, description="the folder of all state")
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        default_factory=_database_of,
        pattern=url_pattern(STORES),
        description="a URL: sqlite:///relative/file.db, sqlite:////absolute/file.db or "
        "postgresql://user:password@host/name (in a name or password %23 is #, %3F is "
        "?)",
        repr=False,
    )
    database_url_file: Path | None = Field(None, description="a file", repr=False)
    session_store_url: Annotated[str, AfterValidator(_url)] | None = Field(
        None,
        pattern=url_pattern(SESSION_STORES),
        description="a URL: redis://host, rediss://host or redis+cluster://host",
        repr=False,
    )
    session_store_url_file: Path | None = Field(None, description="a file", repr=False)
    session_store_wait: Wait = Field(
        (1, 0),
        description="fsyncs of the master (0 or 1), and of replicas, such as 1,1",
    )
    host: str = Field("127.0.0.1", min_length=1, description="an address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="a number from 0 to 65535")
    workers: int = Field(1, ge=1, le=256, description="a number from 1 to 256")
    tls_cert: Path | None = Field(None, description="a PEM file", repr=False)
    tls_key: Path | None = Field(None, description="a PEM file", repr=False)
    behind_proxy: Networks = Field(
        (),
        min_length=1,
        description="the proxies whose forwarding headers are believed: addresses or "
        "networks such as 10.0.0.0/8, separated by commas or white space",
    )
    issuer: Issuer | None = Field(
        None,
        description="an absolute https URL without query, fragment or user name "
        "(http only on a loopback host)",
    )
    audience: str = Field("api", min_length=1, description="a name")
    first_party_scope: Scope = Field(
        (),
        min_length=1,
        description="scopes separated by white space, such as orders:read profile, of "
        f"visible ASCII without quote or backslash; {limits.SCOPE_MAX} characters in "
        "all",
    )
    cors_origins: Origins = Field(
        (),
        min_length=1,
        description="the origins whose pages may call this server: such as "
        "https://app.example, as browsers send them: in lower case, without path or "
        "usual port, https (http only on a loopback host) or the scheme of an app's "
        f"pages ({', '.join(_APP_SCHEMES)}), separated by commas or white space",
    )
    access_ttl: Seconds = _lasting("1s", "1h", limits.ACCESS_TTL)
    refresh_idle: Seconds = _lasting("1s", "3650d", limits.REFRESH_IDLE)
    refresh_absolute: Seconds = _lasting("1s", "3650d", limits.REFRESH_ABSOLUTE)
    rotation_grace: Seconds = _lasting("0s", "60s", 0)
    retry_window: Seconds = _lasting("0s", "7d", limits.RETRY_WINDOW)
    rewind_limit: int = Field(
        limits.REWIND_LIMIT, ge=0, le=100, description="a number from 0 to 100"
    )
    signing_alg: Algorithm = Field("ES256", description="ES256, EdDSA or RS256")
    secret: Secrets = Field(
        (),
        min_length=1,
        description=f"secrets of at least {limits.SERVER_SECRET_MIN} bytes each, "
        "separated by white space or, in a file of their own, one per line",
        repr=False,
    )
    secret_file: Path | None = Field(None, description="a file", repr=False)
    admin_password: SecretStr | None = Field(
        None, min_length=1, description="at least one character", repr=False
    )
    admin_password_file: Path | None = Field(None, description="a file", repr=False)

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # given by name
        cls, *_: object, init_settings: PydanticBaseSettingsSource, **_unread: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments are a source: pydantic reads nothing by itself.

        `load_settings` merges the sources, so its faults can name the one at fault.
        """
        return (init_settings,)

    @property
    def effective_issuer(self) -> str:
        """The issuer that was given, else the address that is served."""
        if self.issuer is not None:
            return self.issuer
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"


_PASSWORDS: Final = frozenset({"admin_password"})
_LISTS: Final = frozenset(
    {"secret", "behind_proxy", "cors_origins", "first_party_scope"}
)
_PATHS: Final = frozenset({"data", "tls_cert", "tls_key"})


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
    for values, name_of in (
        (file, lambda key: f"{key} (in {path})"),
        (environment, _variable),
        (flags, named),
    ):
        for key, value in values.items():
            if key in Settings.model_fields:
                given[key] = Given(value, name_of(key))
            else:
                names = map(name_of, Settings.model_fields)
                faults.append(_unknown(name_of(key), names))
    return given


def _variable(key: str) -> str:
    return ENV_PREFIX + key.upper()


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")


def _read_secrets(given: dict[str, Given], faults: list[str]) -> None:
    """Add the contents of the files that the `_file` settings name."""
    for key in ("database_url", "session_store_url", "secret", "admin_password"):
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
        given[key] = Given(lines if key == "secret" else text, file.name)


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
    elif entry.value and not value and key in _PATHS:
        faults.append(f"{entry.name} must be {Settings.model_fields[key].description}")
    elif key not in _LISTS and has_control(value):
        faults.append(f"{entry.name} must not contain a control character")
    return entry._replace(value=value)


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

    for short, long in pairwise(("access_ttl", "refresh_idle", "refresh_absolute")):
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
    from_outside = name("database_url") not in ("database_url", _flag("database_url"))
    if settings.database_url == "memory:" and from_outside:
        yield f"{name('database_url')}: memory: forgets all and is for tests alone"


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
