"""The second step of a sign-in: a continuation and a factor, then the session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypedDict, Unpack

import msgspec

from watchword.accounts.recovery import Recovery
from watchword.clocks import Clock
from watchword.core.session import AAL2, Authenticated, TokenSet
from watchword.core.ticket import TicketPurpose
from watchword.errors import (
    ContinuationExpired,
    InvalidCredentials,
    SecondFactorInvalid,
)
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.factors.proof import FactorProof
from watchword.factors.prove import FactorProofs
from watchword.ports.accounts import AccountStore
from watchword.ports.credentials import Spending
from watchword.sign_in.begin import SignIn
from watchword.sign_in.browser import BrowserSignIn
from watchword.sign_in.continuation import Binding, Continuation, SecondStepGate


class ContinuedRequest(TypedDict, total=False):
    """What a request that goes on with a sign-in says, besides its binding."""

    prove: Callable[[], Awaitable[None]] | None
    """Checks what else the caller has to prove, once its factor was right."""

    replaces: str
    """The refresh token of the browser's cookie, for a session that is in one."""

    address: str
    user_agent: str


class SecondStep:
    """Goes on where `SignIn` stopped with SecondFactorRequired.

    `browser` and `recovery` are None in an app with users of its own: it has neither
    pages nor resets.
    """

    def __init__(
        self,
        *,
        gate: SecondStepGate,
        proofs: FactorProofs,
        passkeys: Passkeys,
        sign_in: SignIn,
        browser: BrowserSignIn | None,
        recovery: Recovery | None,
        accounts: AccountStore,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._proofs = proofs
        self._passkeys = passkeys
        self._sign_in = sign_in
        self._browser = browser
        self._recovery = recovery
        self._accounts = accounts
        self._clock = clock

    async def passkey_options(
        self, continuation: str, *, binding: Binding
    ) -> PasskeyOptions:
        """Options for a passkey of the user. Raises ContinuationExpired, NotFound.

        The continuation may also be that of a reset: it has no binding.
        """
        account_id, name = self._owner_of(continuation, binding)
        return await self._passkeys.options_to_prove(account_id=account_id, bound=name)

    def _owner_of(self, continuation: str, binding: Binding) -> tuple[bytes, str]:
        """The account of a continuation, and the name of its ticket."""
        try:
            stated, name = self._gate.open(TicketPurpose.LOGIN, continuation, binding)
        except ContinuationExpired:
            if self._recovery is None:
                raise
            return self._recovery.owner_of(continuation)
        return stated.authenticated.account_id, name

    async def finish(
        self,
        continuation: str,
        proof: FactorProof,
        *,
        binding: Binding,
        **request: Unpack[ContinuedRequest],
    ) -> TokenSet:
        """The session that the continuation is for; of the pages it is the root.

        For those `replaces` is the sign-in cookie. A wrong factor spends nothing: the
        continuation may be used again. Raises SecondFactorInvalid, ContinuationExpired,
        InvalidCredentials, InvalidClient, Throttled, Overloaded, StoreUnavailable.
        """
        stated, name = self._gate.open(TicketPurpose.LOGIN, continuation, binding)
        # The factor comes first: a caller without it learns nothing of the account.
        proved = await self._proofs.prove(
            stated.authenticated.account_id,
            proof,
            address=request.get("address", ""),
            bound=name,
        )
        return await self.begin(
            stated,
            proved.amr,
            settle=partial(self._gate.spend, name),
            spends=proved.spends,
            **request,
        )

    async def begin(
        self,
        stated: Continuation,
        amr: tuple[str, ...],
        *,
        settle: Callable[[], Awaitable[None]],
        spends: Spending | None = None,
        **request: Unpack[ContinuedRequest],
    ) -> TokenSet:
        """The session of a continuation whose user has proved a factor by `amr`.

        `settle` is called while the session can still be taken back: it MUST spend the
        continuation. Raises as `finish`.
        """
        authenticated = await self._at_aal2(stated, amr)
        prove = request.get("prove")
        if prove is not None:
            await prove()
        replaces, options = request.get("replaces", ""), stated.options
        address = request.get("address", "")
        user_agent = request.get("user_agent", "")
        if options is not None:
            return await self._sign_in.begin(
                authenticated,
                options,
                replaces=replaces if options.cookie else "",
                spends=spends,
                settle=settle,
                requested=stated.requested,
                address=address,
                user_agent=user_agent,
            )
        assert self._browser is not None  # noqa: S101 - pages made the continuation
        return await self._browser.begin(
            authenticated,
            cookie=replaces,
            spends=spends,
            settle=settle,
            address=address,
            user_agent=user_agent,
        )

    async def _at_aal2(
        self, stated: Continuation, amr: tuple[str, ...]
    ) -> Authenticated:
        """What both steps have proved.

        Raises ContinuationExpired for another epoch, and SecondFactorInvalid for an
        account that is disabled: the answer is that to a wrong code.
        """
        try:
            now = await self._sign_in.as_now(stated.authenticated)
        except InvalidCredentials:
            # An app's own users are not in this table.
            account = await self._accounts.by_id(stated.authenticated.account_id)
            if account is not None and account.disabled:
                raise SecondFactorInvalid from None
            raise ContinuationExpired from None
        return at_aal2(now, amr, at=self._clock())


def at_aal2(first: Authenticated, amr: tuple[str, ...], *, at: int) -> Authenticated:
    """What was proved first, and by another factor just now."""
    methods = tuple(dict.fromkeys((*first.amr, *amr)))
    return msgspec.structs.replace(first, amr=methods, acr=AAL2, at=at)
