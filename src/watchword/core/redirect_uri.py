"""Redirect URIs: which may be registered, and which given one is a registered one.

They are compared as exact strings (RFC 9700 §4.1.3). The one exception is the port of a
loopback address (RFC 8252 §7.3): one pattern on the raw string.
"""

from __future__ import annotations

from collections.abc import Iterable


def fault_of(uri: str) -> str:
    """Why a client may not have that redirect URI, as a sentence; "" if it may."""
    raise NotImplementedError


def is_registered(given: str, registered: Iterable[str]) -> bool:
    """Whether a request may name this redirect URI."""
    raise NotImplementedError


def is_local(uri: str) -> bool:
    """Whether any program on the user's machine can receive what is sent there.

    That is so for loopback addresses and private-use schemes (RFC 8252 §8.6).
    """
    raise NotImplementedError


def source_of(uri: str) -> str:
    """The source expression for the `form-action` of a page that may end there.

    `scheme://host:port`, serialised anew, or `scheme:` of a private-use scheme.
    """
    raise NotImplementedError


def shown_as(uri: str) -> str:
    """What a page calls the place that it leads to: the host, or the scheme."""
    raise NotImplementedError
