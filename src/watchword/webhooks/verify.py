"""Whether a delivery is genuine: for the program that receives it.

Standard Webhooks 1.0: `webhook-signature` has one or more signatures of
`webhook-id.webhook-timestamp.body`, and one that fits is enough: while a secret is
replaced, both sign. Loads nothing of the engine, and a library for public keys alone.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from typing import Any, Final, Protocol

from watchword.clocks import system_clock

TOLERANCE: Final = 5 * 60
"""How many seconds the clocks of sender and receiver may differ, either way."""

SECRET: Final = "whsec_"  # noqa: S105 - what one begins with
PUBLIC_KEY: Final = "whpk_"
_SECRET_MIN: Final = 24  # Standard Webhooks, "Signature scheme": 24 to 64 bytes
_KEY_BYTES: Final = 32
_HEADER_MAX: Final = 4096
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_NAMES: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


class WebhookInvalid(ValueError):
    """Not a delivery that was signed with that secret, or too old to be believed."""


class Headers(Protocol):
    """The headers of a request: a mapping, or what any framework has for it."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


def verify(
    body: bytes | str,
    headers: Headers,
    secret: str,
    *,
    now: float | None = None,
) -> Any:  # noqa: ANN401
    """The JSON of a genuine delivery. Raises WebhookInvalid.

    `body` is what came, byte for byte: JSON that was read and written again has another
    signature. `secret` is a `whsec_` of Standard Webhooks, or a public key `whpk_`;
    raises ValueError where it is neither. Names of headers are compared without case.
    `now` is the time in seconds since the epoch, by this machine's clock if left out.
    """
    key = _key_of(secret)
    message_id, timestamp, signatures = _the_three(headers)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise WebhookInvalid("webhook-timestamp is no number of seconds")
    raw = _encoded(body) if isinstance(body, str) else bytes(body)
    signed = _encoded(f"{message_id}.{timestamp}.") + raw
    is_genuine = _by_secret if secret.startswith(SECRET) else _by_public_key
    if not is_genuine(signed, signatures, key):
        raise WebhookInvalid("no signature is of this secret")
    age = (system_clock() / 1000 if now is None else now) - int(timestamp)
    if abs(age) > TOLERANCE:
        raise WebhookInvalid("webhook-timestamp is too far from the time here")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise WebhookInvalid("the body is no JSON") from None


def _encoded(text: str) -> bytes:
    # Some frameworks make surrogates of what is no UTF-8: no signature is of that.
    return text.encode(errors="surrogatepass")


def _key_of(secret: str) -> bytes:
    """The bytes of a secret or public key. Raises ValueError, without repeating it."""
    head, _, text = secret.partition("_")
    try:
        # Some write base64 without its padding.
        key = binascii.a2b_base64(text.rstrip("=") + "==")
    except ValueError:
        key = b""
    is_key = f"{head}_" == PUBLIC_KEY and len(key) == _KEY_BYTES
    if not is_key and not (f"{head}_" == SECRET and len(key) >= _SECRET_MIN):
        message = f"the secret of a webhook begins with {SECRET} or {PUBLIC_KEY}"
        raise ValueError(message)
    return key


def _the_three(headers: Headers) -> tuple[str, str, str]:
    """The values of the three headers. Raises WebhookInvalid unless each came once."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered not in _NAMES:
            continue
        if lowered in found or not value or len(value) > _HEADER_MAX:
            message = f"{lowered} is empty, too long, or there more than once"
            raise WebhookInvalid(message)
        found[lowered] = value
    if len(found) < len(_NAMES):
        message = f"needs the headers {', '.join(_NAMES)}"
        raise WebhookInvalid(message)
    first, second, third = (found[name] for name in _NAMES)
    return first, second, third


def _signatures(header: str, version: str) -> list[bytes]:
    """The signatures of that version; what is not one is passed over."""
    found = []
    for part in header.split(" "):
        name, _, text = part.partition(",")
        if name == version:
            try:
                found.append(binascii.a2b_base64(text))
            except ValueError:
                continue
    return found


def _by_secret(signed: bytes, header: str, key: bytes) -> bool:
    expected = hmac.new(key, signed, hashlib.sha256).digest()
    return any(hmac.compare_digest(expected, one) for one in _signatures(header, "v1"))


def _by_public_key(signed: bytes, header: str, key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - for this
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    public = Ed25519PublicKey.from_public_bytes(key)
    for one in _signatures(header, "v1a"):
        try:
            public.verify(one, signed)
        except InvalidSignature:
            continue
        return True
    return False
