"""HTTPS only: real TLS, and who is believed about it behind a proxy."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.patience import PATIENCE
from tests.rows import in_one
from tests.server.live import Live
from watchword.config import load_settings
from watchword.core.network import Network
from watchword.errors import SettingsError
from watchword.server.endpoints import ENDPOINTS
from watchword.server.https import HttpsOnly

PROXY = "10.1.2.3"
NETWORKS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


async def answer_nothing(scope: Any, _: Any, seen: Any) -> None:
    seen.update(scope)


async def through(
    *headers: tuple[str, str],
    peer: str | None = PROXY,
    scheme: str = "http",
    path: str = "/api/auth/secure",
    networks: Sequence[Network] = NETWORKS,
    only: HttpsOnly | None = None,
) -> tuple[str, str]:
    """What the application sees of the client: its address, and the scheme or fault."""
    seen: Any = {}
    scope = {
        "type": "http",
        "client": None if peer is None else (peer, 4711),
        "scheme": scheme,
        "path": path,
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers],
    }

    async def unused(*_: Any) -> Any:
        raise AssertionError

    await (only or HttpsOnly(answer_nothing, networks, ENDPOINTS))(scope, unused, seen)
    refused = seen.get("refused")
    client = seen["client"][0] if seen["client"] else ""
    return client, refused.code if refused else seen["scheme"]


HTTPS = ("X-Forwarded-Proto", "https")
FOR = "X-Forwarded-For"


@in_one(
    ("headers", "client"),
    [
        ([HTTPS], PROXY),
        ([HTTPS, (FOR, "192.0.2.1")], "192.0.2.1"),
        ([HTTPS, (FOR, "6.6.6.6, 192.0.2.1")], "192.0.2.1"),
        ([HTTPS, (FOR, "6.6.6.6"), (FOR, "192.0.2.1")], "192.0.2.1"),
        ([HTTPS, (FOR, "192.0.2.1, 10.9.9.9, fd00::1")], "192.0.2.1"),
        ([HTTPS, (FOR, "2001:db8::1")], "2001:db8::1"),
        ([HTTPS, (FOR, "10.9.9.9")], PROXY),
        ([HTTPS, (FOR, "192.0.2.1" + ", 10.9.9.9" * 31)], "192.0.2.1"),
        ([HTTPS, (FOR, "192.0.2.1" + ", 10.9.9.9" * 40)], PROXY),
        ([HTTPS, (FOR, "unknown")], PROXY),
        ([HTTPS, (FOR, "192.0.2.1, ")], "192.0.2.1"),
        ([HTTPS, (FOR, "192.0.2.1"), (FOR, "")], "192.0.2.1"),
        ([HTTPS, (FOR, "192.0.2.1:50123")], "192.0.2.1"),
        ([HTTPS, (FOR, "6.6.6.6:1, 192.0.2.1:50123, 10.9.9.9:443")], "192.0.2.1"),
        ([HTTPS, (FOR, "[2001:db8::1]:443")], "2001:db8::1"),
        ([HTTPS, (FOR, "[2001:db8::1]")], "2001:db8::1"),
        ([HTTPS, (FOR, '"[2001:DB8:0:0::1]:443"')], "2001:db8::1"),
        ([HTTPS, (FOR, "::ffff:192.0.2.1")], "192.0.2.1"),
        ([HTTPS, (FOR, "[::FFFF:c000:201]:7")], "192.0.2.1"),
        ([HTTPS, (FOR, "192.0.2.1, ::ffff:10.9.9.9")], "192.0.2.1"),
        ([HTTPS, (FOR, "fe80::1%eth0")], "fe80::1"),
        ([HTTPS, (FOR, "\t192.0.2.1 ")], "192.0.2.1"),
        ([HTTPS, (FOR, "192.0.2.1:123456")], PROXY),
        ([HTTPS, (FOR, "192.0.2.1:x")], PROXY),
        ([HTTPS, (FOR, "for=192.0.2.1")], PROXY),
        ([HTTPS, (FOR, "192.0.2.1, <script>")], PROXY),
        ([HTTPS, (FOR, "\xff")], PROXY),
        ([HTTPS, ("Forwarded", "for=6.6.6.6")], PROXY),
        ([HTTPS, ("X-Real-IP", "6.6.6.6")], PROXY),
    ],
)
async def test_the_client_is_the_last_hop_that_no_proxy_of_ours_is(
    headers: list[tuple[str, str]], client: str
) -> None:
    """What stands before it, anybody may have written."""
    assert await through(*headers) == (client, "https")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Forwarded-Proto", "http")],
        [("X-Forwarded-Proto", "")],
        [("X-Forwarded-Proto", "https, http")],
        [HTTPS, ("X-Forwarded-Proto", "http")],
        [HTTPS, HTTPS],
        [("X-Forwarded-Proto", "httpsx")],
        [("X-Forwarded-Proto", "https, https")],
        [("X_Forwarded_Proto", "https")],
        [("X-Forwarded-Scheme", "https")],
        [("X-Forwarded-Ssl", "on")],
        [("Forwarded", "proto=https")],
        [("Front-End-Https", "on")],
    ],
)
async def test_what_the_proxy_does_not_say_was_https_is_refused(
    headers: list[tuple[str, str]],
) -> None:
    assert (await through(*headers))[1] == "https_required"


@pytest.mark.parametrize("written", ["HTTPS", "Https"])
async def test_a_scheme_may_be_written_in_either_case(written: str) -> None:
    assert (await through(("X-Forwarded-Proto", written)))[1] == "https"


@pytest.mark.parametrize("peer", [f"::ffff:{PROXY}", "::FFFF:0a01:0203", "fd00::1%lo"])
async def test_a_proxy_is_known_in_either_form_of_its_address(peer: str) -> None:
    """As it comes in on a socket for both kinds of address."""
    assert await through(HTTPS, (FOR, "192.0.2.1"), peer=peer) == ("192.0.2.1", "https")


async def test_proxies_may_be_named_as_mapped_addresses() -> None:
    network = ipaddress.ip_network("::ffff:10.0.0.0/104")
    assert await through(HTTPS, (FOR, "192.0.2.1"), networks=(network,)) == (
        "192.0.2.1",
        "https",
    )


@pytest.mark.parametrize("header", [(FOR, "unknown\n"), ("X-Real-IP", "192.0.2.1")])
async def test_a_proxy_that_names_no_client_is_logged_once(
    header: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """All its callers are counted as one then, which an operator must hear of."""
    only = HttpsOnly(answer_nothing, NETWORKS, ENDPOINTS)
    for _ in range(3):
        await through(HTTPS, header, only=only)
    (line,) = [one.getMessage() for one in caplog.records]
    assert PROXY in line
    assert ("'unknown\\n'" if header[0] == FOR else "no X-Forwarded-For") in line


async def test_a_probe_without_a_client_is_no_reason_for_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await through(HTTPS, path="/healthz")
    assert not caplog.records


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "::1", "", None, "unix:"])
async def test_nobody_else_is_believed(peer: str | None) -> None:
    client, verdict = await through(HTTPS, (FOR, "6.6.6.6"), peer=peer)
    assert (client, verdict) == (peer or "", "https_required")
    client, verdict = await through(HTTPS, (FOR, "6.6.6.6"), peer=peer, scheme="https")
    assert (client, verdict) == (peer or "", "https")


def test_a_server_that_others_reach_wants_tls_or_a_proxy() -> None:
    with pytest.raises(SettingsError, match="--tls-cert"):
        load_settings(host="0.0.0.0", secret="s" * 32, issuer="https://a.example")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def test_tls_is_served_and_nothing_is_said_in_clear(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(cert))
    flags = ("--tls-cert", str(cert), "--tls-key", str(key))
    with Live(tmp_path / "data", *flags, context=context) as live:
        tokens = live.login()
        answer = live.call("GET", "/api/auth/secure", access=tokens["accessToken"])
        assert answer.status == 200
        assert answer.headers["strict-transport-security"]
        plain = socket.create_connection(("127.0.0.1", live.port), timeout=PATIENCE)
        with plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP/1.1" not in plain.recv(1024)
        with live.connect() as secure:
            assert isinstance(secure, ssl.SSLSocket)
            assert secure.version() in {"TLSv1.2", "TLSv1.3"}
        old = ssl.create_default_context(cafile=str(cert))
        live.context = old
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError, match=r"(?i)ssl|alert|protocol"):
            live.connect()


def test_behind_a_proxy_plain_http_is_refused_and_the_proxy_believed(
    tmp_path: Path,
) -> None:
    with Live(tmp_path / "data", "--behind-proxy", "127.0.0.1") as live:
        body = {"username": "admin", "password": "wrong" * 5}
        bare = live.call("POST", "/api/auth/login", body)
        assert (bare.status, bare.code) == (403, "https_required")
        clear = live.call("GET", "/api/auth/secure", X_Forwarded_Proto="http")
        assert clear.code == "https_required"
        good = live.call("GET", "/docs", X_Forwarded_Proto="https")
        assert good.status == 200
        assert good.headers["strict-transport-security"]
