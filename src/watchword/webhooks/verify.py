"""Whether a delivery is genuine: for the program that receives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class WebhookInvalid(ValueError):
    """Not a delivery that was signed with that secret, or too old to be believed."""


def verify(body: bytes | str, headers: Mapping[str, str], secret: str) -> Any:  # noqa: ANN401
    """The JSON of a genuine delivery. Raises WebhookInvalid.

    `secret` is a `whsec_` of Standard Webhooks, or a public key `whpk_`. Names of
    headers are compared without case.
    """
    raise NotImplementedError
