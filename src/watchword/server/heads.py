"""What the head of a request must be before the application sees it (RFC 9112).

llhttp parses requests, and it alone decides where a message ends. It is laxer than the
RFC about the request line, Host and transfer codings. The functions here can only
refuse what llhttp would accept, never accept more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

import httptools

from watchword.server.problems import CODING_UNKNOWN, MALFORMED

Field = tuple[bytes, bytes]

# All bytes of a request that are not its body: request line, fields, trailers, sizes
# and extensions of chunks. RFC 9112 §3 demands at least 8000 octets for the request
# line; proxies send heads of up to 32 KiB.
HEAD_MAX: Final = 64 * 1024

# One blank between the parts, HTTP/1.0 or 1.1, CRLF at the end (RFC 9112 §3). A target
# has no fragment (§3.2), so there is no `#`.
_LINE: Final = re.compile(
    rb"([A-Z][A-Z-]*) ([!\"$->@-~]+)(?:\?([!\"$-~]*))? HTTP/(1\.[01])\r\n"
)
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/]+)(.*)")
# uri-host [":" port] (RFC 9110 §7.2, RFC 3986 §3.2.2); it may be empty.
_HOST: Final = re.compile(
    rb"(?:\[(?:([0-9A-Fa-f:.]+)|v[0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+)\]"
    rb"|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?",
    re.ASCII,
)
_RARE: Final = frozenset({b"expect", b"transfer-encoding"})
_READ: Final = frozenset({b"content-length", b"expect", b"host", b"transfer-encoding"})
# The other codings of IANA's registry. A coding that is in no registry is malformed,
# not unsupported.
_CODINGS: Final = frozenset(
    {b"compress", b"deflate", b"gzip", b"x-compress", b"x-gzip"}
)


class Refused(Exception):
    """The request is refused with the bytes of `answer`, and the connection ends."""

    def __init__(self, answer: bytes, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer


_USUAL: Final = 64  # the longest request line that is cached, in bytes
FIELDS: Final = "watchword.fields"
"""The scope's key for its headers, and the same headers as `by_name` returns them."""

# A request line: method, path and query as they came, version.
RequestLine = tuple[str, bytes, bytes, str]


def request_line(head: bytes) -> RequestLine:
    """The parsed first line of a head. Raises Refused."""
    end = head.find(b"\n", 0, _USUAL) + 1
    # Most lines are the same, byte for byte, as an earlier one: short ones are cached.
    return _usual_line(head[:end]) if end else _line(head)


def _line(head: bytes) -> RequestLine:
    match = _LINE.match(head)
    if match is None:
        raise Refused(MALFORMED, "the request line is malformed")
    method, target, query, version = match.groups()
    if method == b"CONNECT":  # for proxies only (RFC 9112 §3.2.3)
        raise Refused(MALFORMED, "CONNECT is for proxies")
    if target[:1] != b"/" and (method, target) != (b"OPTIONS", b"*"):
        target = _absolute(target)
    return method.decode(), target, query or b"", version.decode()


_usual_line: Final = lru_cache(maxsize=256)(_line)


def _absolute(target: bytes) -> bytes:
    """The path of a target in absolute form (RFC 9112 §3.2.2)."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not _is_host(match[1]):
        raise Refused(MALFORMED, "the request target is malformed")
    return match[2] or b"/"


def by_name(fields: Sequence[Field]) -> dict[bytes, bytes] | None:
    """The fields by name; None if one came twice."""
    known = dict(fields)
    return known if len(known) == len(fields) else None


def body_of(
    version: str, fields: Sequence[Field], known: dict[bytes, bytes] | None
) -> tuple[int | None, bool]:
    """The body's length, and whether the client waits for a 100 before it sends it.

    The length is None for a body in chunks. Raises Refused unless there is one valid
    Host (RFC 9112 §3.2) and no transfer coding but chunked (§6.1). llhttp has checked
    already that lengths are numbers and agree. `known` is what `by_name` returns.
    """
    if known is not None and _RARE.isdisjoint(known) and b"host" in known:
        if not _is_host(known[b"host"]):
            raise Refused(MALFORMED, "Host is malformed")
        return _number(known.get(b"content-length", b"")), False
    return _body_of_rare(version, fields)


def _body_of_rare(version: str, fields: Sequence[Field]) -> tuple[int | None, bool]:
    """The same for any head. Raises Refused."""
    hosts, codings, length, expected = [], [], 0, False
    for name, value in fields:
        if name not in _READ:
            continue
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            length = _number(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        else:  # Expect, which is ignored from clients of HTTP/1.0 (RFC 9110 §10.1.1)
            expected = version == "1.1" and value.lower() == b"100-continue"
    if len(hosts) != 1 and (hosts or version == "1.1"):
        raise Refused(MALFORMED, f"there are {len(hosts)} Host fields")
    if hosts and not _is_host(hosts[0]):
        raise Refused(MALFORMED, "Host is malformed")
    if codings and (version != "1.1" or b",".join(codings).lower() != b"chunked"):
        raise _not_chunked(version, codings)
    return None if codings else length, expected


def _number(length: bytes) -> int:
    # Python does not convert thousands of digits, and llhttp accepts any number of
    # leading zeros.
    return int(b"0" + length.lstrip(b"0"))


def _not_chunked(version: str, codings: list[bytes]) -> Refused:
    *others, last = (c.strip().lower() for c in b",".join(codings).split(b","))
    # A coding that is not understood is a 501 (RFC 9112 §6.1). If chunked is not the
    # last coding, or if a request of HTTP/1.0 has any, the length of the body cannot be
    # known.
    if version == "1.1" and last == b"chunked" and _CODINGS.issuperset(others):
        return Refused(CODING_UNKNOWN, "the transfer coding is not understood")
    return Refused(MALFORMED, "Transfer-Encoding is malformed")


def without_upgrade(head: bytes, fields: Sequence[Field]) -> bytes:
    """The head with these fields, without the Upgrade field."""
    line, end, _ = head.partition(b"\r\n")
    kept = [b"%b: %b\r\n" % field for field in fields if field[0] != b"upgrade"]
    return b"".join([line, end, *kept, end])


@lru_cache(maxsize=64)
def _is_host(value: bytes) -> bool:
    match = _HOST.fullmatch(value)
    if match is None or match[1] is None:
        return match is not None
    try:
        IPv6Address(match[1].decode())
    except ValueError:
        return False
    return True


def verdict_on(error: Exception) -> tuple[bytes, str]:
    """The answer to a request that was refused, and the reason for the log.

    An unexpected error in one of our callbacks is raised again.
    """
    if isinstance(error, httptools.HttpParserCallbackError):
        if not isinstance(error.__context__, Refused):
            raise error
        error = error.__context__
    if isinstance(error, Refused):
        return error.answer, str(error)
    return MALFORMED, f"not HTTP/1.1: {error}"
