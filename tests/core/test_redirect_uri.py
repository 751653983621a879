"""Redirect URIs: what may be registered, what counts as registered, what pages say."""

from __future__ import annotations

import pytest

from tests.core.redirect_uris import (
    DEEP,
    LOCAL,
    NAMED,
    PRIVATE,
    SIX,
    VARIANTS,
    WEB,
)
from tests.rows import in_one
from watchword.core import limits, redirect_uri

ALL = (WEB, DEEP, LOCAL, SIX, NAMED, PRIVATE)


@pytest.mark.parametrize("uri", ALL)
def test_what_may_be_registered_is_registered_as_it_is(uri: str) -> None:
    assert redirect_uri.fault_of(uri) == ""
    assert redirect_uri.is_registered(uri, [uri])
    assert not redirect_uri.is_registered(uri, [])


@in_one(
    ("uri", "says"),
    [
        ("", "characters"),
        ("https://app.example/cb#", "fragment"),
        ("https://app.example/*", "wildcard"),
        ("https://*.app.example/cb", "wildcard"),
        ("https://app.example/ cb", "characters"),
        ("https://app.example/c\\b", "characters"),
        ('https://app.example/"', "characters"),
        ("https://app.example/\n", "characters"),
        ("https://app.example/%zz", "characters"),
        ("https://bücher.example/cb", "xn--"),
        ("https://app.example/" + "a" * limits.REDIRECT_URI_MAX, "at most"),
        ("http://app.example/cb", "https"),
        ("http://127.0.0.1.evil.example/cb", "https"),
        ("http://127.0.0.2/cb", "https"),
        ("http://0.0.0.0/cb", "https"),
        ("https://user@app.example/cb", "user name"),
        ("https://user:pw@app.example/cb", "user name"),
        ("http://localhost@evil.example/cb", "user name"),
        ("https://app.example:0/cb", "https"),
        ("https://app.example:99999/cb", "https"),
        ("https:///cb", "https"),
        ("https://app.example./cb", "https"),
        ("//app.example/cb", "https"),
        ("/cb", "https"),
        ("app:/cb", "dot"),
        ("javascript:alert(1)", "dot"),
        ("data:text/html,x", "dot"),
        ("com.example.app:cb", "dot"),
        ("urn:ietf:wg:oauth:2.0:oob", "dot"),
        ("https://app.example/a/../cb", "segment"),
        ("https://app.example/a/%2E%2e", "segment"),
        ("https://app.example/./cb", "segment"),
        ("https://app.example/cb?code=1", "query"),
        ("https://app.example/cb?iss", "query"),
    ],
)
def test_what_may_not_is_told_in_a_sentence(uri: str, says: str) -> None:
    fault = redirect_uri.fault_of(uri)
    assert says in fault
    assert fault.endswith(".")


@in_one(("registered", "given"), VARIANTS)
def test_nothing_but_the_same_string_is_registered(registered: str, given: str) -> None:
    assert not redirect_uri.is_registered(given, [registered])


@pytest.mark.parametrize(
    ("registered", "given"),
    [
        (LOCAL, "http://127.0.0.1:1/callback"),
        (LOCAL, "http://127.0.0.1:65535/callback"),
        (SIX, "http://[::1]/callback?x=1"),
        (SIX, "http://[::1]:51004/callback?x=1"),
        (NAMED, "http://localhost:51004/cb"),
    ],
)
def test_a_program_on_the_machine_may_listen_at_any_port(
    registered: str, given: str
) -> None:
    """RFC 8252 §7.3."""
    assert redirect_uri.is_registered(given, [WEB, registered])


@pytest.mark.parametrize(
    ("uri", "is_local", "source", "shown"),
    [
        (WEB, False, "https://app.example", "app.example"),
        (DEEP, False, "https://app.example:8443", "app.example"),
        (LOCAL, True, "http://127.0.0.1", "127.0.0.1"),
        (NAMED, True, "http://localhost:3000", "localhost"),
        # A policy has no form for an IPv6 address.
        (SIX, True, "http:", "[::1]"),
        ("https://[2001:db8::1]:9/cb", False, "https:", "[2001:db8::1]"),
        (PRIVATE, True, "com.example.app:", "com.example.app"),
        ("https://APP.example/a;b,c'd", False, "https://app.example", "app.example"),
        (
            "https://xn--bcher-kva.example/",
            False,
            "https://xn--bcher-kva.example",
            "xn--bcher-kva.example",
        ),
        ("https://app.example; script-src *", False, "", ""),
        ("https://app.example,x/", False, "", ""),
    ],
)
def test_what_pages_make_of_one(
    uri: str, *, is_local: bool, source: str, shown: str
) -> None:
    assert redirect_uri.is_local(uri) is is_local
    assert redirect_uri.source_of(uri) == source
    assert redirect_uri.shown_as(uri) == shown
