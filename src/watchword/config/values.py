"""The kinds of values that settings have, each with its own check.

What is wrong raises ValueError without a message, because no fault repeats a secret.
The description of a setting says what its value must be.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from watchword.core import limits
from watchword.core.network import is_loopback, parse_address
from watchword.core.scopes import is_reserved
from watchword.errors import EmailInvalid
from watchword.mail.addresses import read_address
from watchword.mail.url import parse_mail_url
from watchword.stores import SESSION_STORES, STORES, url_pattern

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
# Frameworks that make apps out of web pages. Their web view serves the pages under a
# scheme of its own and sends that as the origin. No other scheme is accepted: a
# mistyped https must not pass for one.
APP_SCHEMES: Final = ("capacitor", "ionic", "tauri")
# What a role may be, but for the characters that separate roles here.
_ROLE: Final = re.compile(rf"[!#-+\--\[\]-~]{{1,{limits.ROLE_MAX}}}")
_LABEL: Final = "[a-z0-9_-]+"  # of a host; browsers send other letters as xn--
_LISTEN: Final = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>[0-9]{1,5})",
    re.ASCII,
)
_PORT_MAX: Final = 65535


class ListenAddress(NamedTuple):
    """An address or a name, and a port, that a server listens on."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_seconds(value: object) -> int:
    """`120s`, `2m`, `24h`, `7d`, a bare number or a timedelta, as whole seconds.

    Raises ValueError for anything else.
    """
    if isinstance(value, timedelta):
        whole, rest = divmod(value, timedelta(seconds=1))
        if rest:
            raise ValueError
        return whole
    shape = re.fullmatch(r"([0-9]{1,12})([smhd]?)", str(value).strip())
    if shape is None:
        raise ValueError
    return int(shape[1]) * _UNITS[shape[2]]


def spell_seconds(seconds: int) -> str:
    """A duration in its largest whole unit; one day is 24h."""
    for unit, length, least in (("d", 86400, 2), ("h", 3600, 1), ("m", 60, 1)):
        count, rest = divmod(seconds, length)
        if count >= least and not rest:
            return f"{count}{unit}"
    return f"{seconds}s"


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
    if url.scheme in APP_SCHEMES:  # the app's own pages, from within its package
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
    if len(" ".join(value)) > limits.SCOPE_MAX or any(map(is_reserved, value)):
        raise ValueError
    return tuple(dict.fromkeys(value))


def _database_url(value: str) -> str:
    # `:memory:` is SQLite's name for a database that is lost when it is closed.
    if value.startswith("sqlite:") and ("?" in value or value.endswith("/:memory:")):
        raise ValueError
    return _url(value)


def _mail_url(value: str) -> str:
    parse_mail_url(value)
    return value


def _listen(value: object) -> object:
    """`127.0.0.1:9000`, `[::1]:9000` or `localhost:9000`. Raises ValueError."""
    if not isinstance(value, str):
        return value
    shape = _LISTEN.fullmatch(value)
    if shape is None or int(shape["port"]) > _PORT_MAX:
        raise ValueError
    if shape["v6"] is not None and parse_address(shape["v6"]) is None:
        raise ValueError
    return ListenAddress(shape["v6"] or shape["host"], int(shape["port"]))


def _second_factor(value: str) -> str:
    """The demand in its one spelling, such as `required:admin,staff`."""
    demand, colon, rest = value.partition(":")
    roles = tuple(dict.fromkeys(rest.replace(",", " ").split()))
    if demand not in {"optional", "required"} or (colon and demand == "optional"):
        raise ValueError
    if colon and not (roles and all(map(_ROLE.fullmatch, roles))):
        raise ValueError
    return demand + colon + ",".join(roles)


def _domain(value: str) -> str:
    """The domain of mail addresses in A-labels, as addresses have it."""
    return _sender(f"a@{value}").partition("@")[2]


def _sender(value: str) -> str:
    """The address that mail comes from. Raises ValueError."""
    try:
        return read_address(value, local=True).email
    except EmailInvalid:
        raise ValueError from None


Seconds = Annotated[int, BeforeValidator(parse_seconds)]
Scope = Annotated[
    tuple[Annotated[str, Field(pattern=f"^{limits.SCOPE_CHARACTERS}$")], ...],
    NoDecode,
    BeforeValidator(_split),
    AfterValidator(_scope),
]
Networks = Annotated[
    tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split_commas)
]
Listen = Annotated[ListenAddress, NoDecode, BeforeValidator(_listen)]
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
        pattern=rf"^(https?|{'|'.join(APP_SCHEMES)})://({_LABEL}(\.{_LABEL})*\.?|\[[0-9a-f:]+\])(:[1-9][0-9]*)?$"
    ),
    AfterValidator(_origin),
]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split_commas)]
Issuer = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#@\\][^\s?#@\\]*$"), AfterValidator(_issuer)
]
DatabaseUrl = Annotated[
    str,
    Field(pattern=url_pattern(STORES)),
    AfterValidator(_database_url),
]
SessionStoreUrl = Annotated[
    str,
    Field(pattern=url_pattern(SESSION_STORES)),
    AfterValidator(_url),
]
MailUrl = Annotated[str, AfterValidator(_mail_url)]
SecondFactor = Annotated[str, AfterValidator(_second_factor)]
Sender = Annotated[str, AfterValidator(_sender)]
Domain = Annotated[str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
Domains = Annotated[
    tuple[Annotated[str, AfterValidator(_domain)], ...],
    NoDecode,
    BeforeValidator(_split_commas),
]
