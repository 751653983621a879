"""Errors of operation: what is busy, unreachable or wrongly configured."""

from __future__ import annotations

from watchword.errors.root import WatchwordError


class TryAgain(WatchwordError):
    """Not now; the same request may be sent again after ``retry_after`` seconds.

    Nothing was spent, with one exception. A StoreUnavailable may mean that it is not
    known how a commit ended. If the refresh carried a retry key, sending it again then
    finds its own rotation.
    """

    def __init__(self, message: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(TryAgain):
    """Too many failed sign-ins, failures of a client, or retries of one refresh."""

    code = "throttled"
    message = "Too many failed sign-ins: wait before trying again."


class Overloaded(TryAgain):
    """A bounded queue is full."""

    code = "overloaded"
    message = "The server is busy: try again shortly."


class StoreUnavailable(TryAgain):
    """The store did not answer, or did not say how a commit ended."""

    code = "store_unavailable"
    message = "The store is not available: try again shortly."


class Unreachable(TryAgain):
    """No answer from the server, or an answer that is not from a Watchword."""

    code = "unreachable"
    message = "The server did not answer: try again shortly."


class MailNotSent(WatchwordError):
    """The mail server took no message, or could not be reached; it is tried again.

    `reason` is the mail server's reply code, or says why there was no reply. Unlike the
    message it never repeats an address.
    """

    code = "mail_not_sent"

    def __init__(self, reason: str, said: str = "") -> None:
        super().__init__(f"The mail was not sent: {reason}{said and f' ({said})'}.")
        self.reason = reason


class ConfigurationError(WatchwordError):
    """The process cannot start, or must not start, with this configuration."""


class SettingsError(ConfigurationError):
    """One or more settings are wrong; ``faults`` has a sentence for each."""

    code = "settings_invalid"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class SchemaError(ConfigurationError):
    """The store's schema is newer than this program, or was altered."""

    code = "schema_mismatch"


class KeyRingError(ConfigurationError):
    """Signing keys cannot be unsealed, or a key operation is not possible now."""

    code = "key_ring"


class KeyNotReady(KeyRingError):
    """No rotation now: verifiers may not know the next key yet, or it is not there."""

    code = "key_not_ready"


class TokenFileError(ConfigurationError):
    """A client's token file is unreadable, another user's, or open to other users."""

    code = "token_file"
