"""A certificate that is not accepted is said as such, with the reason."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from watchword.cli import main
from watchword.client import Auth
from watchword.errors import SettingsError, Unreachable
from watchword.verify.fetching import FetchFailed, fetch

BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
LASTING = dt.timedelta(days=365 * 100)


def certificate(folder: Path, host: str, lasting: dt.timedelta) -> Path:
    """A self-signed certificate with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, BEGIN, BEGIN + lasting)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(418)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that does not trust it hangs up."""


@pytest.fixture(params=["self-signed", "expired", "of another host"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Its URL, and what is wrong with its certificate, in OpenSSL's words."""
    kind = request.param
    host = "192.0.2.7" if kind == "of another host" else "127.0.0.1"
    life = dt.timedelta(days=1) if kind == "expired" else LASTING
    file = certificate(tmp_path, host, life)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    wrong = {
        "self-signed": "self-signed certificate",
        "expired": "certificate has expired",
        "of another host": "IP address mismatch",
    }[kind]
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}", wrong
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def trusted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority is known, so that what else is wrong is seen."""
    if request.node.callspec.params["site"] != "self-signed":
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "both.pem"))


@pytest.mark.usefixtures("trusted")
def test_a_certificate_that_is_not_accepted_is_told_with_its_reason(
    site: tuple[str, str],
) -> None:
    url, wrong = site
    with pytest.raises(Unreachable, match=wrong) as told:
        Auth(url).login("ann", "password")
    assert "SSL_CERT_FILE" in str(told.value)
    with pytest.raises(Unreachable, match=wrong):
        asyncio.run(Auth(url).alogin("ann", "password"))
    words = ["login", "--url", url, "--user", "ann", "--password-stdin"]
    done = CliRunner().invoke(main, words, input="password")
    assert done.exit_code == 1
    assert wrong in done.stderr

    async def get() -> None:
        async with httpx2.AsyncClient() as http:
            await fetch(http, url, limit=1)

    with pytest.raises(FetchFailed, match=wrong):
        asyncio.run(get())


@pytest.mark.parametrize("site", ["self-signed"], indirect=True)
def test_ssl_cert_file_names_the_authorities(
    site: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "both.pem"))
    with pytest.raises(Unreachable, match="answered 418"):
        Auth(site[0]).login("ann", "password")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(SettingsError, match="SSL_CERT_FILE"):
        Auth(site[0]).login("ann", "password")


def test_a_server_that_is_away_is_no_matter_of_tls() -> None:
    with pytest.raises(Unreachable, match="did not answer"):
        Auth("https://127.0.0.1:9").login("ann", "password")
