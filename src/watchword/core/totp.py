"""Time-based one-time passwords (RFC 6238): SHA-1, six digits, 30 seconds."""

from __future__ import annotations


def code_at(secret: bytes, step: int) -> str:
    """The code of that step (RFC 4226 §5.3)."""
    raise NotImplementedError


def matching_step(secret: bytes, code: str, now: int, drift: int) -> int | None:
    """The latest step among those from `drift` steps ago until now with that code.

    `now` is in milliseconds. Codes are compared in constant time. Spaces are ignored;
    None for text that is no code.
    """
    raise NotImplementedError


def uri(secret: bytes, *, issuer: str, name: str) -> str:
    """The `otpauth:` URI that authenticator apps read from a QR code."""
    raise NotImplementedError
