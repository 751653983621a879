"""The options of a verifier that its wrappers only hand on. Needs no HTTP client."""

from __future__ import annotations

from typing import Literal, TypedDict

CutOff = Literal["closed", "open"]


class VerifierOptions(TypedDict, total=False):
    """How a verifier follows its issuer; see `Verifier`."""

    feed: tuple[str, str] | None
    cut_off: CutOff
