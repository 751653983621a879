"""What the OAuth endpoints share: forms, client authentication, scopes and proofs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request

from watchword.clients.rules import FIRST_PARTY, GrantType
from watchword.core.limits import SCOPE_MAX
from watchword.core.session import RequestedToken
from watchword.errors import (
    InvalidClient,
    InvalidProof,
    InvalidRequest,
    UnauthorizedClient,
)
from watchword.ports.clients import Client
from watchword.server.parsing import (
    client_address,
    engine_of,
    one_header,
    read_body,
    read_proof,
)
from watchword.server.problems import UnsupportedMediaType
from watchword.tokens.dpop import Signed

FORM: Final = "application/x-www-form-urlencoded"
_FIELDS_MAX: Final = 64
_REPEATABLE: Final = "resource"


class Form:
    """The parameters of a request. Empty ones count as omitted (RFC 6749 §3.2)."""

    def __init__(self, fields: Mapping[str, str], resources: tuple[str, ...]) -> None:
        self._fields = fields
        self.resources = resources

    def get(self, name: str) -> str | None:
        """The parameter, if it was given."""
        return self._fields.get(name)

    def need(self, name: str) -> str:
        """The parameter. Raises InvalidRequest where it is missing."""
        value = self._fields.get(name)
        if value is None:
            raise InvalidRequest(f"The parameter {name} is missing.")
        return value

    def requested(self, jkt: str | None) -> RequestedToken:
        """The scope, resources and key that the access token is to be for.

        Raises InvalidRequest, InvalidScope, InvalidTarget.
        """
        return RequestedToken(scope_of(self.get("scope")), self.resources or None, jkt)


def scope_of(text: str | None) -> tuple[str, ...] | None:
    """The scopes of a space-separated list (RFC 6749 §3.3), each once."""
    scopes = tuple(dict.fromkeys(filter(None, (text or "").split(" "))))
    if not scopes:
        return None
    if sum(map(len, scopes)) > SCOPE_MAX:
        raise InvalidRequest("The scope is too long.")
    return scopes


async def read_form(request: Request) -> Form:
    """The form in the body. Unknown parameters are ignored, repeated ones refused.

    Parameters of the query are never read, because queries end up in logs. Raises
    InvalidRequest, UnsupportedMediaType, PayloadTooLarge.
    """
    body = await read_body(request)
    declared = one_header(request, b"content-type") or b""
    if declared.split(b";")[0].strip().lower() != FORM.encode():
        raise UnsupportedMediaType(f"The body must be a form, sent as {FORM}.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), errors="strict", max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise InvalidRequest("The body is not a form in UTF-8.") from None
    fields = {name: value for name, value in pairs if name != _REPEATABLE}
    resources = tuple(value for name, value in pairs if name == _REPEATABLE)
    if len(fields) + len(resources) != len(pairs):
        raise InvalidRequest("A parameter came twice.")
    return Form(fields, tuple(dict.fromkeys(resources)))


async def authenticate_client(request: Request, form: Form) -> Client:
    """The client that sent this request, by its one method of authentication.

    A request must not use two methods (RFC 6749 §2.3). Raises InvalidClient,
    InvalidRequest, Throttled.
    """
    named, secret = form.get("client_id"), form.get("client_secret")
    basic = basic_credentials(request)
    if basic is not None:
        if secret is not None:
            raise InvalidRequest("The client authenticated in two ways.")
        if named not in (None, basic[0]):
            raise InvalidRequest("The client named itself in two ways.")
        named, secret = basic
    if named is None:
        raise InvalidClient("The request names no client: send client_id.")
    return await engine_of(request).client_authentication.authenticate(
        named, secret, address=client_address(request)
    )


async def native_client(request: Request, named: str) -> Client:
    """The client of a call under /api/auth.

    A public client is named by `clientId`; a confidential one authenticates by HTTP
    Basic. Raises InvalidClient, InvalidRequest, UnauthorizedClient, Throttled.
    """
    basic = basic_credentials(request)
    if basic is not None and named not in (basic[0], FIRST_PARTY.id):
        raise InvalidRequest("The client named itself in two ways.")
    name, secret = basic or (named, None)
    client = await engine_of(request).client_authentication.authenticate(
        name, secret, address=client_address(request)
    )
    if GrantType.REFRESH_TOKEN not in client.grants:
        raise UnauthorizedClient
    return client


def proof_of(request: Request, client: Client) -> Signed | None:
    """The request's DPoP proof, as `read_proof` returns it.

    Raises InvalidProof also if this client must send a proof and did not.
    """
    proof = read_proof(request)
    if client.dpop and proof is None:
        raise InvalidProof("This client must send a DPoP proof.")
    return proof


async def key_proved_for(request: Request, client: Client) -> str | None:
    """Use up the request's proof, and return the thumbprint of its key.

    None if there is no proof. Raises InvalidProof, NonceNeeded.
    """
    proof = proof_of(request, client)
    if proof is None:
        return None
    await engine_of(request).proofs.settle_one(proof)
    return proof.key.kid


def basic_credentials(request: Request) -> tuple[str, str | None] | None:
    """Client id and secret of `Authorization: Basic` (RFC 6749 §2.3.1), if it came.

    The client has form-encoded both before it joined them. Raises InvalidClient.
    """
    header = one_header(request, b"authorization") or b""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        # Some clients send an access token with every request: it is ignored here.
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        name, colon, secret = text.partition(":")
        if not colon:
            raise InvalidClient
        # An empty secret counts as none (RFC 6749 §2.3.1): public clients send one.
        return (
            unquote_plus(name, errors="strict"),
            unquote_plus(secret, errors="strict") or None,
        )
    except (binascii.Error, ValueError):
        raise InvalidClient from None
