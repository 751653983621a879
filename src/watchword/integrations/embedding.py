"""The engine inside an app: its settings, its start and end, and calls of the app."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

from watchword.accounts.registration_rules import BeforeRegistration
from watchword.bootstrap import Watchword, open_watchword
from watchword.bootstrap.factors import passkeys_off
from watchword.bootstrap.parts import composer_of, mail_destination
from watchword.config import ENV_PREFIX, Settings, load_settings
from watchword.core.access_token import Claims
from watchword.core.actor import APP, By, EndReason
from watchword.core.network import is_loopback
from watchword.core.session import from_text
from watchword.errors import NotFound, SettingsError, TokenNonceNeeded, WatchwordError
from watchword.integrations import bridge
from watchword.integrations.authenticator import Authenticator, LocalVerifier
from watchword.notices import OnSecurityNotice
from watchword.ports.accounts import Account
from watchword.secret_files import check_secret_files
from watchword.server.embedded import EmbeddedApp, prefix_of
from watchword.server.endpoints.oauth.metadata import resource_metadata_url
from watchword.server.operation import BASE
from watchword.server.pages.rendering import check_templates
from watchword.server.problems import respond
from watchword.sessions.claims_hook import ClaimsHook
from watchword.sign_in.own_users import (
    Authenticate,
    LoadSubject,
    SubjectId,
    account_id_of,
)
from watchword.stores import file_of
from watchword.tokens.challenges import Refusal
from watchword.tokens.headers import Headers, scheme_of, token_in

_SQLITE: Final = "sqlite:"
# Settings that tell at which address the app is served.
_ISSUER_SETTINGS: Final = frozenset({"issuer", "host", "port", "tls_cert"})
# Other schemes are ignored: a middleware of the host may put into the scope whatever a
# proxy has sent.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_log: Final = logging.getLogger("watchword")


class _Hooks(TypedDict):
    """The functions of the app that the engine calls."""

    authenticate: Authenticate | None
    load_subject: LoadSubject | None
    claims_hook: ClaimsHook | None
    before_registration: BeforeRegistration | None
    on_security_notice: OnSecurityNotice | None


class Embedding(Authenticator):
    """Watchword in an app, over a database of its own.

    `routes` answers the auth routes. Raises SettingsError.
    """

    def __init__(
        self,
        database_url: str | None,
        settings: Mapping[str, Any],
        *,
        authenticate: Authenticate | None,
        load_subject: LoadSubject | None,
        claims_hook: ClaimsHook | None,
        before_registration: BeforeRegistration | None,
        on_security_notice: OnSecurityNotice | None,
    ) -> None:
        self.settings = settings_of(database_url, settings)
        if authenticate is None and self.settings.templates is not None:
            composer_of(self.settings).check()  # else the first mail finds the fault
        super().__init__(self.settings.effective_issuer)
        self.routes = EmbeddedApp(
            self.settings,
            lambda: self.engine,
            self.served_at,
            own_users=authenticate is not None,
        )
        self._page_prefix = ""
        self._engine: Watchword | None = None
        self.knows_issuer = bool(_ISSUER_SETTINGS & self.settings.model_fields_set)
        self._hooks: _Hooks = {
            "authenticate": authenticate,
            "load_subject": load_subject,
            "claims_hook": claims_hook,
            "before_registration": before_registration,
            "on_security_notice": on_security_notice,
        }

    def serve_pages(self, *, pages: bool | str) -> None:
        """Have our pages among the routes. The links of mails then lead to them.

        Raises ValueError, and SettingsError for a template that is wrong.
        """
        self.routes.serve_pages(pages=pages)
        if not self.routes.page_paths:
            return
        check_templates(self.settings.templates)
        if self.settings.links is None:
            self._page_prefix = prefix_of(pages) or ""
            self._link_to(self.settings.effective_issuer)

    def _link_to(self, issuer: str) -> None:
        """Have the links of mails lead to the pages, where they have a prefix."""
        if self._page_prefix:
            links = f"{issuer}{self._page_prefix}"
            self.settings = self.settings.model_copy(update={"links": links})

    def engine_options(self) -> tuple[dict[str, Any], dict[str, Any]]:
        given = self.settings.model_fields_set
        return (
            {name: getattr(self.settings, name) for name in given},
            {**self._hooks},
        )

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        """See `Authenticator`. Raises SettingsError, SchemaError, StoreUnavailable."""
        for exposed in check_secret_files(self.settings):
            _log.warning("%s", exposed)
        metrics = self.routes.metrics
        async with open_watchword(
            self.settings, metrics=metrics, **self._hooks
        ) as engine:
            if engine.made_secret is not None:
                _log.warning(
                    "made a server secret in %s: back it up, apart from the database; "
                    "in production give WATCHWORD_SECRET",
                    engine.made_secret,
                )
            if engine.mail is not None:
                _log.info("mail: %s", mail_destination(self.settings))
            if self.knows_issuer:
                self._tell_of_passkeys()
            self._engine, self._verifier = engine, LocalVerifier(engine)
            # `served_at` may have learned the issuer meanwhile.
            if engine.issuer != self.settings.effective_issuer:
                engine.issue_as(
                    self.settings.effective_issuer, links=self.settings.links
                )
            try:
                yield
            finally:
                self._engine = self._verifier = None

    def served_at(self, scope: Mapping[str, Any]) -> None:
        """Learn the issuer, if no setting tells it, from the first request.

        The issuer becomes the address of the server's own socket, never that in Host,
        and only from a client on this machine. Other clients are not answered before an
        issuer is set. So tokens of an app on any port are accepted by a
        `ResourceServer` with that address as its issuer.
        """
        if self.knows_issuer or self._test_engine is not None:
            return
        host, port = scope.get("server") or ("", None)
        client, _ = scope.get("client") or ("", 0)
        scheme = _SCHEMES.get(scope["scheme"])
        if not isinstance(port, int) or not is_loopback(client) or scheme is None:
            return
        self.knows_issuer = True
        place = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
        issuer = f"{scheme}://{'[::1]' if host == '::1' else '127.0.0.1'}{place}"
        if issuer == self.settings.effective_issuer:
            self._tell_of_passkeys()
            return
        self.settings = self.settings.model_copy(update={"issuer": issuer})
        self._link_to(issuer)
        self._address = issuer
        self.routes.metadata = resource_metadata_url(self.settings)
        if self._engine is not None:
            self._engine.issue_as(issuer, links=self.settings.links)
        _log.info("the issuer is %s, where this app is served", issuer)
        self._tell_of_passkeys()

    def _tell_of_passkeys(self) -> None:
        off = passkeys_off(self.settings, "WATCHWORD_ISSUER=")
        if off is not None:
            _log.info("%s", off)

    @property
    def engine(self) -> Watchword:
        """The engine while the app runs: `accounts`, `sessions`, `clients` and more.

        Raises RuntimeError if the app does not run the lifespan.
        """
        _ = self.verifier
        running = self._test_engine or self._engine
        assert isinstance(running, Watchword)  # noqa: S101 - set with the verifier
        return running

    async def register(
        self, name: str, password: str, roles: Iterable[str] = (), *, by: By = APP
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        return await self.engine.accounts.register(name, password, roles=roles, by=by)

    async def invite(
        self,
        email: str,
        roles: Iterable[str] = (),
        *,
        locale: str = "",
        by: By = APP,
    ) -> None:
        """Mail an invitation. See `asgi.EmbeddedAuth`."""
        parts = self.engine.self_service
        if parts is None:
            raise NotFound("An app with users of its own makes no invitations.")
        await parts.invitations.invite(email, roles=roles, locale=locale, by=by)

    async def end_all(
        self, subject_id: SubjectId, *, but: str | None = None, by: By = APP
    ) -> int:
        """End all sessions of a user, or all but the one with that `sid`; how many.

        See `asgi.EmbeddedAuth`.
        """
        reason, kept = EndReason.ENDED_BY_APP, (but and from_text(but)) or None
        subjects, sessions = self.engine.subjects, self.engine.sessions
        if subjects is not None:
            return await subjects.end_all(subject_id, reason, but=kept, by=by)
        account_id = account_id_of(subject_id)
        return await sessions.end_all(account_id, reason, but=kept, by=by)

    async def enrol_code(self, subject_id: SubjectId, *, by: By = APP) -> str:
        """A token with which a user enrols a factor. See `asgi.EmbeddedAuth`."""
        factors = self.engine.second_factors.factors
        return await factors.enrol_code(account_id_of(subject_id), by=by)

    async def require_factor(self, subject_id: SubjectId, *, by: By = APP) -> None:
        """Demand a second factor of a user. See `asgi.EmbeddedAuth`."""
        factors = self.engine.second_factors.factors
        await factors.require(account_id_of(subject_id), by=by)

    async def reset_factors(self, subject_id: SubjectId, *, by: By = APP) -> int:
        """Remove all second factors of a user. See `asgi.EmbeddedAuth`."""
        factors = self.engine.second_factors.factors
        return await factors.reset(account_id_of(subject_id), by=by)

    def claims_at_once(self, headers: Headers) -> Claims | None:
        """The claims, if they can be had without I/O, from any thread; else None.

        None means that the event loop has to be asked. Raises as `claims`.
        """
        presented = token_in(headers)
        if presented.scheme == "Bearer":
            return self.engine.checker.verify(presented.token)
        return None

    async def answer(self, request: bridge.AsgiRequest) -> bridge.Answer:
        """The answer of an auth route to a request of a framework without ASGI."""
        return await bridge.answer(self.routes, request)

    def refuse(self, error: WatchwordError, headers: Headers) -> Refusal:
        """The answer to an error of ours, as the server's endpoints give it."""
        # The resource is the whole app, not only our endpoints (RFC 9728 §3.1).
        state = {"resource_metadata": self.routes.metadata.removesuffix(BASE)}
        scope = {"challenge": scheme_of(headers), "state": state}
        answer = respond(error, scope)
        headers_of_answer = dict(answer.headers)
        if isinstance(error, TokenNonceNeeded):
            headers_of_answer["dpop-nonce"] = error.nonce
        return Refusal(answer.status_code, headers_of_answer, bytes(answer.body))


def settings_of(database_url: str | None, given: Mapping[str, Any]) -> Settings:
    """The settings of an app: what it gives wins, then the environment, then a file.

    The folder of a SQLite file is the data folder, where the secret is kept. Raises
    SettingsError, also if a setting is missing that tells where the app is served and
    is needed: an app does not know that by itself.
    """
    flags = {"database_url": database_url, **given}
    url = database_url or os.environ.get(f"{ENV_PREFIX}DATABASE_URL", "")
    file = file_of(url)
    if file is not None and not os.environ.get(f"{ENV_PREFIX}DATA"):
        flags.setdefault("data", file.parent)
    settings = load_settings(str, **flags)
    faults = list(_exposed(settings))
    if faults:
        raise SettingsError(faults)
    return settings


def _exposed(settings: Settings) -> Iterable[str]:
    """What an app lacks that other machines can reach, a sentence each."""
    shared = settings.session_store_url or not settings.database_url.startswith(
        (_SQLITE, "memory:")
    )
    if settings.issuer is None and (shared or settings.behind_proxy):
        yield "give WATCHWORD_ISSUER, the URL that callers use"
    issuer = settings.effective_issuer
    public = not is_loopback(urlsplit(issuer).hostname or "")
    if public and not settings.secret:
        yield (
            f"{issuer} is not loopback: give WATCHWORD_SECRET or WATCHWORD_SECRET_FILE"
        )
