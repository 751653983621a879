"""What every refusal looks like, whatever was thrown."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple

_OAUTH: Final = re.compile(r"/oauth/")
_TEXT: Final = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]*")  # RFC 6749 section 5.2
_CHALLENGE: Final = re.compile(
    r'(?:Basic|Bearer|DPoP) realm="watchword"(?:, [a-z_]+="[ !#-\[\]-~]*")*'
    r'(?:, (?:Bearer|DPoP) realm="watchword"(?:, [a-z_]+="[ !#-\[\]-~]*")*)?'
)
# What only an attacker would write, in whichever part of a request.
_THEIRS: Final = ("evil.example", "etc/passwd", "jndi:", "169.254", "__proto__")
_PIECE: Final = re.compile(r"[\w-]{16,}", re.ASCII)
# Long words of ours that may come back though somebody threw them.
_OURS: Final = frozenset(
    {"client_credentials", "token-introspection", "__Host-watchword"}
)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    method: str = "GET"
    path: str = "/"

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """All values of that name, or an empty text."""
        return ", ".join(value for key, value in self.headers if key == name)

    def cookie(self) -> str:
        return self.header("set-cookie").partition("=")[2].partition(";")[0]

    def code(self) -> str:
        """The problem's code or the OAuth error; `active`, `inactive`; or `ok`."""
        try:
            told = self.json()
        except ValueError:
            return "ok" if self.status < 400 else "?"
        if "active" in told:
            return "active" if told["active"] else "inactive"
        return str(told.get("code") or told.get("error") or "ok")

    def verdict(self) -> str:
        return f"{self.status} {self.code()}"


def faults_of(answer: Answer, allowed: Collection[str], thrown: str) -> Iterator[str]:
    """What is wrong with the answer to an attack; `allowed` as in `401 code`."""
    if answer.verdict() not in allowed:
        yield f"{answer.verdict()}, not {' or '.join(sorted(allowed))}"
    if answer.header("cache-control") != "no-store":
        yield "may be stored"
    if answer.header("content-length") not in ("", str(len(answer.body))):
        yield "says a wrong length"
    challenge = answer.header("www-authenticate")
    unauthorized = answer.status == HTTPStatus.UNAUTHORIZED
    if unauthorized and _CHALLENGE.fullmatch(challenge) is None:
        yield f"challenges with {challenge!r}"
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED and not answer.header("allow"):
        yield "405 without Allow"
    if answer.status >= HTTPStatus.BAD_REQUEST and answer.method != "HEAD":
        yield from _shape(answer)
    yield from _echoes(answer, thrown)


def _shape(answer: Answer) -> Iterator[str]:
    oauth = _OAUTH.match(answer.path) is not None and answer.status != 404
    kind = "application/json" if oauth else "application/problem+json"
    if answer.header("content-type") != kind:
        yield f"is {answer.header('content-type')}"
    told = answer.json() if answer.body else {}
    members = ["type", "title", "status", "detail", "code"]
    if oauth:
        members = ["error", "error_description"]
    if list(told) != members:
        yield f"has the members {', '.join(told)}"
    elif oauth and not _TEXT.fullmatch(told["error"] + told["error_description"]):
        yield "describes the error in characters that RFC 6749 does not allow"
    elif not oauth and told["status"] != answer.status:
        yield f"tells of status {told['status']}"


def _echoes(answer: Answer, thrown: str) -> Iterator[str]:
    said = answer.body.decode() + repr(answer.headers)
    for text in (thrown, *_PIECE.findall(thrown[:20_000]), *_THEIRS):
        if len(text) >= 12 and text not in _OURS and text in said:
            yield f"says again: {text[:40]!r}"
            return
