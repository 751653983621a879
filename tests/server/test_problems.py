"""Errors on the wire: one row for each class, a stable code, nothing that leaks."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rows import in_one
from tests.scenarios.api import BASE, LocalApi, code_of
from watchword import errors
from watchword.errors import TryAgain, WatchwordError
from watchword.server import problems
from watchword.server.problems import STATUS, problem_of, respond

# Branches of the tree: caught by callers, raised by nobody.
BRANCHES = {
    WatchwordError,
    errors.AuthenticationError,
    errors.AccessTokenError,
    errors.RefreshError,
    errors.TryAgain,
    errors.ConfigurationError,
}
TREE = re.compile(r"([A-Z]\w+)\s{2,}([a-z_]+)$", re.MULTILINE)


def all_errors(kind: type[WatchwordError] = WatchwordError) -> Iterator[Any]:
    for child in kind.__subclasses__():
        if child.__module__.startswith((errors.__name__, problems.__name__)):
            yield child
        yield from all_errors(child)


def make(kind: type[WatchwordError]) -> WatchwordError:
    given: dict[type[WatchwordError], WatchwordError] = {
        errors.SettingsError: errors.SettingsError(["a"]),
        errors.NonceNeeded: errors.NonceNeeded("n"),
        errors.MailNotSent: errors.MailNotSent("r"),
        errors.TokenNonceNeeded: errors.TokenNonceNeeded("n"),
        errors.InsufficientScope: errors.InsufficientScope("a b"),
        errors.InsufficientAuthentication: errors.InsufficientAuthentication(
            acr_values="aal2", max_age=60
        ),
    }
    if issubclass(kind, errors.SecondFactorRequired):
        return kind("ww_ct_x", ["totp"], expires_in=300)
    return given.get(kind) or kind()


def test_every_error_has_a_row_and_every_row_an_error() -> None:
    assert set(all_errors()) - BRANCHES == set(STATUS)


def test_every_error_is_public() -> None:
    """Also one of a file that the package does not import from."""
    for file in pkgutil.iter_modules(errors.__path__):
        importlib.import_module(f"{errors.__name__}.{file.name}")
    inside = [k for k in all_errors() if k.__module__.startswith(errors.__name__)]
    ours = {k.__name__ for k in inside}
    assert ours | {WatchwordError.__name__} == set(errors.__all__)


def test_codes_are_distinct_and_those_of_the_tree_on_top() -> None:
    codes = [kind.code for kind in STATUS]
    # The same fault where tokens are issued and where they are used: one code.
    twice = [code for code in codes if codes.count(code) > 1]
    assert sorted(twice) == ["invalid_dpop_proof"] * 2 + ["use_dpop_nonce"] * 2
    assert all(re.fullmatch("[a-z_]+", code) for code in codes)
    drawn = dict(TREE.findall(errors.__doc__ or ""))
    ours = {k.__name__: k.code for k in STATUS if k.__module__ == errors.__name__}
    assert drawn == ours


@in_one("kind", STATUS)
def test_an_error_becomes_a_problem(kind: type[WatchwordError]) -> None:
    response = respond(make(kind))
    assert response.status_code == STATUS[kind]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    challenge = response.headers.get("www-authenticate", "")
    needed = STATUS[kind] == 401 or kind is errors.InsufficientScope
    assert bool(challenge) == needed
    # RFC 6750 §3: visible ASCII, no quote or backslash, each attribute once.
    if challenge:
        scheme = r'(Bearer|DPoP|Basic) realm="watchword"(, [a-z_]+="[ !#-\[\]-~]+")*'
        assert re.fullmatch(f"{scheme}(, {scheme})?", challenge)
        assert challenge.count("error=") <= 1
    assert ("retry-after" in response.headers) == issubclass(kind, TryAgain)
    problem = problem_of(make(kind))
    assert problem.status == STATUS[kind]
    assert problem.type == f"urn:watchword:problem:{problem.code}"
    if problem.status == 500:
        assert problem.code == "internal_error"
    else:
        assert problem.code == kind.code


@pytest.mark.parametrize(
    "error", [ValueError("canary"), WatchwordError("canary"), KeyError("canary")]
)
def test_what_nobody_foresaw_is_500_without_detail(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    response = respond(error)
    assert response.status_code == 500
    assert b"canary" not in bytes(response.body)
    assert caplog.records  # the log has it


def test_a_subclass_that_has_no_row_is_500() -> None:
    class Own(errors.InvalidRequest):
        code = "own"

    assert respond(Own("canary")).status_code == 500


def test_retry_after_is_at_least_a_second() -> None:
    for seconds, shown in ((0, "1"), (-5, "1"), (900, "900")):
        response = respond(errors.Throttled(retry_after=seconds))
        assert response.headers["retry-after"] == shown


@pytest.mark.parametrize("path", ["secure", "me"])
async def test_a_bug_in_an_endpoint_is_500_and_says_nothing(
    api: LocalApi, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(_: str) -> None:
        raise RuntimeError("canary")

    access = (await api.login())["accessToken"]
    monkeypatch.setattr(api.engine.checker, "verify", bug)
    headers = {"Authorization": f"Bearer {access}"}
    api.client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
    answer = await api.client.get(f"{BASE}/{path}", headers=headers)
    assert (answer.status_code, code_of(answer)) == (500, "internal_error")
    assert "canary" not in answer.text
