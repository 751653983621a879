"""The client of a request: how it authenticates, and the key that it proves to have."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_plus

from starlette.requests import Request

from watchword.clients.rules import FIRST_PARTY, GrantType
from watchword.errors import (
    InvalidClient,
    InvalidProof,
    InvalidRequest,
    UnauthorizedClient,
)
from watchword.ports.clients import Client
from watchword.server.parsing import (
    Form,
    client_address,
    engine_of,
    headers_by_name,
    one_header,
)
from watchword.sign_in.continuation import Binding
from watchword.tokens.dpop import Signed
from watchword.tokens.headers import proof_in, url_of


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
    """The client of a call of the session's own endpoints.

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
    """The request's DPoP proof, if any came. The caller still has to settle it.

    Raises NonceNeeded; InvalidProof, also if this client must send a proof and did not.
    """
    fields = headers_by_name(request)
    proof = None
    if fields is None or b"dpop" in fields:
        proof = proof_in(request.scope["headers"])
    if proof is None:
        if client.dpop:
            raise InvalidProof("This client must send a DPoP proof.")
        return None
    engine = engine_of(request)
    request.scope["nonces"] = engine.proofs.nonces
    url = url_of(engine.issuer, request.scope["path"])
    return engine.proofs.read(proof, method=request.scope["method"], url=url)


async def key_proved_for(request: Request, client: Client) -> str | None:
    """Use up the request's proof, and return the thumbprint of its key.

    None if there is no proof. Raises InvalidProof, NonceNeeded.
    """
    proof = proof_of(request, client)
    if proof is None:
        return None
    await engine_of(request).proofs.settle_one(proof)
    return proof.key.kid


def key_shown_by(request: Request, client: Client) -> str:
    """The thumbprint of the key that has signed the request's proof; "" without one.

    Nothing is written: the proof may come again. Raises InvalidProof, NonceNeeded.
    """
    is_there = one_header(request, b"dpop") is not None
    proof = proof_of(request, client) if is_there else None
    if proof is None:
        return ""
    engine_of(request).proofs.verify(proof)
    return proof.key.kid


def binding_of(client: Client, proof: Signed | None, browser: str = "") -> Binding:
    """What the continuation of a sign-in is bound to: this client, its key, a browser.

    `browser` is the value of the cookie `__Host-watchword-continuation`.
    """
    jkt = "" if proof is None else proof.key.kid
    return Binding.of_client(client, jkt=jkt, browser=browser)


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
