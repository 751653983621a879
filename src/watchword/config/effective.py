"""The settings in effect, to be shown: each with its value and where that stood.

No secret is shown, nor the password in a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from pydantic import SecretStr

from watchword.config.settings import ENV_PREFIX, Settings
from watchword.config.values import parse_seconds, spell_seconds

HIDDEN: Final = "•••"
"""What stands in place of a password."""

_URLS: Final = ("database_url", "session_store_url", "mail_url")
_NUMBERS: Final = ("session_store_wait",)
_PASSWORD: Final = re.compile(r"^([^:/?#]+://[^:/?#@]*:)[^/?#]*(?=@)")
_IN_QUERY: Final = re.compile(
    r"([?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=)[^&#]*", re.IGNORECASE
)


class EffectiveSetting(msgspec.Struct, frozen=True):
    """A setting by the name of its variable, and its value as a user would write it.

    `value` is None where there is none. `source` is `default`, `environment`, the name
    of a file of settings, of a flag, or of the variable that names a file with the
    value; or `application`.
    """

    name: str
    value: str | None
    source: str


def effective_settings(settings: Settings, *, secrets: int) -> list[EffectiveSetting]:
    """All settings, in their order. `secrets` is the number of server secrets."""
    return list(_effective(settings, secrets))


def _effective(settings: Settings, secrets: int) -> Iterator[EffectiveSetting]:
    for key in Settings.model_fields:
        # What is read from such a file is shown as the value of its own setting.
        if key.endswith("_file"):
            continue
        source = settings.source_of(key)
        given = getattr(settings, f"effective_{key}", getattr(settings, key))
        value = as_written(key, given)
        if key == "secret":
            value = f"set, {secrets} secret{'' if secrets == 1 else 's'}"
            source = source if settings.secret else "the data folder"
        yield EffectiveSetting(f"{ENV_PREFIX}{key.upper()}", value, source)


def as_written(key: str, value: Any) -> str | None:  # noqa: ANN401 - of each kind
    """The value of that setting as a user would write it; None where there is none."""
    if value is None or value == ():
        return None
    if key in _URLS:
        value = _without_password(value)
    elif any(getattr(one, "func", None) is parse_seconds for one in _kinds(key)):
        value = spell_seconds(value)
    elif isinstance(value, bool):
        value = "on" if value else "off"
    elif isinstance(value, tuple):
        value = ("," if key in _NUMBERS else " ").join(map(str, value))
    return "set" if isinstance(value, SecretStr) else str(value)


def _kinds(key: str) -> list[Any]:
    return Settings.model_fields[key].metadata


def _without_password(url: str) -> str:
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1{HIDDEN}", url))
