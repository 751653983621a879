"""Redirect URIs: which may be registered, and which given one is a registered one.

They are compared as exact strings (RFC 9700 §4.1.3). The one exception is the port of a
loopback address (RFC 8252 §7.3): one pattern on the raw string. Nothing is parsed and
compared in parts, because two parsers may differ on what the host is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl

from watchword.core import limits

LOOPBACK: Final = ("http://127.0.0.1/callback", "http://[::1]/callback")
"""What a native program of ours listens at, on any port."""

# What RFC 3986 §2 allows, without what is never sent to a server (#), and without `*`
# which would be taken for a wildcard.
_CHARACTERS: Final = re.compile(
    r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()+,;=-]|%[0-9A-Fa-f]{2})+"
)
_PORT: Final = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_REST: Final = r"(?P<rest>(?:[/?].*)?)"
_LOOPBACK: Final = re.compile(
    rf"http://(?P<host>127\.0\.0\.1|\[::1\]|localhost){_PORT}{_REST}", re.ASCII
)
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HTTPS: Final = re.compile(
    rf"https://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\]){_PORT}{_REST}",
    re.ASCII,
)
# RFC 8252 §7.1: the reverse of a domain that its maker controls.
_PRIVATE: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+):(?P<rest>/.*)", re.ASCII
)
_WEB: Final = re.compile(r"https?:", re.IGNORECASE)
_DOTS: Final = re.compile(r"/(?:\.|%2e){1,2}(?:[/?]|$)", re.IGNORECASE)
_OURS: Final = frozenset({"code", "state", "iss", "error", "error_description"})
_PORT_MAX: Final = 65_535


def fault_of(uri: str) -> str:
    """Why a client may not have that redirect URI, as a sentence; "" if it may."""
    return next(_faults(uri), "")


def _faults(uri: str) -> Iterator[str]:
    if len(uri) > limits.REDIRECT_URI_MAX:
        yield f"A redirect URI has {limits.REDIRECT_URI_MAX} characters at most."
    if "#" in uri:
        yield "A redirect URI has no fragment (#): browsers do not send it."
    if "*" in uri:
        yield "A redirect URI has no wildcard (*): name each one in full."
    if not _CHARACTERS.fullmatch(uri):
        yield (
            "A redirect URI is written in the characters of RFC 3986: escape others "
            "(%20), and write an international domain in its form xn--."
        )
    match = _match(uri)
    if match is None:
        yield (
            "A redirect URI is https://HOST/PATH without a user name, or "
            "http://127.0.0.1/PATH, http://[::1]/PATH or http://localhost/PATH, or has "
            "a scheme of your own with a dot in it (com.example.app:/PATH)."
        )
    elif _DOTS.search(match["rest"].partition("?")[0]):
        yield "The path of a redirect URI has no segment . or .. in it."
    elif not _OURS.isdisjoint(_query_names(match["rest"])):
        yield f"The query of a redirect URI has none of: {', '.join(sorted(_OURS))}."


def is_registered(given: str, registered: Iterable[str]) -> bool:
    """Whether a request may name this redirect URI."""
    names = tuple(registered)
    if given in names:
        return True
    found = _loopback(given)
    return found is not None and found in map(_loopback, names)


def is_local(uri: str) -> bool:
    """Whether any program on the user's machine can receive what is sent there.

    That is so for loopback addresses and private-use schemes (RFC 8252 §8.6).
    """
    return _loopback(uri) is not None or not _WEB.match(uri)


def source_of(uri: str) -> str:
    """The source expression for the `form-action` of a page that may end there.

    `scheme://host:port`, serialised anew, or `scheme:` of a private-use scheme. A
    policy cannot name an IPv6 address (CSP 3 §2.3.1): for one it is the scheme, too.
    It is "" for what could not be registered.
    """
    match = _match(uri)
    if match is None:
        return ""
    if match.re is _PRIVATE:
        return f"{match['scheme']}:"
    scheme = "https" if match.re is _HTTPS else "http"
    host, port = match["host"].lower(), match["port"]
    if host.startswith("["):
        return f"{scheme}:"
    return f"{scheme}://{host}" + (f":{port}" if port else "")


def shown_as(uri: str) -> str:
    """What a page calls the place that it leads to: the host, or the scheme.

    A host is shown as it is registered: an international one in its form `xn--`, so
    that no letter of another script can stand for one of ours.
    """
    match = _match(uri)
    if match is None:
        return ""
    return match["scheme"] if match.re is _PRIVATE else match["host"].lower()


def _match(uri: str) -> re.Match[str] | None:
    if not _CHARACTERS.fullmatch(uri):
        return None
    for pattern in (_HTTPS, _LOOPBACK, _PRIVATE):
        match = pattern.fullmatch(uri)
        if match is not None:
            has_port = match.re is not _PRIVATE and match["port"]
            return None if has_port and int(match["port"]) > _PORT_MAX else match
    return None


def _loopback(uri: str) -> tuple[str, str] | None:
    """Host and rest of a loopback address: all but its port."""
    match = _match(uri)
    if match is None or match.re is not _LOOPBACK:
        return None
    return match["host"], match["rest"]


def _query_names(rest: str) -> set[str]:
    query = rest.partition("?")[2]
    return {name for name, _ in parse_qsl(query, keep_blank_values=True)}
