"""The user of a session proves it anew: for a step that asks for it, or a password."""

from __future__ import annotations

from typing import Any, TypedDict, Unpack

import msgspec

from watchword.accounts.registry import Accounts
from watchword.attempts import Attempts
from watchword.clients.rules import FIRST_PARTY
from watchword.core.actor import Actor, By, EndReason
from watchword.core.session import Authenticated, Session, TokenSet
from watchword.errors import InvalidCredentials, NotFound, RefreshInvalid
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.factors.proof import FactorProof
from watchword.factors.prove import FactorProofs
from watchword.factors.registry import Factors
from watchword.factors.totp import TotpFactors
from watchword.ports.credentials import Credential
from watchword.sessions import Sessions
from watchword.sign_in.own_users import Subjects
from watchword.sign_in.password import AccountPasswords
from watchword.tokens.dpop import Signed


class PresentedSession(TypedDict, total=False):
    """How a refresh token came: see `Sessions.refresh`."""

    client_id: str
    retry_key: str | None
    address: str
    cookie: bool
    proof: Signed | None


class StepUp:
    """Proves the users of sessions again.

    The token is looked at before the password. So a token that a refresh would not
    honour is answered as there, and does not say whether a password is right.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        passwords: AccountPasswords,
        subjects: Subjects | None,
        sessions: Sessions,
        factors: Factors,
        proofs: FactorProofs,
        totp: TotpFactors,
        passkeys: Passkeys | None,
        attempts: Attempts,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._subjects = subjects
        self._sessions = sessions
        self._factors = factors
        self._proofs = proofs
        self._totp = totp
        self._passkeys = passkeys
        self._attempts = attempts

    async def by_factor(
        self, token: str, factor: FactorProof, **presented: Unpack[PresentedSession]
    ) -> TokenSet:
        """Rotate the session of a refresh token: at `aal2`, and `auth_time` is now.

        A retry with the same key asks no proof. Raises SecondFactorInvalid,
        ContinuationExpired, Throttled with the token unspent; otherwise as
        `Sessions.refresh`.
        """
        raise NotImplementedError

    async def check_factor(
        self, session: Session, proof: FactorProof, *, address: str
    ) -> Authenticated:
        """The user of a session of the pages, proved by a second factor.

        It is for `BrowserSignIn.begin`. Raises as `FactorProofs.prove`.
        """
        raise NotImplementedError

    async def passkey_options(self, session: Session) -> PasskeyOptions:
        """Options for a passkey of the session's user, for `by_factor` and that.

        Raises NotFound where passkeys are off.
        """
        raise NotImplementedError

    async def add_totp(
        self, token: str, factor: str, code: str, **presented: Unpack[PresentedSession]
    ) -> tuple[TokenSet, tuple[str, ...]]:
        """Add a confirmed authenticator app, and rotate the session, which rises.

        With the tokens come recovery codes, the first time alone. Raises
        ContinuationExpired, SecondFactorInvalid, Throttled; otherwise as
        `Sessions.refresh`.
        """
        raise NotImplementedError

    async def add_passkey(
        self,
        token: str,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        **presented: Unpack[PresentedSession],
    ) -> tuple[TokenSet, Credential, tuple[str, ...]]:
        """Add a passkey, and rotate the session, which rises. As `add_totp`."""
        raise NotImplementedError

    async def by_password(
        self, token: str, password: str, **presented: Unpack[PresentedSession]
    ) -> TokenSet:
        """Rotate the session of a refresh token; its `auth_time` is now.

        Raises InvalidCredentials, Throttled, Overloaded with nothing spent; otherwise
        as `Sessions.refresh`.
        """
        session = await self._look(token, presented)
        address = presented.get("address", "")
        proved = await self.check(session.account_id, password, address=address)
        return await self._rotate(token, presented, proved)

    async def change_password(
        self,
        token: str,
        current: str,
        new: str,
        *,
        keep_session: bool,
        **presented: Unpack[PresentedSession],
    ) -> TokenSet | None:
        """Change the password, end the other sessions, and rotate this one.

        Without `keep_session` this one ends too, and None is returned. A retry with the
        same key finds what was done. Raises as `by_password`; PasswordRejected.
        """
        session = await self._look(token, presented)
        kept = session.id if keep_session else None
        address = presented.get("address", "")
        try:
            proved = await self.replace_password(
                session.account_id, current, new, keep_session=kept, address=address
            )
        except InvalidCredentials:
            if presented.get("retry_key") is None:
                raise
            # An earlier call with this key may have changed the password. The new one
            # is a proof as good as any, and counted as another attempt.
            proved = await self.check(session.account_id, new, address=address)
            if self._sessions.generation_of(token) == session.generation:
                # That call did not come as far as its rotation.
                await self._sessions.end_all(
                    session.account_id,
                    EndReason.PASSWORD_CHANGED,
                    but=kept,
                    by=By(Actor.USER, address),
                )
        if not keep_session:
            return None
        return await self._rotate(token, presented, proved)

    async def replace_password(
        self,
        account_id: bytes,
        current: str,
        new: str,
        *,
        keep_session: bytes | None,
        address: str,
    ) -> Authenticated:
        """Change the password of a user that is signed in on the pages.

        Returns the proof for that session to go on with. Raises InvalidCredentials,
        PasswordRejected, Throttled, Overloaded, StoreUnavailable.
        """
        proved = await self.check(account_id, current, address=address)
        try:
            await self._accounts.set_password(
                account_id,
                new,
                keep_session=keep_session,
                proved=proved,
                by=By(Actor.USER, address),
            )
        except NotFound:  # deleted since it was checked
            raise InvalidCredentials from None
        return msgspec.structs.replace(proved, epoch=proved.epoch + 1)

    async def check(
        self, account_id: bytes, password: str, *, address: str
    ) -> Authenticated:
        """The account, if this is its password. It counts as an attempt to sign in.

        Raises InvalidCredentials, Throttled, Overloaded, StoreUnavailable.
        """
        return await self._passwords.of_account(account_id, password, address=address)

    async def _look(self, token: str, presented: PresentedSession) -> Session:
        if presented.get("client_id") != FIRST_PARTY.id:
            raise RefreshInvalid
        return await self._sessions.look(token, **presented)

    async def _rotate(
        self, token: str, presented: PresentedSession, proved: Authenticated
    ) -> TokenSet:
        # Whatever changes the account from here on ends this session after the change.
        await self._accounts.look_again(proved)
        return await self._sessions.refresh(token, proved=proved, **presented)
