"""What the asynchronous frameworks share: both sides, run by the app's lifespan."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from watchword.core.access_token import Claims
from watchword.errors import WatchwordError
from watchword.integrations.gate import Gate, Needs, Remote
from watchword.verify.challenges import Refusal

if TYPE_CHECKING:
    from watchword.accounts import Accounts
    from watchword.claims import ClaimsHook
    from watchword.integrations.embedding import Embedding
    from watchword.ports import Account
    from watchword.sessions import Sessions
    from watchword.subjects import Authenticate, SubjectId

Scope = Mapping[str, Any]


class Side:
    """What an app's routes ask, whichever side it is on."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """For the app's `lifespan=`; an app with one of its own enters it in there."""
        del app
        async with self._gate.open():
            yield

    async def _claims(self, scope: Any) -> Claims:  # noqa: ANN401 - each has its type
        """The claims of a request, verified once: a proof is used up by it."""
        key = f"watchword.{id(self)}"
        found: Claims | None = scope.get(key)
        if found is None:
            # The path as the issuer has it: below the place where the app is mounted.
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            found = await self._gate.claims(
                scope["headers"], scope.get("method", "GET"), path
            )
            scope[key] = found
        return found

    def _require(self, claims: Claims, needs: Needs) -> None:
        self._gate.require(claims, needs)

    def _refusal(self, scope: Any, error: Exception) -> Refusal:  # noqa: ANN401
        assert isinstance(error, WatchwordError)  # noqa: S101 - registered for these
        return self._gate.refuse(error, scope["headers"])


class Verifying(Side):
    """An API that verifies the access tokens of a Watchword elsewhere.

    `feed`: id and secret of a client with the right `feed`, so that a logout counts
    here within a second. `address`: where callers find this API, for tokens that are
    bound to a key (DPoP).
    """

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        feed: tuple[str, str] | None = None,
        cut_off: Literal["closed", "open"] = "closed",
        address: str | None = None,
    ) -> None:
        super().__init__(
            Remote(issuer, audience, feed=feed, cut_off=cut_off, address=address)
        )


class Embedded(Side):
    """Watchword inside the app, with a database of its own.

    `settings` have the names of `watchword.Settings`. An app with its own users gives
    `authenticate`; `claims_hook` adds claims of the app's own. Raises SettingsError.
    """

    _gate: Embedding

    def __init__(
        self,
        database_url: str | None = None,
        *,
        authenticate: Authenticate | None = None,
        claims_hook: ClaimsHook | None = None,
        **settings: Any,  # noqa: ANN401 - checked as settings
    ) -> None:
        # Here, for an API that only verifies has none of it installed.
        from watchword.integrations.embedding import Embedding  # noqa: PLC0415

        super().__init__(
            Embedding(
                database_url,
                settings,
                authenticate=authenticate,
                claims_hook=claims_hook,
            )
        )

    @property
    def accounts(self) -> Accounts:
        """The accounts, while the app runs."""
        return self._gate.engine.accounts

    @property
    def sessions(self) -> Sessions:
        """The sessions, while the app runs."""
        return self._gate.engine.sessions

    async def register(
        self, name: str, password: str, roles: Iterable[str] = ()
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        return await self._gate.register(name, password, roles)

    async def end_all(self, subject_id: SubjectId, *, but: str | None = None) -> int:
        """End all sessions of a user, the app's own or ours; how many were alive.

        `subject_id` may be the `sub` of a token; `but` is the `sid` of a session that
        stays. Their access tokens die with them. For when the app has disabled the user
        or changed the password: call it after that is committed.
        """
        return await self._gate.end_all(subject_id, but=but)
