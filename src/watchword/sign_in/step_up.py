"""The user of a session proves it anew: for a step that asks for it, or a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, Unpack

import msgspec

from watchword.accounts.registry import Accounts
from watchword.clients.rules import FIRST_PARTY
from watchword.clocks import Clock
from watchword.core.actor import Actor, By, EndReason
from watchword.core.session import AAL2, Authenticated, Session, TokenSet, as_text
from watchword.errors import InvalidCredentials, NotFound, RefreshInvalid
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.factors.proof import FactorProof
from watchword.factors.prove import AMR_OF_CODE, FactorProofs
from watchword.factors.registry import Factors
from watchword.ports.credentials import Credential
from watchword.sessions import Sessions
from watchword.sign_in.new_factors import NewFactors
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

    The token is looked at before the proof. So a token that a refresh would not honour
    is answered as there, and does not say whether a proof is right. A retry with the
    same key is answered as there too, whatever the proof: it was right before.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        passwords: AccountPasswords,
        subjects: Subjects | None,
        sessions: Sessions,
        new_factors: NewFactors,
        proofs: FactorProofs,
        passkeys: Passkeys,
        factors: Factors,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._subjects = subjects
        self._sessions = sessions
        self._new = new_factors
        self._proofs = proofs
        self._passkeys = passkeys
        self._factors = factors
        self._clock = clock

    # By a factor.

    async def by_factor(
        self, token: str, factor: FactorProof, **presented: Unpack[PresentedSession]
    ) -> TokenSet:
        """Rotate the session of a refresh token: at `aal2`, and `auth_time` is now.

        A retry with the same key asks no proof. Raises SecondFactorInvalid,
        ContinuationExpired, Throttled with the token unspent; otherwise as
        `Sessions.refresh`.
        """
        session, is_retry = await self._look(token, presented)
        if is_retry:
            return await self._sessions.refresh(token, **presented)
        address = presented.get("address", "")
        risen = self._risen(session, await self._prove(session, factor, address))
        return await self._sessions.refresh(token, proved=risen, **presented)

    async def check_factor(
        self, session: Session, proof: FactorProof, *, address: str
    ) -> Authenticated:
        """The user of a session of the pages, proved by a second factor.

        It is for `BrowserSignIn.begin`. Raises as `FactorProofs.prove`.
        """
        of_pages = await self._of_pages(session)
        return of_pages(await self._prove(session, proof, address))

    async def passkey_options(self, session: Session) -> PasskeyOptions:
        """Options for a passkey of the user, for `by_factor` and `check_factor`.

        Raises NotFound where passkeys are off, and without a passkey.
        """
        return await self._passkeys.options_to_prove(
            account_id=session.account_id, bound=session.sid
        )

    async def _prove(
        self, session: Session, proof: FactorProof, address: str
    ) -> tuple[str, ...]:
        """The methods of a right factor. A recovery code is spent when this returns."""
        proved = await self._proofs.prove(
            session.account_id, proof, address=address, bound=session.sid
        )
        if proved.spends is not None:
            await self._factors.spend(proved.spends)
        return proved.amr

    # A factor more.

    async def add_totp(
        self, token: str, factor: str, code: str, **presented: Unpack[PresentedSession]
    ) -> tuple[TokenSet, tuple[str, ...]]:
        """Add a confirmed authenticator app, and rotate the session, which rises.

        With the tokens come recovery codes, the first time alone. Raises
        ContinuationExpired, SecondFactorInvalid, Throttled; InsufficientAuthentication
        where the session's user has not proved enough a moment ago; otherwise as
        `Sessions.refresh`.
        """
        session, is_retry = await self._look(token, presented)
        if is_retry:
            return await self._sessions.refresh(token, **presented), ()
        address = presented.get("address", "")
        codes = await self._new.add_totp(session, factor, code, address=address)
        risen = self._risen(session, AMR_OF_CODE)
        return await self._sessions.refresh(token, proved=risen, **presented), codes

    async def confirm_totp(
        self, session: Session, factor: str, code: str, *, address: str
    ) -> tuple[Authenticated, tuple[str, ...]]:
        """Add an authenticator app to the user of a session of the pages.

        Returns what `BrowserSignIn.begin` raises the session by, and recovery codes,
        the first time alone. Raises as `add_totp`.
        """
        of_pages = await self._of_pages(session)
        codes = await self._new.add_totp(session, factor, code, address=address)
        return of_pages(AMR_OF_CODE), codes

    async def add_passkey(
        self,
        token: str,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        **presented: Unpack[PresentedSession],
    ) -> tuple[TokenSet, Credential, tuple[str, ...]]:
        """Add a passkey, and rotate the session, which rises.

        Returns the tokens, the passkey's row, and recovery codes, the first time alone.
        Raises as `add_totp`; NotFound where passkeys are off.
        """
        session, is_retry = await self._look(token, presented)
        if is_retry:
            tokens = await self._sessions.refresh(token, **presented)
            row = await self._new.added_passkey(session.account_id, credential)
            return tokens, row, ()
        address = presented.get("address", "")
        row, amr, codes = await self._new.add_passkey(
            session, challenge, credential, name, address=address
        )
        risen = self._risen(session, amr)
        tokens = await self._sessions.refresh(token, proved=risen, **presented)
        return tokens, row, codes

    async def confirm_passkey(
        self,
        session: Session,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        *,
        address: str,
    ) -> tuple[Authenticated, tuple[str, ...]]:
        """Add a passkey to the user of a session of the pages.

        Returns as `confirm_totp`. Raises as `add_passkey`.
        """
        of_pages = await self._of_pages(session)
        _, amr, codes = await self._new.add_passkey(
            session, challenge, credential, name, address=address
        )
        return of_pages(amr), codes

    async def passkey_enrol_options(
        self, session: Session, name: str
    ) -> PasskeyOptions:
        """Options for a new passkey, for `add_passkey` and `confirm_passkey`.

        Authenticators show `name`. Raises NotFound where passkeys are off.
        """
        return await self._new.passkey_options(session, name)

    # By the password.

    async def by_password(
        self,
        token: str,
        password: str,
        *,
        username: str = "",
        **presented: Unpack[PresentedSession],
    ) -> TokenSet:
        """Rotate the session of a refresh token; its `auth_time` is now.

        A session at `aal2` keeps its `auth_time`: a password proves less. `username` is
        for an app's own users, whose check needs it. Raises InvalidCredentials,
        Throttled, Overloaded with nothing spent; otherwise as `Sessions.refresh`.
        """
        session, is_retry = await self._look(token, presented)
        if is_retry:
            return await self._sessions.refresh(token, **presented)
        address = presented.get("address", "")
        if self._subjects is None:
            proved = await self.check(session.account_id, password, address=address)
        else:
            proved = await self._subjects.authenticate(
                username, password, address=address
            )
            if proved.account_id != session.account_id:
                raise InvalidCredentials
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
        same key finds what was done. Raises as `by_password`; PasswordRejected;
        InsufficientAuthentication for a session below the level of its user's factors.
        """
        session, _ = await self._look(token, presented)
        await self._new.need_highest(session)
        kept = session.id if keep_session else None
        address = presented.get("address", "")
        try:
            proved = await self._replace(
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

        Returns the proof for that session to go on with: at `aal2` where the session
        is, for a password lowers none. Raises InvalidCredentials, PasswordRejected,
        InsufficientAuthentication, Throttled, Overloaded, StoreUnavailable.
        """
        session = keep_session and await self._sessions.get(keep_session)
        if session:
            await self._new.need_highest(session)
        proved = await self._replace(
            account_id, current, new, keep_session=keep_session, address=address
        )
        if not session or session.acr <= proved.acr:
            return proved
        return msgspec.structs.replace(
            proved, amr=session.amr, acr=session.acr, at=session.auth_time
        )

    async def _replace(
        self,
        account_id: bytes,
        current: str,
        new: str,
        *,
        keep_session: bytes | None,
        address: str,
    ) -> Authenticated:
        """Change the password. Returns what was proved, under the epoch after it."""
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

    # Sessions.

    async def _look(
        self, token: str, presented: PresentedSession
    ) -> tuple[Session, bool]:
        """The session of a token, and whether this request was answered before."""
        if presented.get("client_id") != FIRST_PARTY.id:
            raise RefreshInvalid
        session = await self._sessions.look(token, **presented)
        retry_key = presented.get("retry_key")
        return session, self._sessions.is_retry(session, token, retry_key)

    def _risen(
        self, session: Session, amr: tuple[str, ...], epoch: int = 0
    ) -> Authenticated:
        """The user of a session, proved by another factor now.

        The session was looked at a moment ago. Whatever must end it ends it, also where
        a proof has raised it: so no other look is needed.
        """
        return Authenticated(
            session.account_id, session.roles, epoch, amr, AAL2, self._clock()
        )

    async def _of_pages(
        self, session: Session
    ) -> Callable[[tuple[str, ...]], Authenticated]:
        """What turns methods that are proved next into a proof of the session's user.

        The epoch is read before the proof: a change from here on makes it void. Raises
        InvalidCredentials for an account that is gone.
        """
        try:
            account = await self._accounts.get_by_subject(as_text(session.account_id))
        except NotFound:
            raise InvalidCredentials from None

        def proved(amr: tuple[str, ...]) -> Authenticated:
            return self._risen(session, amr, account.epoch)

        return proved

    async def _rotate(
        self, token: str, presented: PresentedSession, proved: Authenticated
    ) -> TokenSet:
        # Whatever changes the user from here on ends this session after the change.
        await (self._subjects or self._accounts).look_again(proved)
        return await self._sessions.refresh(token, proved=proved, **presented)
