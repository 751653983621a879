"""A delivery reaches the address that was looked at, and little of its answer stays."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.rows import each
from tests.webhooks.receiver import OK, Receiver
from watchword.core import limits
from watchword.core.network import Address
from watchword.errors import InvalidRequest
from watchword.webhooks.destination import destination_of, is_public
from watchword.webhooks.posting import Poster, Resolver
from watchword.webhooks.transport import Answer

NAME: Final = "hooks.example.org"
PUBLIC: Final = "93.184.216.34"


class Names:
    """What a name has for addresses: it is asked once for each delivery."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append((host, port))
        return [ip_address(one) for one in self.addresses]


async def post(
    url: str,
    names: Names | None = None,
    *,
    private: bool = True,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    poster = Poster(resolve=None if names is None else names.resolve, tls=tls)
    return await poster.post(url, b"{}", {"webhook-id": "msg"}, allow_private=private)


def test_only_urls_that_a_delivery_may_go_to_are_taken() -> None:
    refused = (
        *("", "hooks.example.org", "//hooks.example.org/", "ftp://hooks.example.org/"),
        *("http://hooks.example.org/", "https://", "https:///x", "https://:443/"),
        *("https://ana@hooks.example.org/", "https://@hooks.example.org/"),
        *("https://ana:pw@hooks.example.org/", "https://hooks.example.org/#x"),
        *("https://hooks.example.org:0/", "https://hooks.example.org:65536/"),
        *("https://hooks.example.org:x/", "https://hooks.example.org\\@10.0.0.1/"),
        *(
            "https://hooks.example.org/ x",
            "https://hooks.example.org/\n",
            "https://[::",
        ),
        *("https://hooks.example.org/ü", "https://hööks.example.org/", "https://a b/"),
        *("https://127.0.0.1/", "https://[::1]/", "https://[fe80::1%25eth0]/"),
        *("https://10.0.0.1:8443/x", "https://[::ffff:93.184.216.34]/"),
        *("https://%31%30.0.0.1/", "https://hooks.example.org/" + "x" * 2048),
    )
    for row, url in each(refused):
        with row, pytest.raises(InvalidRequest):
            destination_of(url, allow_private=False)
    taken = destination_of("https://Hooks.Example.org:8443?a=b", allow_private=False)
    assert (taken.authority, taken.target) == (f"{NAME}:8443", "/?a=b")
    for url in ("http://localhost:9/x", "https://[fd00::1]/", f"http://{PUBLIC}"):
        destination_of(url, allow_private=True)


def test_an_address_is_public_only_where_anyone_could_have_it() -> None:
    """The first and last of each range, and those beside it."""
    private = (
        *("0.0.0.0", "0.255.255.255", "10.0.0.1", "100.64.0.1", "100.127.255.255"),
        *("127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1"),
        *("198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "168.63.129.16", "192.31.196.1", "192.175.48.1"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.216.34"),
        *("64:ff9b::7f00:1", "64:ff9b::5db8:d822", "64:ff9b:1::a00:1", "100::1"),
        *("2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1"),
        *("2001:db8::1", "2002:7f00:1::1", "2002:5db8:d822::1", "3fff::1", "5f00::1"),
        *("2620:4f:8000::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1"),
        *("ff02::1", "1fff::1", "4000::1", "2a00:1450:4001::1%eth0"),
    )
    for row, text in each(private):
        with row:
            assert not is_public(ip_address(text))
    public = (
        *(PUBLIC, "1.0.0.1", "9.255.255.255", "11.0.0.1", "100.63.255.255"),
        *("100.128.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "198.20.0.1"),
        *("223.255.255.255", "2606:2800:220:1::1", "2001:200::1", "2003::1"),
        *("2a00:1450:4001::1", "3ffe::1", "2001:db7:ffff::1", "2001:db9::1"),
    )
    for row, text in each(public):
        with row:
            assert is_public(ip_address(text))


async def test_a_name_with_one_private_address_gets_nothing() -> None:
    """Whatever else it has: a resolver that answers in turns has no second chance."""
    async with Receiver() as receiver:
        url = f"https://{NAME}:{receiver.port}/"
        for row, others in each(((), (PUBLIC,), (PUBLIC, "2a00:1450:4001::1"))):
            names = Names(*others, "127.0.0.1")
            with row:
                answer = await post(url, names, private=False)
                assert answer.status is None
                assert "not public" in answer.text
                assert names.asked == [(NAME, receiver.port)]
        assert receiver.heads == []
    for row, literal in each(("127.1", "2130706433", "0x7f.1", "localhost")):
        with row:  # as the system reads them
            answer = await post(f"https://{literal}:1/", private=False)
            assert answer.status is None


async def test_the_connection_goes_there_and_names_the_host(tmp_path: Path) -> None:
    """The name is in TLS, in the certificate and in the request: not the address."""
    theirs, ours = _tls(tmp_path, NAME)
    async with Receiver(theirs) as receiver:
        names = Names("127.0.0.1")
        url = f"https://{NAME}:{receiver.port}/in?key=1"
        assert await post(url, names, tls=ours) == (204, "", 0)
        assert receiver.names == [NAME]
        assert receiver.heads[0].startswith("POST /in?key=1 HTTP/1.1\r\n")
        assert receiver.headers() == {
            "host": f"{NAME}:{receiver.port}",
            "webhook-id": "msg",
            "content-type": "application/json",
            "content-length": "2",
            "user-agent": "watchword",
            "connection": "close",
        }
        assert names.asked == [(NAME, receiver.port)]
        wrong = await post(url.replace(NAME, "other.example.org"), names, tls=ours)
        untrusted = await post(url, names)
        for answer in (wrong, untrusted):
            assert answer.status is None
            assert "certificate is not accepted" in answer.text
        assert len(receiver.heads) == 1


async def test_another_address_is_tried_where_one_takes_no_connection() -> None:
    async with Receiver() as receiver:
        url = f"http://{NAME}:{receiver.port}/"
        assert await post(url, Names("127.0.0.2", "127.0.0.1")) == (204, "", 0)
        away = await post(url, Names("127.0.0.2"))
        assert away == (None, "nothing listens there", 0)
        assert len(receiver.heads) == 1


async def test_nothing_of_the_environment_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a proxy, nor .netrc, nor a cookie of an earlier answer."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ana password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with Receiver() as receiver:
        receiver.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n\r\n"
        poster = Poster()
        for _ in range(2):
            url = f"http://127.0.0.1:{receiver.port}/"
            assert (await poster.post(url, b"{}", {}, allow_private=True)).status == 200
        assert {"cookie", "authorization"}.isdisjoint(receiver.headers())


_NO_HTTP: Final = "what answered there speaks no HTTP"
_OF_400: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n"
_ANSWERS: Final[tuple[tuple[bytes, bytes, int | None, str], ...]] = (
    (OK, b"", 204, ""),
    (_OF_400 + b"\r\n" + b"x" * 400, b"", 200, "x" * 256),
    # Cut off, or without an end: what came is kept.
    (_OF_400 + b"\r\nabc", b"", 200, "abc"),
    (b"HTTP/1.1 500 No\r\n\r\nab\0c", b"\xff" * 32, 500, "ab\ufffdc" + "\ufffd" * 252),
    (_OF_400 + b"Content-Encoding: gzip\r\n\r\n\x1f\x8bzip", b"", 200, "\x1f\ufffdzip"),
    # A redirect is an answer like any other, whatever it leads to.
    (b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\n\r\n", b"", 307, ""),
    (b"HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone", b"", 410, "gone"),
    (b"HTTP/1.1 103 Early\r\n\r\n" + OK, b"", 204, ""),
    # They would have no end, and hold up this process.
    (b"HTTP/1.1 103 Early\r\n\r\n" * 1_000 + OK, b"", None, _NO_HTTP),
    (b"SSH-2.0-OpenSSH_9.6\r\n", b"", None, _NO_HTTP),
    (b"", b"", None, _NO_HTTP),
)


async def test_of_an_answer_the_status_and_its_beginning_are_kept() -> None:
    async with Receiver() as receiver:
        for row, (receiver.answer, receiver.drips, *answer) in each(_ANSWERS):
            with row:
                found = await post(f"http://127.0.0.1:{receiver.port}/")
                assert list(found)[: len(answer)] == answer
        assert len(receiver.heads) == len(_ANSWERS)  # none was followed


async def test_a_receiver_may_ask_to_be_left_alone() -> None:
    """For a day at most: nothing that it says stops deliveries for good."""
    head = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: {}\r\n\r\n"
    async with Receiver() as receiver:
        for row, (said, seconds) in each(
            (("120", 120), ("9" * 9, 86_400), ("9" * 10, 0), ("-1", 0), ("soon", 0))
        ):
            receiver.answer = head.format(said).encode()
            with row:
                answer = await post(f"http://127.0.0.1:{receiver.port}/")
                assert answer.wait == seconds * limits.SECOND


async def test_a_try_takes_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether nothing comes, or a head byte by byte, or no name server answers."""
    monkeypatch.setattr(limits, "WEBHOOK_TIMEOUT", 50)
    never = asyncio.Event()

    class Silent(Names):
        async def resolve(self, host: str, port: int) -> Sequence[Address]:
            await never.wait()
            return await super().resolve(host, port)

    async with Receiver() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/"
        receiver.answer = None
        for row, (receiver.answer, receiver.drips, names) in each(
            (
                (None, b"", None),
                (b"HTTP/1.1 200 OK\r\nX: ", b"x", None),
                (b"HTTP/1.1 103 Early\r\n\r\n", b"HTTP/1.1 103 Early\r\n\r\n", None),
                (OK, b"", Silent()),
            )
        ):
            with row:
                assert await post(url, names) == (None, "no answer in time", 0)


async def test_a_name_is_asked_for_once_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that hangs holds up one thread, however often a try gives up."""
    asked: list[str] = []
    loop, hangs = asyncio.get_running_loop(), asyncio.Event()

    def look_up(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        asyncio.run_coroutine_threadsafe(hangs.wait(), loop).result()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("watchword.webhooks.posting._look_up", look_up)
    resolver = Resolver()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.addresses(NAME, 443), 0.01)
    hangs.set()
    with pytest.raises(OSError, match="Input"):
        await resolver.addresses(NAME, 443)
    assert asked == [NAME]


def _tls(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS with a certificate for that name, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    begin, end = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2020, 2120))
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, begin, end)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, pem = folder / "both.pem", serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    certificate = made.public_bytes(pem)
    file.write_bytes(key.private_bytes(pem, form, plain) + certificate)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(file)
    ours = ssl.create_default_context(cadata=certificate.decode())
    return theirs, ours
