"""`Settings`: each setting with its kind, its default and its description."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from watchword.config.values import (
    APP_SCHEMES,
    DatabaseUrl,
    Domain,
    Domains,
    Issuer,
    Listen,
    MailUrl,
    Networks,
    Origins,
    Scope,
    SecondFactor,
    Seconds,
    Secrets,
    Sender,
    SessionStoreUrl,
    Wait,
    parse_seconds,
)
from watchword.core import limits
from watchword.core.network import is_loopback, parse_address
from watchword.core.scopes import ADMIN_SCOPES
from watchword.keys.signing import Algorithm
from watchword.mail.url import OUTBOX

ENV_PREFIX: Final = "WATCHWORD_"
DEFAULT_DATA: Final = Path("watchword-data")
DEFAULT: Final = "default"
APPLICATION: Final = "application"
"""The source of what the code of an application gives."""


def _duration(least: str, most: str, default: int) -> Any:  # noqa: ANN401 -- as Field
    """A duration field: bounds as a user writes them, default in milliseconds."""
    must_be = f"a duration from {least} to {most}, such as 120s, 2m, 24h or 7d"
    low, high = parse_seconds(least), parse_seconds(most)
    return Field(default // limits.SECOND, ge=low, le=high, description=must_be)


def _database_of(given: Mapping[str, Any]) -> str:
    return f"sqlite:///{quote(str(given.get('data', DEFAULT_DATA)))}/watchword.db"


class Settings(BaseSettings):
    """The settings: frozen, and made from the arguments alone.

    `load_settings` reads the environment and the file.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,  # `VAR=` in a compose file means: not given
        extra="forbid",
        frozen=True,
        validate_default=False,
        hide_input_in_errors=True,
    )

    # The descriptions finish the sentence "must be …", in faults and documentation.
    # `repr=False` also keeps a wrong value out of its fault.
    data: Path = Field(DEFAULT_DATA, description="the folder of all state")
    database_url: DatabaseUrl = Field(
        default_factory=_database_of,
        description="a URL: sqlite:///relative/file.db, sqlite:////absolute/file.db or "
        "postgresql://user:password@host/name (in a name or password %23 is #, %3F is "
        "?)",
        repr=False,
    )
    database_url_file: Path | None = Field(None, description="a file", repr=False)
    session_store_url: SessionStoreUrl | None = Field(
        None,
        description="a URL: redis://host, rediss://host or redis+cluster://host",
        repr=False,
    )
    session_store_url_file: Path | None = Field(None, description="a file", repr=False)
    session_store_wait: Wait = Field(
        (1, 0),
        description="fsyncs of the master (0 or 1), and of replicas, such as 1,1",
    )
    host: str = Field("127.0.0.1", min_length=1, description="an address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="a number from 0 to 65535")
    workers: int = Field(1, ge=1, le=256, description="a number from 1 to 256")
    tls_cert: Path | None = Field(None, description="a PEM file", repr=False)
    tls_key: Path | None = Field(None, description="a PEM file", repr=False)
    behind_proxy: Networks = Field(
        (),
        min_length=1,
        description="the proxies to trust for forwarding headers: addresses or "
        "networks such as 10.0.0.0/8, separated by commas or white space",
    )
    issuer: Issuer | None = Field(
        None,
        description="an absolute https URL without query, fragment or user name "
        "(http only on a loopback host)",
    )
    audience: str = Field("api", min_length=1, description="a name")
    first_party_scope: Scope = Field(
        (),
        min_length=1,
        description="scopes separated by white space, such as orders:read profile, of "
        f"visible ASCII without quote or backslash; {limits.SCOPE_MAX} characters in "
        f"all, and none that begins with {ADMIN_SCOPES}",
    )
    cors_origins: Origins = Field(
        (),
        min_length=1,
        description="the origins of pages that may call this server: such as "
        "https://app.example, as browsers send them: in lower case, without path or "
        "usual port, https (http only on a loopback host) or the scheme of an app's "
        f"pages ({', '.join(APP_SCHEMES)}), separated by commas or white space",
    )
    access_ttl: Seconds = _duration("1s", "1h", limits.ACCESS_TTL)
    refresh_idle: Seconds = _duration("1s", "3650d", limits.REFRESH_IDLE)
    refresh_absolute: Seconds = _duration("1s", "3650d", limits.REFRESH_ABSOLUTE)
    sign_in_idle: Seconds = _duration("1s", "3650d", limits.SIGN_IN_IDLE)
    sign_in_absolute: Seconds = _duration("1s", "3650d", limits.SIGN_IN_ABSOLUTE)
    rotation_grace: Seconds = _duration("0s", "60s", 0)
    retry_window: Seconds = _duration("0s", "7d", limits.RETRY_WINDOW)
    rewind_limit: int = Field(
        limits.REWIND_LIMIT, ge=0, le=100, description="a number from 0 to 100"
    )
    sessions_max: int | None = Field(
        None, ge=1, description="a number from 1 up; no limit where it is not set"
    )
    signing_alg: Algorithm = Field("ES256", description="ES256, EdDSA or RS256")
    secret: Secrets = Field(
        (),
        min_length=1,
        description=f"secrets of at least {limits.SERVER_SECRET_MIN} bytes each, "
        "separated by white space or, in a file of their own, one per line",
        repr=False,
    )
    secret_file: Path | None = Field(None, description="a file", repr=False)
    admin: str = Field(
        "admin", min_length=1, description="the user name of the first account"
    )
    admin_password: SecretStr | None = Field(
        None, min_length=1, description="at least one character", repr=False
    )
    admin_password_file: Path | None = Field(None, description="a file", repr=False)

    mail_url: MailUrl | None = Field(
        None,
        description="a URL: smtp://user:password@host:587?tls=starttls, "
        "smtps://user:password@host (in a name or password %23 is #, %40 is @), "
        "smtp://127.0.0.1 (in clear: only on loopback) or outbox: (a folder of files: "
        "only where the issuer is loopback)",
        repr=False,
    )
    mail_url_file: Path | None = Field(None, description="a file", repr=False)
    mail_from: Sender | None = Field(
        None, description="a mail address, such as no-reply@example.org"
    )
    service_name: str | None = Field(
        None,
        min_length=1,
        max_length=limits.SERVICE_NAME_MAX,
        description=f"a name of at most {limits.SERVICE_NAME_MAX} characters",
    )
    links: Issuer | None = Field(
        None,
        description="an absolute https URL without query, fragment or user name (http "
        "only on a loopback host): the base of the pages that mails lead to",
    )
    templates: Path | None = Field(
        None, description="a folder of templates that win over those of Watchword"
    )
    mail_rate: int = Field(
        limits.MAIL_RATE,
        ge=1,
        le=limits.MAIL_RATE_MAX,
        description=f"mails a minute: a number from 1 to {limits.MAIL_RATE_MAX}",
    )
    registration: Literal["closed", "invited", "open"] = Field(
        "closed", description="closed, invited or open"
    )
    registration_domains: Domains = Field(
        (),
        min_length=1,
        description="the domains whose addresses users may have, such as example.org, "
        "separated by commas or white space",
    )
    second_factor: SecondFactor = Field(
        "optional",
        description="optional, required, or required: and the roles of which it is "
        "required, such as required:admin,staff",
    )
    passkeys: bool = Field(default=True, description="on or off")
    rp_id: Domain | None = Field(
        None,
        description="the domain that passkeys are bound to, in lower case: the host of "
        "the issuer, or a domain above it",
    )
    rp_name: str | None = Field(
        None,
        min_length=1,
        max_length=limits.SERVICE_NAME_MAX,
        description=f"a name of at most {limits.SERVICE_NAME_MAX} characters",
    )
    passkey_origins: Origins = Field(
        (),
        min_length=1,
        description="the origins of pages that may use passkeys, besides the issuer's: "
        "such as https://app.example, as browsers send them, below the domain that "
        "passkeys are bound to",
    )
    totp_drift: int = Field(1, ge=0, le=1, description="0 or 1")
    admin_role: str = Field(
        "admin",
        pattern=rf"^[!#-+\--\[\]-~]{{1,{limits.ROLE_MAX}}}$",
        description="the role of users that may call the admin API",
    )
    admin_listen: Listen | None = Field(
        None,
        description="an address and a port, such as 127.0.0.1:9000 or [::1]:9000, for "
        "the console, the admin API and the metrics alone",
    )
    metrics_from: Networks = Field(
        (),
        min_length=1,
        description="the networks that may read /metrics besides this machine: "
        "addresses or networks such as 10.0.0.0/8, separated by commas or white space",
    )
    console: Literal["loopback", "on", "off"] = Field(
        "loopback", description="loopback, on or off"
    )
    log_format: Literal["text", "json"] = Field("text", description="text or json")
    breached_passwords: Path | None = Field(
        None,
        description="a sorted file of SHA-1 hashes and counts, a line each, as the "
        "downloader of Have I Been Pwned writes it",
    )

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # given by name
        cls, *_: object, init_settings: PydanticBaseSettingsSource, **_unread: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments are a source: pydantic reads nothing by itself.

        `load_settings` merges the sources, so its faults can name the one at fault.
        """
        return (init_settings,)

    # Where each value stood that was given. It goes with the settings to the workers.
    _sources: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def came_from(self, sources: Mapping[str, str]) -> None:
        """Note where each setting that was given stood."""
        self._sources = sources

    def source_of(self, key: str) -> str:
        """Where the value of that setting stood."""
        if key in self._sources:
            return self._sources[key]
        # A server writes its port here, and an application its issuer.
        default = type(self).model_fields[key].get_default()
        is_given = key in self.model_fields_set and getattr(self, key) != default
        return APPLICATION if is_given else DEFAULT

    @property
    def effective_issuer(self) -> str:
        """The issuer that was given, else the address that is served."""
        if self.issuer is not None:
            return self.issuer
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    @property
    def effective_origin(self) -> str:
        """The origin of the issuer as browsers write it (RFC 6454 §6.2)."""
        scheme, host, *_ = urlsplit(self.effective_issuer.lower())
        usual = {"https": ":443", "http": ":80"}[scheme]
        return f"{scheme}://{host.removesuffix(usual)}"

    @property
    def effective_mail_url(self) -> str | None:
        """Where mail goes; None where none can be sent.

        Without a setting that is a folder, where the issuer is loopback.
        """
        if self.mail_url is not None:
            return self.mail_url
        return OUTBOX if self.is_local else None

    @property
    def effective_mail_from(self) -> str:
        """The sender that was given, else `no-reply@` the issuer's host."""
        host = self._issuer_host
        if parse_address(host) is not None and ":" in host:
            host = f"[IPv6:{host}]"  # RFC 5321 §4.1.3
        return self.mail_from or f"no-reply@{host}"

    @property
    def effective_service_name(self) -> str:
        """The name that was given, else the issuer's host."""
        return self.service_name or self._issuer_host

    @property
    def effective_rp_id(self) -> str | None:
        """The domain that passkeys are bound to; None where it would be an address."""
        host = self._issuer_host
        if parse_address(host) is not None:
            return None
        return self.rp_id or host

    @property
    def effective_links(self) -> str:
        """The base of the pages that mails lead to: given, else under the issuer."""
        return self.links or self.effective_issuer

    @property
    def outbox_folder(self) -> Path:
        """Where messages are kept instead of sent, with `outbox:`."""
        return self.data / "outbox"

    @property
    def is_local(self) -> bool:
        """Whether the issuer is on loopback."""
        return is_loopback(self._issuer_host)

    @property
    def _issuer_host(self) -> str:
        return urlsplit(self.effective_issuer).hostname or ""
