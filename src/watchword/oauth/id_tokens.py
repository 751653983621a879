"""ID tokens (OpenID Connect Core §2): who signed in, for the client alone.

They are signed off the event loop: a signature by RSA takes longer than many refreshes.
"""

from __future__ import annotations

import msgspec

from watchword.clocks import Clock
from watchword.core.session import Session
from watchword.keys.ring import KeyRing
from watchword.ports.clients import Client


class IdTokenHint(msgspec.Struct, frozen=True):
    """A genuine ID token of this server, expired or not."""

    subject: str
    sid: str
    client_id: str


class IdTokens:
    """Makes ID tokens, and reads them as hints."""

    def __init__(self, *, keys: KeyRing, issuer: str, clock: Clock) -> None:
        self._keys = keys
        self.issuer = issuer
        self._clock = clock

    async def prepare(self, client: Client) -> None:
        """Make sure that there is a key for this client's tokens.

        To be called before what must not fail afterwards. Raises StoreUnavailable.
        """
        raise NotImplementedError

    async def make(
        self, session: Session, client: Client, access_token: str, *, nonce: str = ""
    ) -> str:
        """The ID token that goes with an access token of this session."""
        raise NotImplementedError

    def read_hint(self, text: str) -> IdTokenHint | None:
        """What an `id_token_hint` says; None unless this server signed it.

        An expired one is read too (OpenID Connect RP-Initiated Logout §2).
        """
        raise NotImplementedError
