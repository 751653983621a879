"""The access token of a request and its proof, from the headers and nothing else.

The URL that the proof must name is made here too, because the header Host has no part
in it. Tokens in the query or in a form are not accepted (RFC 9700 §4.3.2). Nothing here
knows a framework: headers are pairs of bytes, with the names in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote

import msgspec

from watchword.errors import (
    InvalidProof,
    InvalidRequest,
    TokenMissing,
    TokenProofInvalid,
)

Headers = Sequence[tuple[bytes, bytes]]
Scheme = Literal["Bearer", "DPoP"]

_FORMS: Final[dict[Scheme, re.Pattern[bytes]]] = {
    "Bearer": re.compile(rb"bearer +([!-~]+) *\Z", re.IGNORECASE),
    "DPoP": re.compile(rb"dpop +([!-~]+) *\Z", re.IGNORECASE),
}


class PresentedToken(msgspec.Struct, frozen=True):
    """A token, the scheme that it came by, and the DPoP proof, if one came with it."""

    token: str
    scheme: Scheme
    proof: str | None = None

    def __repr__(self) -> str:
        return f"PresentedToken({self.scheme})"


def token_in(headers: Headers) -> PresentedToken:
    """The access token of a request.

    Raises TokenMissing where there is none, InvalidRequest for a header that came twice
    or is malformed (RFC 6750 §3.1), and TokenProofInvalid for two proofs.
    """
    token = credentials_in(headers, "Bearer")
    if token is not None:
        return PresentedToken(token, "Bearer")
    token = credentials_in(headers, "DPoP")
    if token is None:
        raise TokenMissing
    try:
        return PresentedToken(token, "DPoP", proof_in(headers))
    except InvalidProof as error:
        raise TokenProofInvalid(str(error)) from None


def scheme_of(headers: Headers) -> Scheme:
    """The scheme of the challenge that carries the error (RFC 9449 §7.2)."""
    dpop = any(
        name == b"authorization" and value[:4].lower() == b"dpop"
        for name, value in headers
    )
    return "DPoP" if dpop else "Bearer"


def credentials_in(headers: Headers, scheme: Scheme) -> str | None:
    """The token of an `Authorization` header with that scheme; None without one.

    The scheme may be in upper or lower case. Raises InvalidRequest where the header is
    malformed (RFC 6750 §2.1) or came twice.
    """
    value = one_of(headers, b"authorization")
    if value is None or value[: len(scheme)].lower() != scheme.lower().encode():
        return None
    shape = _FORMS[scheme].match(value)
    if shape is None:
        raise InvalidRequest("The Authorization header is malformed.")
    return shape[1].decode("ascii")


def proof_in(headers: Headers) -> str | None:
    """The DPoP proof, if one came. Raises InvalidProof for two (RFC 9449 §4.3)."""
    found = [value for name, value in headers if name == b"dpop"]
    if len(found) > 1:
        raise InvalidProof("The header DPoP came twice.")
    return found[0].decode("latin-1") if found else None


def one_of(headers: Headers, name: bytes) -> bytes | None:
    """The header's value. Raises InvalidRequest where it came twice."""
    found = dict(headers)
    if len(found) != len(headers) and [key for key, _ in headers].count(name) > 1:
        raise InvalidRequest(f"The header {name.decode()} came twice.")
    return found.get(name)


@lru_cache(maxsize=64)
def url_of(issuer: str, path: str) -> str:
    """The URL of `path` under the issuer's own. The Host header is not used.

    A caller chooses the Host header, so a URL must never be made from it.
    """
    return issuer.rstrip("/") + quote(path, safe="/:@!$&'()*+,;=")
