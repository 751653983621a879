"""From the parameters of a request to an `AuthorizationRequest`, and back to a client.

Unknown parameters are ignored, empty ones count as omitted, and of those that came
twice the names are kept, for the rule to refuse (RFC 6749 §3.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from watchword.core.authorize import (
    NOT_SUPPORTED,
    AuthorizationRequest,
    SendError,
)

REQUEST_URI: Final = "urn:ietf:params:oauth:request_uri:"
"""What the `request_uri` of a pushed request begins with (RFC 9126 §2.2)."""

_PLAIN: Final = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope"),
    *("state", "nonce", "code_challenge", "code_challenge_method", "prompt"),
    *("max_age", "acr_values", "login_hint", "ui_locales"),
)
_REPEATABLE: Final = "resource"
_HINT: Final = "id_token_hint"
_JKT: Final = "dpop_jkt"
_KNOWN: Final = frozenset({*_PLAIN, *NOT_SUPPORTED, _HINT, _JKT})


def value_of(parameters: Iterable[tuple[str, str]], name: str) -> str:
    """The first value of a parameter, or ""."""
    return next((value for key, value in parameters if key == name and value), "")


def request_of(
    parameters: Sequence[tuple[str, str]],
    *,
    at: int,
    subject_of: Callable[[str], str | None],
) -> AuthorizationRequest:
    """The request, first seen at `at` (ms).

    `subject_of` says of which user a genuine `id_token_hint` is; None for another.
    """
    given = [(name, value) for name, value in parameters if value]
    counts = Counter(name for name, _ in given)
    refused = next((name for name in NOT_SUPPORTED if name in counts), "")
    hint, hinted = value_of(given, _HINT), ""
    if hint:
        subject = subject_of(hint)
        hinted, refused = subject or "", refused or ("" if subject else _HINT)
    plain: dict[str, Any] = {name: value_of(given, name) for name in _PLAIN}
    return AuthorizationRequest(
        at=at,
        **plain,
        resource=tuple(value for name, value in given if name == _REPEATABLE),
        jkt=value_of(given, _JKT),
        hinted=hinted,
        repeated=tuple(sorted(one for one in _KNOWN if counts[one] > 1)),
        refused=refused,
    )


def answer_with_code(request: AuthorizationRequest, code: str, issuer: str) -> str:
    """The address at the client with its code (RFC 6749 §4.1.2, RFC 9207 §2)."""
    return _answer(request, issuer, code=code)


def answer_with_error(
    request: AuthorizationRequest, error: SendError, issuer: str
) -> str:
    """The address at the client with an error (RFC 6749 §4.1.2.1)."""
    return _answer(
        request, issuer, error=error.fault.value, error_description=error.text
    )


def _answer(request: AuthorizationRequest, issuer: str, **fields: str) -> str:
    if request.state and "state" not in request.repeated:
        fields["state"] = request.state
    fields["iss"] = issuer
    uri = request.redirect_uri
    # A query that is registered stays as it is (RFC 6749 §3.1.2).
    mark = "&" if "?" in uri else "?"
    return f"{uri}{'' if uri[-1] in '?&' else mark}{urlencode(fields, quote_via=quote)}"
