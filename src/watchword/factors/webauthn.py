"""WebAuthn level 3: the only module that knows the library.

What the library does not do is done here: sizes and types before anything is parsed, no
ceremony in a frame of another site, attestation only where it proves nothing, keys that
can be used, and a passkey that stays synced or bound to its device.

A fault in what a browser sent is SecondFactorInvalid, whatever it is.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from watchword.core import base64url, limits
from watchword.errors import SecondFactorInvalid
from watchword.factors import cbor

REQUIREMENT: Final = "watchword[passkeys]"
"""What to install for passkeys."""

ALGORITHMS: Final = (-8, -7, -257)
"""EdDSA, ES256 and RS256 (RFC 9053, RFC 8812), the best first."""

_TRANSPORTS: Final = frozenset(
    {"ble", "hybrid", "internal", "nfc", "smart-card", "usb"}
)
_RSA_BITS: Final = range(2048, 4097)

Kind = TypeVar("Kind", bound=msgspec.Struct)


class RelyingParty(msgspec.Struct, frozen=True, kw_only=True):
    """What passkeys are bound to. `origins` are ours, never a request's."""

    id: str
    name: str
    origins: tuple[str, ...]


class NewPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator has made. `public_key` is a COSE key."""

    id: bytes
    public_key: bytes
    transports: tuple[str, ...]
    is_synced: bool
    counter: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator has signed, in bytes; nothing of it is checked yet."""

    id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes | None


def is_installed() -> bool:
    """Whether the library is there."""
    return find_spec("webauthn") is not None


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.PASSKEY_ID_MAX)]
_Field = Annotated[str, msgspec.Meta(max_length=limits.PASSKEY_FIELD_MAX)]

_Handle = Annotated[
    str, msgspec.Meta(min_length=1, max_length=limits.PASSKEY_HANDLE_MAX)
]
_Transport = Annotated[str, msgspec.Meta(max_length=32)]


class _Attestation(msgspec.Struct, frozen=True, rename="camel"):
    client_data: _Field = msgspec.field(name="clientDataJSON")
    attestation_object: _Field
    transports: Annotated[list[_Transport], msgspec.Meta(max_length=16)] = []


class _Assertion(msgspec.Struct, frozen=True, rename="camel"):
    client_data: _Field = msgspec.field(name="clientDataJSON")
    authenticator_data: _Field
    signature: _Field
    user_handle: _Handle | None = None


class _Credential(msgspec.Struct, frozen=True, rename="camel"):
    id: _Id
    raw_id: _Id
    type: Literal["public-key"]


class _Made(_Credential, frozen=True, rename="camel"):
    response: _Attestation


class _Signed(_Credential, frozen=True, rename="camel"):
    response: _Assertion


class _ClientData(msgspec.Struct, frozen=True, rename="camel"):
    """What the browser says of the page (§5.8.1). The library reads the rest."""

    cross_origin: bool = False
    top_origin: Any = msgspec.UNSET


def creation_options(
    party: RelyingParty,
    *,
    challenge: bytes,
    handle: bytes,
    name: str,
    exclude: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """What `PublicKeyCredential.parseCreationOptionsFromJSON` takes."""
    return {
        "rp": {"id": party.id, "name": party.name},
        "user": {"id": _text(handle), "name": name, "displayName": name},
        "challenge": _text(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in ALGORITHMS],
        "timeout": limits.CONTINUATION_LIFE,
        "excludeCredentials": list(exclude),
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(
    party: RelyingParty, *, challenge: bytes, allow: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What `PublicKeyCredential.parseRequestOptionsFromJSON` takes."""
    return {
        "rpId": party.id,
        "challenge": _text(challenge),
        "timeout": limits.CONTINUATION_LIFE,
        "allowCredentials": list(allow),
        "userVerification": "required",
    }


def descriptor(passkey: bytes, transports: Sequence[str]) -> dict[str, Any]:
    """How options name a passkey."""
    hint = {"transports": list(transports)} if transports else {}
    return {"type": "public-key", "id": _text(passkey), **hint}


def check_new(
    credential: dict[str, Any], challenge: bytes, party: RelyingParty
) -> NewPasskey:
    """The passkey that `navigator.credentials.create()` has made.

    Raises SecondFactorInvalid.
    """
    made = _read(credential, _Made)
    response = made.response
    client_data = _client_data(response.client_data)
    attestation = _bytes(response.attestation_object)
    with _refused():
        # The library takes a third of a second to load, with the first passkey.
        from webauthn import verify_registration_response  # noqa: PLC0415
        from webauthn.helpers.cose import COSEAlgorithmIdentifier  # noqa: PLC0415
        from webauthn.helpers.structs import (  # noqa: PLC0415
            AuthenticatorAttestationResponse,
            RegistrationCredential,
        )

        _check_attestation(attestation)
        verified = verify_registration_response(
            credential=RegistrationCredential(
                id=made.id,
                raw_id=_bytes(made.raw_id),
                response=AuthenticatorAttestationResponse(
                    client_data_json=client_data, attestation_object=attestation
                ),
            ),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(alg) for alg in ALGORITHMS],
        )
        _check_key(verified.credential_public_key)
    if verified.credential_id != _bytes(made.id):
        raise SecondFactorInvalid
    return NewPasskey(
        id=verified.credential_id,
        public_key=verified.credential_public_key,
        transports=tuple(sorted(_TRANSPORTS.intersection(response.transports))),
        is_synced=verified.credential_device_type == "multi_device",
        counter=verified.sign_count,
    )


def read_answer(credential: dict[str, Any]) -> Answer:
    """What `navigator.credentials.get()` gave. Raises SecondFactorInvalid."""
    signed = _read(credential, _Signed)
    response = signed.response
    handle = response.user_handle
    return Answer(
        id=_bytes(signed.id),
        client_data=_client_data(response.client_data),
        authenticator_data=_bytes(response.authenticator_data),
        signature=_bytes(response.signature),
        user_handle=None if handle is None else _bytes(handle),
    )


def check_answer(
    answer: Answer,
    challenge: bytes,
    party: RelyingParty,
    *,
    public_key: bytes,
    is_synced: bool,
) -> int:
    """The counter of the authenticator, if that key has signed the challenge.

    Raises SecondFactorInvalid.
    """
    with _refused():
        from webauthn import verify_authentication_response  # noqa: PLC0415 - as above
        from webauthn.helpers.structs import (  # noqa: PLC0415
            AuthenticationCredential,
            AuthenticatorAssertionResponse,
        )

        cbor.check(cbor.within(answer.authenticator_data))
        verified = verify_authentication_response(
            credential=AuthenticationCredential(
                id=_text(answer.id),
                raw_id=answer.id,
                response=AuthenticatorAssertionResponse(
                    client_data_json=answer.client_data,
                    authenticator_data=answer.authenticator_data,
                    signature=answer.signature,
                ),
            ),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=public_key,
            # The library would refuse a counter that went back, also that of a synced
            # passkey. `Passkeys` judges it.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    # Whether a passkey can be synced is fixed when it is made (§6.1.3).
    if (verified.credential_device_type == "multi_device") is not is_synced:
        raise SecondFactorInvalid
    return verified.new_sign_count


def _read(credential: dict[str, Any], kind: type[Kind]) -> Kind:
    try:
        read = msgspec.convert(credential, kind)
    except msgspec.ValidationError:
        raise SecondFactorInvalid from None
    if isinstance(read, _Credential) and read.id != read.raw_id:
        raise SecondFactorInvalid
    return read


def _client_data(text: str) -> bytes:
    """The bytes, if no frame of another site has asked (§5.8.1)."""
    raw = _bytes(text)
    try:
        data = msgspec.json.decode(raw, type=_ClientData)
    except msgspec.DecodeError:
        raise SecondFactorInvalid from None
    if data.cross_origin or data.top_origin is not msgspec.UNSET:
        raise SecondFactorInvalid
    return raw


def _check_attestation(attestation: bytes) -> None:
    """Raises SecondFactorInvalid for an attestation that was not asked for.

    With `none` browsers remove every attestation but one that the passkey has signed
    itself, which says nothing (§5.1.3). Nothing else has to be parsed here.
    """
    from webauthn.helpers import (  # noqa: PLC0415 - as above
        parse_attestation_object,
        parse_cbor,
    )

    cbor.check(attestation)
    cbor.check(cbor.within(parse_cbor(attestation)["authData"]))
    parsed = parse_attestation_object(attestation)
    of_itself = parsed.fmt == "packed" and parsed.att_stmt.x5c is None
    if parsed.fmt != "none" and not of_itself:
        raise SecondFactorInvalid


def _check_key(public_key: bytes) -> None:
    """Raises SecondFactorInvalid for a key that could not prove anything later."""
    from webauthn.helpers import (  # noqa: PLC0415 - as above
        decode_credential_public_key,
        decoded_public_key_to_cryptography,
    )

    decoded = decode_credential_public_key(public_key)
    key = decoded_public_key_to_cryptography(decoded)
    is_usable = {
        -8: lambda: isinstance(key, Ed25519PublicKey),
        -7: lambda: (
            isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
        ),
        -257: lambda: isinstance(key, RSAPublicKey) and key.key_size in _RSA_BITS,
    }
    if not is_usable[decoded.alg]():
        raise SecondFactorInvalid


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """A block in which every fault is one of what the browser sent.

    The library raises errors of its own, of its parsers and of Python's types: for what
    a caller sent there is one answer.
    """
    try:
        yield
    except ImportError:  # a fault of the installation
        raise
    except Exception as error:
        raise SecondFactorInvalid from error


def _bytes(text: str) -> bytes:
    """The bytes of base64url in its one spelling. Raises SecondFactorInvalid."""
    try:
        raw = base64url.decode(text)
    except ValueError:
        raise SecondFactorInvalid from None
    if _text(raw) != text:
        raise SecondFactorInvalid
    return raw


def _text(raw: bytes) -> str:
    return base64url.encode(raw).decode()


def challenge_of(ticket: str) -> bytes:
    """The challenge that stands for a ticket: 32 bytes."""
    return hashlib.sha256(ticket.encode()).digest()
