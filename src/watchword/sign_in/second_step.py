"""The second step of a sign-in: a continuation and a factor, then the session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from watchword.core.session import TokenSet
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.factors.proof import FactorProof
from watchword.factors.prove import FactorProofs
from watchword.ports.once import ReplayCache
from watchword.sessions import Sessions
from watchword.sign_in.begin import SignIn
from watchword.sign_in.browser import BrowserSignIn
from watchword.sign_in.continuation import Binding, SecondStepGate


class SecondStep:
    """Goes on where `SignIn` stopped with SecondFactorRequired.

    `browser` is None in an app with users of its own: it has no pages.
    """

    def __init__(
        self,
        *,
        gate: SecondStepGate,
        proofs: FactorProofs,
        passkeys: Passkeys | None,
        sign_in: SignIn,
        browser: BrowserSignIn | None,
        sessions: Sessions,
        once: ReplayCache,
    ) -> None:
        self._gate = gate
        self._proofs = proofs
        self._passkeys = passkeys
        self._sign_in = sign_in
        self._browser = browser
        self._sessions = sessions
        self._once = once

    async def passkey_options(
        self, continuation: str, *, binding: Binding
    ) -> PasskeyOptions:
        """Options for a passkey of the user. Raises ContinuationExpired, NotFound."""
        raise NotImplementedError

    async def finish(
        self,
        continuation: str,
        proof: FactorProof,
        *,
        binding: Binding,
        prove: Callable[[], Awaitable[None]] | None = None,
        replaces: str = "",
        address: str = "",
        user_agent: str = "",
    ) -> TokenSet:
        """The session that the continuation is for; of the pages it is the root.

        For those `replaces` is the sign-in cookie. A wrong factor spends nothing: the
        continuation may be used again. Raises SecondFactorInvalid, ContinuationExpired,
        InvalidCredentials, InvalidClient, Throttled, Overloaded, StoreUnavailable.
        """
        raise NotImplementedError
