"""The authorization code flow of a client (RFC 6749 §4.1): pure.

A request has a state and a verifier of its own (RFC 7636). An answer counts if it has
that state and names the right issuer (RFC 9207); anything else that reaches the
redirect URI is no answer. The code in it is good once, with the verifier alone.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from watchword.client.answers import DETAIL_MAX, Outcome, content_in
from watchword.client.clock import Random
from watchword.client.session import CodeCall, Request
from watchword.errors import InvalidRequest, WatchwordError


class Wanted(TypedDict, total=False):
    """What a sign-in by browser shall be. What is left out is for the server to say.

    With the scope `offline_access` the session outlives the sign-in of the browser.
    `resource` are the APIs that the tokens are for (RFC 8707). `acr_values` and
    `max_age` (seconds) are as an API's challenge has them (RFC 9470). `login_hint` is a
    name to begin with. `prompt` is `login`, `consent`, `select_account` or `none`.
    """

    scope: Sequence[str]
    resource: Sequence[str]
    acr_values: str | None
    max_age: int | None
    login_hint: str | None
    prompt: str | None


class _Metadata(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str = ""


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that has begun: the user opens `url` in a browser.

    Keep it in memory until the browser is back at `redirect_uri`. It has a secret.
    """

    url: str
    redirect_uri: str
    issuer: str
    client_id: str
    state: str
    verifier: str
    retry_key: str
    key: str | None

    def __repr__(self) -> str:
        return f"AuthorizationRequest(issuer={self.issuer!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What `rich` prints. It would print the verifier otherwise."""
        return [("issuer", self.issuer)]

    def is_answered_by(self, address: str) -> bool:
        """Whether a request to the redirect URI is the answer to this one."""
        state = _parameters(address).get("state", "")
        return hmac.compare_digest(state.encode(), self.state.encode())

    def code_in(self, address: str) -> CodeCall:
        """The call that redeems the code in an answer.

        Raises InvalidRequest where it is no answer to this request, or one of another
        issuer. Raises WatchwordError where the user, or the server, said no.
        """
        if not self.is_answered_by(address):
            raise InvalidRequest("This is no answer to the sign-in that was begun.")
        found = _parameters(address)
        if found.get("iss") != self.issuer:
            raise InvalidRequest(
                f"The answer is not of {self.issuer}: give the address that the server "
                "has for an issuer."
            )
        code = found.get("code")
        if not code:
            text = found.get("error_description", "the browser brought no code")
            raise WatchwordError(f"{found.get('error', 'error')}: {text[:DETAIL_MAX]}")
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
        }
        return CodeCall(fields, self.retry_key)


def new_request(
    endpoint: str,
    issuer: str,
    client_id: str,
    redirect_uri: str,
    random: Random,
    *,
    key: str | None = None,
    jkt: str | None = None,
    **wanted: Unpack[Wanted],
) -> AuthorizationRequest:
    """A new request at that endpoint of the issuer.

    `key` (PEM) is what the session is to be bound to, and `jkt` names it: a code is of
    no use without the key (RFC 9449 §10).
    """
    state, verifier = random.text(), random.text() + random.text()
    digest = hashlib.sha256(verifier.encode()).digest()
    sent = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "dpop_jkt": jkt,
        "scope": " ".join(wanted.get("scope", ())) or None,
        "resource": list(wanted.get("resource", ())),
        "acr_values": wanted.get("acr_values"),
        "max_age": wanted.get("max_age"),
        "login_hint": wanted.get("login_hint"),
        "prompt": wanted.get("prompt"),
    }
    given = {name: value for name, value in sent.items() if value is not None}
    return AuthorizationRequest(
        url=f"{endpoint}?{urlencode(given, doseq=True)}",
        redirect_uri=redirect_uri,
        issuer=issuer,
        client_id=client_id,
        state=state,
        verifier=verifier,
        retry_key=random.text(),
        key=key,
    )


def metadata_of(issuer: str) -> Request:
    """The request for what an issuer says of itself (OpenID Connect Discovery §4)."""
    return Request(f"{issuer}/.well-known/openid-configuration", b"", {}, "GET")


def endpoint_in(answer: Outcome, issuer: str) -> str:
    """Where the users of an issuer sign in, from what it says of itself.

    Raises InvalidRequest where the server has another name for itself: its answer could
    not be told from that of another server (RFC 9207 §2.4). Raises WatchwordError where
    it has no pages, and what it answered otherwise.
    """
    found = content_in(answer, _Metadata)
    if isinstance(found, WatchwordError):
        raise found
    if found.issuer != issuer:
        raise InvalidRequest(
            f"The server at {issuer} is {found.issuer[:DETAIL_MAX]} by its own name: "
            "give that address."
        )
    if not found.authorization_endpoint:
        raise WatchwordError(f"Users do not sign in by browser at {issuer}.")
    return found.authorization_endpoint


def _parameters(address: str) -> dict[str, str]:
    """The parameters in the query of an address; none where one came twice."""
    found = parse_qs(urlsplit(address).query, keep_blank_values=True)
    if any(len(values) > 1 for values in found.values()):
        return {}
    return {name: values[0] for name, values in found.items()}
