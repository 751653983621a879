"""Addresses: every legal spelling is one address, and nothing else is any."""

from __future__ import annotations

import ipaddress

import pytest

from tests.rows import in_one
from watchword.core.network import (
    caller_of,
    is_loopback,
    network_of,
    parse_address,
    plain_address,
    plain_networks,
    provided_to,
)


@in_one(
    ("spelled", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" \t192.0.2.1 ", "192.0.2.1"),
        ('"192.0.2.1"', "192.0.2.1"),
        ("192.0.2.1:0", "192.0.2.1"),
        ("192.0.2.1:50123", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("0:0:0:0:0:ffff:c000:201", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:0DB8:0000::0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
    ],
)
def test_an_address_has_one_form(spelled: str, plain: str) -> None:
    assert parse_address(spelled) == ipaddress.ip_address(plain)
    assert plain_address(spelled) == plain


@in_one(
    "text",
    [
        *("", " ", '"', "unknown", "_hidden", "localhost", "localhost:80", "-"),
        *("192.0.2", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:123456", "192.0.2.01"),
        *("[192.0.2.1]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]x", "[]:1"),
        *("192.0.2.1, 192.0.2.2", "192.0.2.1/24", "for=192.0.2.1", "١٩٢.0.2.1"),
        "fe80::1%" + "x" * 100,
    ],
)
def test_what_is_no_address_stays_what_it_is(text: str) -> None:
    assert parse_address(text) is None
    assert plain_address(text) == text
    assert network_of(text) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::ffff:1]:443", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        # IPv4 behind a translator: all of it is in one /64.
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("64:ff9b:1:2::192.0.2.1", "64:ff9b:1:2::c000:201"),
        ("64:ff9b:2::1", "64:ff9b:2::/64"),
        ("0.0.0.0", None),
        ("::", None),
        ("::ffff:0.0.0.0", None),
    ],
)
def test_one_customer_is_one_network(address: str, network: str | None) -> None:
    assert network_of(address) == network
    assert caller_of(address) == (network or address)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("fd00::/8", "fd00::/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
        ("2001:db8::/96", "2001:db8::/96"),
        ("::/0", "::/0 0.0.0.0/0"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::fffe:0:0/95", "::fffe:0:0/95 0.0.0.0/0"),
    ],
)
def test_a_network_of_mapped_addresses_is_one_of_ipv4(given: str, plain: str) -> None:
    found = plain_networks(ipaddress.ip_network(given))
    assert " ".join(map(str, found)) == plain


@pytest.mark.parametrize(
    ("caller", "provided"),
    [
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::/64", "2001:db8:1::/48"),
        ("2001:db8:2:2::/64", "2001:db8:2::/48"),
        # Every IPv4 caller behind a translator is a customer of its own.
        ("64:ff9b::c000:201", "64:ff9b::c000:201"),
        ("192.0.2.1", "192.0.2.1"),
        ("unix socket", "unix socket"),
    ],
)
def test_one_customer_may_have_many_networks(caller: str, provided: str) -> None:
    assert provided_to(caller) == provided


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *[("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("[::1]", True)],
        *[("::ffff:127.0.0.1", True), ("LocalHost", True), ("::1%lo", True)],
        *[("0.0.0.0", False), ("::", False), ("::ffff:192.0.2.1", False)],
        *[("localhost.example", False), ("", False)],
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, *, local: bool) -> None:
    assert is_loopback(host) is local
