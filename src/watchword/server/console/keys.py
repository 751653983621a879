"""The keys that tokens are signed with."""

from __future__ import annotations

from typing import Final

from watchword.admin.keys import KeyInfo
from watchword.ports.keys import KeyUse
from watchword.server.console.screens import Screen

USES: Final = {
    KeyUse.ACCESS_TOKEN: "Access tokens",
    KeyUse.ID_TOKEN_RS256: "ID tokens",
    KeyUse.ID_TOKEN_ES256: "ID tokens",
    KeyUse.ID_TOKEN_EDDSA: "ID tokens",
}


class Keys(Screen, frozen=True, kw_only=True):
    """The keys, and the address of their public halves."""

    template = "keys.html"
    here = "keys"

    title: str = "Keys"
    keys: tuple[KeyInfo, ...]
    jwks: str

    def use_of(self, key: KeyInfo) -> str:
        """What the key signs, in words."""
        return USES[key.use]
