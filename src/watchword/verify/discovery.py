"""Where an issuer publishes its keys and its feed (RFC 8414).

Only the issuer's name has to be known. Does no I/O.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from watchword.core.network import is_loopback
from watchword.tokens import jose

WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"

# Characters shown of an issuer's name that came over the network.
_SHOWN: Final = 200


class Metadata(NamedTuple):
    """The two addresses that a verifier needs. Not every issuer has a feed."""

    jwks: str
    revocations: str | None


def metadata_url(issuer: str) -> str:
    """The address of an issuer's metadata (RFC 8414 §3.1).

    The well-known part goes between host and path.

    Raises ValueError, with a sentence, for what cannot be an issuer's name.
    """
    if not _is_safe(issuer):
        message = "an issuer is an https URL; http is only for this machine itself"
        raise ValueError(message)
    parts = urlsplit(issuer)
    if parts.query or parts.fragment or "?" in issuer or "#" in issuer:
        message = "an issuer has neither query nor fragment (RFC 8414 section 2)"
        raise ValueError(message)
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"


def read_metadata(raw: bytes, issuer: str) -> Metadata:
    """The addresses in an issuer's metadata (RFC 8414 §3.3).

    Raises Malformed, also where the metadata names another issuer.
    """
    document = jose.read_object(raw)
    named = document.get("issuer")
    if named != issuer:
        shown = ascii(named)[:_SHOWN]
        message = (
            f"the metadata there names another issuer: {shown}, and {issuer!r} is what "
            "this verifier was given; one of the two is wrong, there WATCHWORD_ISSUER"
        )
        raise jose.Malformed(message)
    jwks = _address(document, "jwks_uri")
    if jwks is None:
        raise jose.Malformed("the metadata has no jwks_uri")
    return Metadata(jwks, _address(document, "watchword_revocations_endpoint"))


def _address(document: dict[str, Any], name: str) -> str | None:
    url = document.get(name)
    if url is None:
        return None
    if not isinstance(url, str) or not _is_safe(url):
        message = f"{name} is no https URL"
        raise jose.Malformed(message)
    return url


def _is_safe(url: str) -> bool:
    """An absolute https URL without user information, or http on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or not (url.isascii() and url.isprintable()):
        return False
    if " " in url or "\\" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
