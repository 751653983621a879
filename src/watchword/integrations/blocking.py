"""What the synchronous frameworks share: both sides, run by a thread of their own."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from watchword.core.access_token import Claims
from watchword.integrations.environ import headers_of
from watchword.integrations.gate import Gate, Needs, Remote
from watchword.integrations.portal import Portal

if TYPE_CHECKING:
    from watchword.accounts import Accounts
    from watchword.claims import ClaimsHook
    from watchword.integrations.embedding import Embedding
    from watchword.ports import Account
    from watchword.sessions import Sessions
    from watchword.subjects import Authenticate

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Side:
    """What an app's views ask, whichever side it is on.

    `portal` starts with the first request of a process and ends with it.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._portal = Portal(gate)

    def close(self) -> None:
        """Stop, for tests: the next request starts anew."""
        self._portal.close()

    def _claims(self, environ: Mapping[str, Any], path: str) -> Claims:
        headers, method = headers_of(environ), environ["REQUEST_METHOD"]
        return self._portal.call(self._gate.claims, headers, method, path)

    def _require(self, claims: Claims, needs: Needs) -> None:
        self._gate.require(claims, needs)


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

    def call(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """What a method of `accounts` or `sessions` returns or raises."""
        return self._portal.call(work, *args, **kwargs)

    @property
    def accounts(self) -> Accounts:
        """The accounts; their methods are for `call`."""
        self._portal.start()
        return self._gate.engine.accounts

    @property
    def sessions(self) -> Sessions:
        """The sessions; their methods are for `call`."""
        self._portal.start()
        return self._gate.engine.sessions

    def register(self, name: str, password: str, roles: Iterable[str] = ()) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        return self.call(self._gate.register, name, password, roles)

    def end_all(self, subject_id: uuid.UUID | int) -> int:
        """End all sessions of a user, the app's own or ours; how many were alive.

        Their access tokens die with them. For when the app has disabled the user or
        changed the password: call it after that is committed.
        """
        return self.call(self._gate.end_all, subject_id)
