"""What is malformed, ambiguous or odd on the wire, and what RFC 9110 and 9112 say.

A row is one message as bytes. `body` is what its framing may take for a body, to be
sent apart. Where that is itself a request, to `/smuggled`, no reading of the row may
have it answered. Behind each row comes another request that closes the connection: it
is answered, 404, where the row left the connection in a state to be trusted.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NEXT: Final = b"GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
GET: Final = "GET /healthz HTTP/1.1"
POST: Final = "POST /api/auth/refresh HTTP/1.1"


class Row(NamedTuple):
    """`answers` are the statuses, in order; a last 404 is that of the next request."""

    name: str
    section: str
    head: bytes
    body: bytes
    answers: list[int]


def _head(line: str, *fields: str) -> bytes:
    lines = [line, *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _post(
    name: str, section: str, fields: list[str], body: bytes, *answers: int
) -> Row:
    """A refresh; its body, `{}` for one, is none that gives tokens."""
    fields = ["Host: h", "Content-Type: application/json", *fields]
    return Row(name, section, _head(POST, *fields), body, list(answers))


def _get(name: str, section: str, line: str, fields: list[str], *answers: int) -> Row:
    return Row(name, section, _head(line, *fields), b"", list(answers))


def _chunks(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


TE: Final = "Transfer-Encoding: chunked"
HOST: Final = ["Host: h"]
_L: Final = f"Content-Length: {len(SMUGGLED)}"

LENGTHS: Final = [
    _post("CL and TE", "9112 §6.3", ["Content-Length: 4", TE], b"0\r\n\r\n", 400),
    _post("TE and CL", "9112 §6.3", [TE, "Content-Length: 4"], b"0\r\n\r\n", 400),
    _post("CL.TE", "9112 §6.3", [_L, TE], b"0\r\n\r\n" + SMUGGLED, 400),
    _post("TE.CL", "9112 §6.3", [TE, "Content-Length: 3"], _chunks(SMUGGLED), 400),
    *(
        _post(f"CL {name}", "9112 §6.3", fields, b"{}", 400)
        for name, fields in {
            "twice the same": ["Content-Length: 2", "Content-Length: 2"],
            "twice": ["Content-Length: 2", "Content-Length: 3"],
            "list": ["Content-Length: 2, 2"],
            "list of others": ["Content-Length: 2, 3"],
            "plus": ["Content-Length: +2"],
            "minus": ["Content-Length: -1"],
            "hexadecimal": ["Content-Length: 0x2"],
            "underscore": ["Content-Length: 2_0"],
            "empty": ["Content-Length:"],
            "huge": ["Content-Length: 99999999999999999999999"],
            "blank inside": ["Content-Length: 2 0"],
            "name with a blank": ["Content-Length : 2"],
            "digits of Unicode": ["Content-Length: \xb2"],
        }.items()
    ),
    _post("CL zero, padded", "9110 §8.6", ["Content-Length: 02"], b"{}", 400, 404),
    _post(
        "CL of 5000 digits",
        "9110 §8.6",
        [f"Content-Length: {2:05000}"],
        b"{}",
        413,
        404,
    ),
    _post("CL of a request", "9112 §6.3", [_L], SMUGGLED, 400, 404),
    Row(
        "GET with a body",
        "9110 §9.3.1",
        _head(GET, *HOST, _L),
        SMUGGLED,
        [200, 404],
    ),
    Row(
        "GET with a body in chunks",
        "9110 §9.3.1",
        _head(GET, *HOST, TE),
        _chunks(SMUGGLED),
        [200, 404],
    ),
    _post(
        "body too large", "9110 §15.5.14", ["Content-Length: 40000"], b"a" * 40000
    )._replace(answers=[413, 404]),
    Row(
        "refused before the body is read",
        "9112 §9.3",
        _head("POST /api/auth/sessions HTTP/1.1", *HOST, _L),
        SMUGGLED,
        [405, 404],
    ),
]

CODINGS: Final = [
    *(
        _post(f"TE {name}", "9112 §6.1", fields, _chunks(SMUGGLED), status)
        for name, fields, status in [
            ("unknown", ["Transfer-Encoding: xchunked"], 400),
            ("identity", ["Transfer-Encoding: identity"], 400),
            ("gzip alone", ["Transfer-Encoding: gzip"], 400),
            ("chunked not last", ["Transfer-Encoding: chunked, identity"], 400),
            ("identity first", ["Transfer-Encoding: identity, chunked"], 400),
            ("gzip first", ["Transfer-Encoding: gzip, chunked"], 501),
            ("gzip in a field of its own", ["Transfer-Encoding: gzip", TE], 501),
            ("chunked twice", [TE, TE], 400),
            ("chunked twice in a list", ["Transfer-Encoding: chunked, chunked"], 400),
            ("identity in a second field", [TE, "Transfer-Encoding: identity"], 400),
            ("vertical tab", ["Transfer-Encoding:\x0bchunked"], 400),
            ("quoted", ['Transfer-Encoding: "chunked"'], 400),
            ("parameter", ["Transfer-Encoding: chunked;q=1"], 400),
            ("name with a blank", ["Transfer-Encoding : chunked"], 400),
            ("folded", ["Transfer-Encoding:\r\n chunked"], 400),
            ("empty", ["Transfer-Encoding:"], 400),
            ("two with CL", [TE, TE, "Content-Length: 5"], 400),
        ]
    ),
    *(
        _post(f"TE {name}", "9112 §6.1", [field], _chunks(SMUGGLED), 400, 404)
        for name, field in {
            "plain": TE,
            "of other case": "transfer-encoding: CHUNKED",
            "after a tab": "Transfer-Encoding:\tchunked",
        }.items()
    ),
    Row(
        "TE in HTTP/1.0",
        "9112 §6.1",
        _head(POST.replace("1.1", "1.0"), *HOST, TE),
        _chunks(SMUGGLED),
        [400],
    ),
    Row(
        "TE in HTTP/1.0, kept alive",
        "9112 §6.1",
        _head(POST.replace("1.1", "1.0"), *HOST, "Connection: keep-alive", TE),
        _chunks(SMUGGLED),
        [400],
    ),
]

CHUNKS: Final = [
    *(
        _post(f"chunk {name}", "9112 §7.1", [TE], body, 400)
        for name, body in {
            "size 0x": b"0x2\r\n{}\r\n0\r\n\r\n",
            "size plus": b"+2\r\n{}\r\n0\r\n\r\n",
            "size after a blank": b" 2\r\n{}\r\n0\r\n\r\n",
            "size before a blank": b"2 \r\n{}\r\n0\r\n\r\n",
            "size overflows": b"10000000000000002\r\n{}\r\n0\r\n\r\n",
            "size empty": b"\r\n{}\r\n0\r\n\r\n",
            "size without CR": b"2\n{}\r\n0\r\n\r\n",
            "data without CR": b"2\r\n{}\n0\r\n\r\n",
            "data too long": b"2\r\n{}x\r\n0\r\n\r\n",
            "data too short": b"3\r\n{}\r\n0\r\n\r\n",
            "extension without CR": b"2;\n{}\r\n0\r\n\r\n",
            "extension with a bare CR": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
            "extension that quotes an end": b'2;a="\r\n{}\r\n0\r\n\r\n',
            "the last without CR": b"2\r\n{}\r\n0\n\n",
        }.items()
    ),
    *(
        _post(f"chunk {name}", "9112 §7.1.1", [TE], body, 400, 404)
        for name, body in {
            "extension": b"2;a=b\r\n{}\r\n0\r\n\r\n",
            "extension quoted": b'2;a="b"\r\n{}\r\n0\r\n\r\n',
            "the last of many zeros": b"2\r\n{}\r\n000\r\n\r\n",
            "size of other case": b"A\r\n0123456789\r\n0\r\n\r\n",
            "that holds an end": b"%x\r\n%b\r\n0\r\n\r\n"
            % (13, b"a\r\n0\r\n\r\nGET /"),
            "none": b"0\r\n\r\n",
            "trailer": b"2\r\n{}\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n",
            "trailer Upgrade": b"0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            "trailer Host": b"0\r\nHost: other\r\n\r\n",
        }.items()
    ),
    *(
        _post(f"trailer {name}", "9110 §6.5.1", [TE], b"0\r\n%b\r\n\r\n" % field, 400)
        for name, field in {
            "CL": b"Content-Length: 3",
            "TE": b"Transfer-Encoding: chunked",
            "folded": b"X-A: b\r\n c",
            "with a NUL": b"X-A: b\0",
            "without a colon": b"X-A",
        }.items()
    ),
]

FIELDS: Final = [
    *(
        _get(name, "9112 §5", GET, [*HOST, field, "Connection: close"], 400)
        for name, field in {
            "field folded": "X-A: a\r\n b",
            "field without CR": "X-A: a\nX-B: b",
            "CR in a value": "X-A: a\rb",
            "NUL in a value": "X-A: a\0b",
            "NUL in a name": "X\0: b",
            "blank in a name": "X Y: b",
            "name empty": ": b",
            "no colon": "XY",
            "name in brackets": "X(Y): b",
        }.items()
    ),
    _get("first field begins with a blank", "9112 §2.2", GET, [" Host: h"], 400),
    _get("CR ends a line", "9112 §2.2", GET, ["Host: h\rX-B: b"], 400),
    Row(
        "lines without CR",
        "9112 §2.2",
        b"GET /healthz HTTP/1.1\nHost: h\n\n",
        b"",
        [400],
    ),
    _get("empty lines before", "9112 §2.2", "\r\n\r\n" + GET, HOST, 200, 404),
    _get("LF before", "9112 §2.2", "\n" + GET, HOST, 400),
    _get("CR before", "9112 §2.2", "\r" + GET, HOST, 400),
]

HOSTS: Final = [
    *(
        _get(f"Host {name}", "9112 §3.2", GET, fields, 400)
        for name, fields in {
            "missing": ["X-A: b"],
            "twice": ["Host: a", "Host: b"],
            "twice the same": ["Host: h", "Host: h"],
            "with a blank": ["Host: a b"],
            "with a path": ["Host: a/b"],
            "with a user": ["Host: a@b"],
            "list": ["Host: a, b"],
            "with two ports": ["Host: a:1:2"],
            "port of letters": ["Host: a:b"],
            "with a query": ["Host: a?b"],
            "with a fragment": ["Host: a#b"],
            "IPv6 in no brackets": ["Host: ::1"],
            "IPv6 malformed": ["Host: [::1::]"],
            "bracket open": ["Host: [::1"],
            "not ASCII": ["Host: b\xfccher"],
            "escape malformed": ["Host: a%zz"],
            "quoted": ['Host: "a"'],
        }.items()
    ),
    *(
        _get(f"Host {name}", "9110 §7.2", GET, [field], 200, 404)
        for name, field in {
            "with a port": "Host: localhost:8000",
            "with an empty port": "Host: localhost:",
            "IPv6": "Host: [2001:db8::1]:443",
            "IPv4": "Host: 127.0.0.1",
            "empty": "Host:",
            "reg-name": "Host: a_b-c.d%20e",
        }.items()
    ),
    _get("Host missing in 1.0", "9112 §3.2", "GET /healthz HTTP/1.0", ["X: a"], 200),
    _get("Host twice in 1.0", "9112 §3.2", "GET /healthz HTTP/1.0", HOST * 2, 400),
]

LINES: Final = [
    *(
        _get(f"line: {name}", "9112 §3", line, HOST, 400)
        for name, line in {
            "HTTP/2.0": "GET /healthz HTTP/2.0",
            "HTTP/1.2": "GET /healthz HTTP/1.2",
            "HTTP/1.10": "GET /healthz HTTP/1.10",
            "HTTP/0.9": "GET /healthz",
            "HTTP/1.1x": "GET /healthz HTTP/1.1x",
            "http/1.1": "GET /healthz http/1.1",
            "two blanks": "GET  /healthz HTTP/1.1",
            "two blanks before the version": "GET /healthz  HTTP/1.1",
            "blank at the end": "GET /healthz HTTP/1.1 ",
            "tab": "GET\t/healthz HTTP/1.1",
            "form feed": "GET\x0c/healthz HTTP/1.1",
            "method in small letters": "get /healthz HTTP/1.1",
            "method unknown": "FROB /healthz HTTP/1.1",
            "preface of HTTP/2": "PRI * HTTP/2.0",
            "CONNECT": "CONNECT example.org:443 HTTP/1.1",
            "CONNECT of a path": "CONNECT /healthz HTTP/1.1",
            "CONNECT of a URL": "CONNECT http://example.org/ HTTP/1.1",
            "no slash": "GET healthz HTTP/1.1",
            "query only": "GET ?a HTTP/1.1",
            "star": "GET * HTTP/1.1",
            "fragment": "GET /healthz#a HTTP/1.1",
            "high bytes": "GET /\xff\xfe HTTP/1.1",
            "ftp": "GET ftp://example.org/healthz HTTP/1.1",
            "URL without a host": "GET http:///healthz HTTP/1.1",
            "URL with a user": "GET http://a@b/healthz HTTP/1.1",
        }.items()
    ),
    *(
        _get(f"line: {name}", "9112 §3.2", line, HOST, status, 404)
        for name, line, status in [
            ("URL", "GET http://example.org/healthz HTTP/1.1", 200),
            ("URL of other case", "GET HTTPS://example.org:443/healthz HTTP/1.1", 200),
            ("URL without a path", "GET http://example.org HTTP/1.1", 200),
            ("star for OPTIONS", "OPTIONS * HTTP/1.1", 404),
            ("TRACE", "TRACE /healthz HTTP/1.1", 405),
            ("query", "GET /healthz?a=b?c HTTP/1.1", 200),
        ]
    ),
    *(
        _get(f"path {path}", "3986 §6.2.2", f"GET {path} HTTP/1.1", HOST, 404, 404)
        for path in (
            "/api%2fauth%2fsecure",
            "/api/auth%2Fsecure",
            "/%61pi/auth/secure",
            "/api/auth/secure%00",
            "/healthz%00",
            "/%ff%fe",
            "/a%0d%0aSet-Cookie:x",
            "//api/auth/secure",
            "//example.org/healthz",
            "/./healthz",
            "/x/../healthz",
            "/x/%2e%2e/healthz",
            "/healthz;x",
            "/healthz/",
            "/HEALTHZ",
            "/docs/..%2f..%2fetc%2fpasswd",
        )
    ),
]

UPGRADES: Final = [
    *(
        Row(
            f"{method} offers {protocol}, {framing}",
            "9110 §7.8",
            _head(
                f"{method} {path} HTTP/1.1",
                *HOST,
                f"Connection: {connection}",
                f"Upgrade: {protocol}",
                field,
            ),
            body,
            [status, 404],
        )
        for method, path, status in [
            ("GET", "/healthz", 200),
            ("HEAD", "/healthz", 200),
            ("POST", "/api/auth/refresh", 415),
            ("PUT", "/healthz", 405),
            ("PATCH", "/healthz", 405),
            ("DELETE", "/healthz", 405),
            ("OPTIONS", "/healthz", 405),
        ]
        for connection, protocol in [
            ("Upgrade", "foo"),
            ("upgrade, HTTP2-Settings", "h2c"),
            ("keep-alive, UPGRADE", "websocket, h2c/2"),
        ]
        for framing, field, body in [
            ("CL", _L, SMUGGLED),
            ("chunked", TE, _chunks(SMUGGLED)),
        ]
    ),
    Row(
        "offers in two fields, and a close",
        "9110 §7.8",
        _head(POST, *HOST, "Connection: close, upgrade", *["Upgrade: a"] * 2, _L),
        SMUGGLED,
        [415],
    ),
    _get(
        "an offer without a body",
        "9110 §7.8",
        GET,
        [*HOST, "Connection: Upgrade", "Upgrade: h2c"],
        200,
        404,
    ),
    Row(
        "an offer in HTTP/1.0",
        "9110 §7.8",
        _head(POST.replace("1.1", "1.0"), "Connection: upgrade", "Upgrade: h2c", _L),
        SMUGGLED,
        [415],
    ),
    Row(
        "CONNECT with a body",
        "9110 §9.3.6",
        _head("CONNECT example.org:443 HTTP/1.1", *HOST, _L),
        SMUGGLED,
        [400],
    ),
]

OTHERS: Final = [
    _get("blanks behind a value", "9110 §5.5", GET, ["Host: h \t "], 200, 404),
    _post("blanks behind a coding", "9110 §5.5", [TE + " "], _chunks(b"{}"), 400, 404),
    _post(
        "blanks behind an offer",
        "9110 §5.5",
        [_L, "Connection: upgrade ", "Upgrade: x\t"],
        SMUGGLED,
        400,
        404,
    ),
    _post("blanks behind a length", "9110 §5.5", [_L + "\t "], SMUGGLED, 400, 404),
    _post(
        "Expect", "9110 §10.1.1", [_L, "Expect: 100-continue"], SMUGGLED, 100, 400, 404
    ),
    _post("Expect unknown", "9110 §10.1.1", [_L, "Expect: foo"], SMUGGLED, 400, 404),
    Row(
        "Expect in HTTP/1.0",
        "9110 §10.1.1",
        _head(POST.replace("1.1", "1.0"), "Expect: 100-continue", _L),
        SMUGGLED,
        [415],
    ),
    _get(
        "kept alive in HTTP/1.0",
        "9112 §9.3",
        "GET /healthz HTTP/1.0",
        ["Connection: keep-alive"],
        200,
    ),
    _post("behind a close", "9112 §9.6", ["Connection: close", _L], SMUGGLED, 400),
    Row("pipelined", "9112 §9.3.2", _head(GET, *HOST) * 40, b"", [200] * 40 + [404]),
    _get("many fields", "9110 §5.4", GET, [*HOST, *["a: b"] * 10000], 200, 404),
    _get("head too large", "9110 §5.4", GET, [*HOST, "X: " + "a" * 70000], 431),
    _get("line too large", "9112 §3", f"GET /{'a' * 70000} HTTP/1.1", HOST, 431),
]

ROWS: Final = [
    *LENGTHS,
    *CODINGS,
    *CHUNKS,
    *FIELDS,
    *HOSTS,
    *LINES,
    *UPGRADES,
    *OTHERS,
]
