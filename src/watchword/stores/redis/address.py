"""Where the session store is: the parts of its URL, and connections to its servers.

redis://user:password@host:6379/0?prefix=watchword      one server
redis+cluster://host:6379,host:6379                     a Cluster, by some of its nodes
rediss://…, rediss+cluster://…                          the same with TLS
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from redis import DriverInfo
from redis.asyncio import Connection, SSLConnection

from watchword.errors import SettingsError

PORT: Final = 6379
PREFIX: Final = "watchword"
# Made once: it reads the version of redis-py from the disk, at each connection else.
_DRIVER: Final = DriverInfo()


class Address(msgspec.Struct, frozen=True):
    """The parts of a session store's URL. It has the password, so it is never shown."""

    hosts: tuple[tuple[str, int], ...]
    cluster: bool
    tls: bool
    db: int
    user: str | None
    password: str | None
    prefix: str

    def __repr__(self) -> str:
        return f"<{', '.join(f'{host}:{port}' for host, port in self.hosts)}>"

    def connection(self, host: str, port: int) -> Any:  # noqa: ANN401 - untyped in redis-py
        """A connection to one server, not yet open, without time-outs of its own.

        It speaks RESP2, in which a score is text. Scripts compare that very text.
        """
        return (SSLConnection if self.tls else Connection)(
            host=host,
            port=port,
            db=self.db,
            username=self.user,
            password=self.password,
            protocol=2,
            driver_info=_DRIVER,
            socket_timeout=None,
            socket_connect_timeout=None,
        )


def address_of(url: str) -> Address:
    """The parts of a URL. Raises SettingsError, which never repeats the URL."""
    scheme, netloc, path, query, fragment = urlsplit(url)
    login, _, places = netloc.rpartition("@")
    user, _, password = login.partition(":")
    asked = parse_qs(query, keep_blank_values=True)
    prefix = asked.pop("prefix", [PREFIX])[-1]
    cluster = scheme.endswith("+cluster")
    try:
        hosts = tuple(_host(place) for place in places.split(","))
        db = int(path.strip("/") or 0)
    except ValueError:
        hosts, db = (), 0
    faults = []
    if not hosts or (len(hosts) > 1 and not cluster):
        faults.append("is scheme://host:port/number (several hosts: a Cluster)")
    if cluster and db:
        faults.append("a Cluster has no numbered databases")
    if asked or fragment:
        faults.append(
            "only ?prefix=NAME is known after the number; in a password write %23 for "
            "#, %2F for /, %3F for ?"
        )
    if not re.fullmatch(r"[\w.-]{1,32}", prefix, re.ASCII):
        faults.append("prefix: 1 to 32 letters, digits, dots, hyphens")
    if faults:
        raise SettingsError([f"WATCHWORD_SESSION_STORE_URL: {f}" for f in faults])
    return Address(
        hosts,
        cluster,
        scheme.startswith("rediss"),
        db,
        unquote(user) or None,
        unquote(password) or None,
        prefix,
    )


def _host(place: str) -> tuple[str, int]:
    """Host and port of one place. Raises ValueError."""
    parts = urlsplit(f"//{place}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port or PORT
