"""Where a token may go: origins, and which of them are secure."""

from __future__ import annotations

from ipaddress import ip_address

import httpx2

from watchword.errors import SettingsError
from watchword.text import trimmed


def origin_of(url: httpx2.URL) -> str:
    """The origin of a URL: scheme, host and port (RFC 6454 §4)."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://{url.host}:{port}"


def secure_origin(address: str) -> str:
    """The origin of an address. Raises SettingsError where it is not secure.

    A token never leaves the machine unencrypted.
    """
    try:
        url = httpx2.URL(trimmed(address))
    except (httpx2.InvalidURL, TypeError):
        raise SettingsError(["an address is not a URL"]) from None
    if url.userinfo:  # may have a password in it, so the message does not show it
        raise SettingsError(["the URL of a server has no user name or password"])
    if not url.host or url.query or url.fragment:
        raise SettingsError([f"{address!r} is not the URL of a server"])
    if url.scheme != "https" and not (url.scheme == "http" and _loopback(url.host)):
        fault = f"{address!r}: give an https URL; plain http is for this machine alone"
        raise SettingsError([fault])
    return origin_of(url)


def _loopback(host: str) -> bool:
    # As in `core/network.py`, which is not imported, because the client can be
    # installed alone. It accepts the usual spellings of loopback and refuses unusual
    # ones.
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
