"""The catalogue of forged and broken access tokens: a name, and how to make it.

After RFC 8725bis, the advisories of JOSE libraries and Wycheproof. `FORGERIES` are all
refused as invalid by every verifier; `GENUINE` are all accepted: a verifier that
refuses everything would pass the first table.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.verify.minting import (
    ISSUER,
    P256_ORDER,
    Mint,
    b64,
    ecdsa,
    fixed,
    mac,
    nothing,
    private_key,
)

Make = Callable[[Mint], str]

_DER_OF_ONES: Final = bytes.fromhex("3006020101020101")


@contextlib.contextmanager
def about(name: str) -> Iterator[None]:
    """A block about that row: what fails in it says so."""
    try:
        yield
    except BaseException as error:
        error.add_note(name)
        raise


def _segments(pattern: str) -> Make:
    """A token of the segments h, p and s of a good one, put together otherwise."""

    def make(mint: Mint) -> str:
        named = dict(zip("hps", mint.parts(), strict=True))
        return "".join(named.get(char, char) for char in pattern)

    return make


def _alg(value: Any, sign: Callable[[bytes], bytes] | None = None) -> Make:
    return lambda mint: mint.token(header=mint.header(alg=value), sign=sign)


def _header(**changes: Any) -> Make:
    return lambda mint: mint.with_header(**changes)


def _claims(**changes: Any) -> Make:
    return lambda mint: mint.with_claims(**changes)


def _own(**changes: Any) -> Make:
    return lambda mint: mint.clients_own(**changes)


def _spelled(**texts: str) -> Make:
    return lambda mint: mint.token(payload=mint.spelled(**texts))


def _payload(raw: bytes) -> Make:
    return lambda mint: mint.token(payload=raw)


def _embedded(member: str, value: Callable[[Mint], Any]) -> Make:
    """Signed with the attacker's key, which the header offers."""

    def make(mint: Mint) -> str:
        own = Mint(private_key(mint.alg, 1), mint.alg, now=0)
        header = mint.header(**{member: value(own)})
        return mint.token(header=header, sign=own.sign)

    return make


def _at(claim: str, seconds: int) -> Make:
    return lambda mint: mint.with_claims(**{claim: mint.payload()["iat"] + seconds})


def _respelled(mint: Mint) -> str:
    """The same signature with an unused trailing bit set, where there are any."""
    head, body, signature = mint.parts()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if len(signature) % 4 == 0:  # all bits are used: lengthen it instead
        return f"{head}.{body}.{signature}A"
    return (
        f"{head}.{body}.{signature[:-1]}{alphabet[alphabet.index(signature[-1]) + 1]}"
    )


def _other_key_same_kid(mint: Mint) -> str:
    other = Mint(private_key(mint.alg, 2), mint.alg, now=0)
    return mint.token(sign=other.sign)


def _flipped(part: int) -> Make:
    def make(mint: Mint) -> str:
        parts = list(mint.parts())
        first = parts[part][5]
        parts[part] = parts[part][:5] + ("A" if first != "A" else "B") + parts[part][6:]
        return ".".join(parts)

    return make


def _swapped_parts(mint: Mint) -> str:
    """The claims of one good token under the signature of another."""
    head, _, signature = mint.parts()
    return f"{head}.{mint.with_claims(sub='admin').split('.')[1]}.{signature}"


def _flattened(mint: Mint) -> str:
    head, body, signature = mint.parts()
    made = {"protected": head, "payload": body, "signature": signature}
    return json.dumps(made)


def _duplicate(mint: Mint) -> str:
    text = json.dumps(mint.payload())[:-1] + ',"sub":"admin"}'
    return mint.token(payload=text.encode())


def _duplicate_header(mint: Mint) -> str:
    text = json.dumps(mint.header())[:-1] + ',"alg":"none"}'
    return mint.token(header=text.encode())


STRUCTURE: Final[dict[str, Make]] = {
    name: _segments(pattern)
    for name, pattern in {
        "VF-01 empty": "",
        "VF-01 one segment": "h",
        "VF-01 two segments": "h.p",
        "VF-01 four segments": "h.p.s.s",
        "VF-01 five segments, as a JWE": "h.p.s.s.s",
        "VF-01 a leading dot": ".h.p.s",
        "VF-01 a trailing dot": "h.p.s.",
        "VF-01 an empty header": ".p.s",
        "VF-01 an empty payload": "h..s",
        "VF-01 an empty signature": "h.p.",
        "VF-01 dots alone": "..",
        "VF-01 padding": "h.p.s=",
        "VF-01 double padding": "h.p.s==",
        "VF-01 padded header": "h=.p.s",
        "VF-01 a leading blank": " h.p.s",
        "VF-01 a trailing blank": "h.p.s ",
        "VF-01 a trailing newline": "h.p.s\n",
        "VF-01 a trailing CRLF": "h.p.s\r\n",
        "VF-01 a newline inside": "h.\np.s",
        "VF-01 a tab inside": "h.p\t.s",
        "VF-01 NUL": "h.p.s\0",
        "VF-01 quotes": '"h.p.s"',
        "VF-01 the standard alphabet": "h.p.+/+/",
        "VF-01 not ASCII": "h.p.sé",
        "VF-01 digits of another script": "h.p.s٣",
        "VF-01 header and payload swapped": "p.h.s",
    }.items()
} | {
    "VF-01 JSON serialization": _flattened,
    "VF-02 another spelling of the signature": _respelled,
    "VF-02 a length no base64 has": lambda m: m.token(sign=fixed(b"x" * 64)) + "AAA",
    "VF-03 larger than the bound": _claims(more="x" * 9000),
    "VF-03 a header larger than the bound": _header(more="x" * 1100),
    "VF-03 a megabyte": lambda m: m.token() + "A" * 1_000_000,
    "VF-03 a thousand dots": lambda m: m.token() + "." * 1000,
    "VF-20 an encrypted token": lambda m: m.with_header(alg="RSA-OAEP", enc="A256GCM"),
    "VF-20 a compressed token": _header(zip="DEF", enc="A128GCM", alg="dir"),
}

_NOT_JSON: Final[dict[str, bytes]] = {
    "empty": b"",
    "not JSON": b"{",
    "an array": b"[]",
    "text": b'"at+jwt"',
    "null": b"null",
    "a number": b"1",
    "with a BOM": b"\xef\xbb\xbf{}",
    "in UTF-16": "{}".encode("utf-16"),
    "with overlong UTF-8": b'{"a":"\xc0\x80"}',
    "with a surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "with a NUL after it": b"{}\0",
    "with more after it": b"{}{}",
    "with a comment": b"{/**/}",
    "in single quotes": b"{'a':1}",
    "nested too deep": b"[" * 700,
    "an object nested too deep": b'{"a":' * 120 + b"1" + b"}" * 120,
}

ENCODING: Final[dict[str, Make]] = {
    **{
        f"VF-04 a header {what}": lambda m, raw=raw: m.token(header=raw)  # type: ignore[misc]
        for what, raw in _NOT_JSON.items()
    },
    **{f"VF-04 claims {what}": _payload(raw) for what, raw in _NOT_JSON.items()},
    "VF-04 a claim twice": _duplicate,
    "VF-04 a header member twice": _duplicate_header,
    "VF-04 claims nested 4000 deep": _payload(b'{"a":' + b"[" * 4000),
    "VF-04 a claim that is NaN": _spelled(auth_time="NaN"),
    "VF-04 an unknown claim that is NaN": _spelled(other="NaN"),
    "VF-04 an unknown claim that is Infinity": _spelled(other="-Infinity"),
    "VF-04 a number of 5000 digits": _spelled(other="9" * 5000),
}

ALGORITHM: Final[dict[str, Make]] = {
    **{  # type: ignore[var-annotated]
        f"VF-05 alg {value!r} {how}": _alg(value, sign)
        for value in ("none", "None", "NONE", "nOnE", "", None, ..., ["ES256"], 1, {})
        for how, sign in {
            "without a signature": nothing,
            "with some signature": fixed(b"x" * 64),
            "with the right signature": None,
        }.items()
    },
    **{
        f"VF-05 alg {value!r}": _alg(value)
        for value in (
            *("HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "PS512"),
            *("ES384", "ES512", "ES256K", "Ed25519", "Ed448", "es256", "eddsa"),
            *(" ES256", "ES256 ", "rs256", "ES256\0", "dir", "A128KW", "RSA1_5"),
            *(
                "PBES2-HS256+A128KW",
                "ECDH-ES",
                "RSA-OAEP",
                "unknown",
                "\uff25\uff33\uff12\uff15\uff16",
            ),
        )
    },
    "VF-05 HS256 with an empty key": _alg("HS256", mac(b"")),
    "VF-05 HS256 with a blank key": _alg("HS256", mac(b" ")),
    "VF-05 HS256 with a NUL key": _alg("HS256", mac(b"\0")),
    "VF-06 another alg of the list": lambda m: m.with_header(
        alg="EdDSA" if m.alg != "EdDSA" else "ES256"
    ),
    "VF-06 a third alg of the list": lambda m: m.with_header(
        alg="RS256" if m.alg != "RS256" else "ES256"
    ),
}


def _with_own_key(m: Mint) -> str:
    own = Mint(private_key(m.alg, 1), m.alg, now=0)
    return m.token(header=m.header(jwk=own.key.jwk(), kid=own.kid), sign=own.sign)


HEADER: Final[dict[str, Make]] = {
    "VF-07 jwk": _embedded("jwk", lambda own: own.key.jwk()),
    "VF-07 jwk and its kid": _with_own_key,
    "VF-07 x5c": _embedded("x5c", lambda _: ["MIIB"]),
    "VF-07 x5t": _embedded("x5t", lambda _: "A" * 27),
    **{
        f"VF-07 {member} {url}": _embedded(member, lambda _, url=url: url)  # type: ignore[misc]
        for member in ("jku", "x5u")
        for url in (
            "https://evil.example/jwks.json",
            f"{ISSUER}@evil.example/jwks.json",
            f"{ISSUER}/redirect?to=https://evil.example",
            "http://127.0.0.1:1/jwks",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "gopher://127.0.0.1:1/",
        )
    },
    **{
        f"VF-08 kid {kid!r:.40}": _header(kid=kid)
        for kid in (
            *(None, ..., 1, 1.5, True, [], {}, ["k"], {"k": 1}, "", " ", "k" * 10_000),
            *("../../../../etc/passwd", "/dev/null", "k' OR '1'='1", "*)(uid=*"),
            *(
                "| id",
                "https://evil.example/k",
                "k\0",
                "\0",
                "__proto__",
                "constructor",
            ),
            *("__class__", "\u0430", "\ud800", "k\r\nX: y", "${jndi:ldap://x}"),
        )
    },
    "VF-08 the kid with something after it": lambda m: m.with_header(kid=m.kid + "\0"),
    "VF-08 the kid in capitals": lambda m: m.with_header(kid=m.kid.swapcase()),
    **{  # type: ignore[var-annotated]
        f"VF-11 crit {crit!r}": _header(crit=crit)
        for crit in (
            *(["x"], [], "x", None, 1, {}, ["b64"], ["alg"], ["crit"], ["exp", "exp"]),
            ["http://example.invalid/UNDEFINED"],
        )
    },
    "VF-11 crit with its extension": _header(crit=["x"], x=1),
    **{f"VF-12 b64 {b64_!r}": _header(b64=b64_) for b64_ in (False, True, 0, None)},
    "VF-12 b64 with crit": _header(b64=False, crit=["b64"]),
    **{
        f"VF-14 typ {kind!r}": _header(typ=kind)
        for kind in (
            *(..., None, "", "JWT", "jwt", "at", "at+jwt ", " at+jwt", "at+jwtx", 1),
            *("dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt"),
            *("statuslist+jwt", "id+jwt", "rt+jwt", "client-authentication+jwt"),
            *(["at+jwt"], {"typ": "at+jwt"}, "application/jwt", "text/at+jwt"),
            "application/application/at+jwt",
        )
    },
    "VF-21 a nested token": lambda m: m.token(
        header=m.header(typ="JWT", cty="JWT"), payload=m.token().encode()
    ),
    "VF-21 a nested token as access token": lambda m: m.token(
        header=m.header(cty="JWT"), payload=m.token().encode()
    ),
}

SIGNATURE: Final[dict[str, Make]] = {
    "VF-13 another key's": _other_key_same_kid,
    "VF-13 of a changed header": _flipped(0),
    "VF-13 of changed claims": _flipped(1),
    "VF-13 changed": _flipped(2),
    "VF-13 of another token": _swapped_parts,
    **{
        f"VF-13 of {size} {what} bytes": lambda m, raw=raw: m.token(sign=fixed(raw))  # type: ignore[misc]
        for size in (1, 32, 63, 64, 65, 66, 96, 132, 255, 256, 257, 384)
        for what, raw in {"zero": b"\0" * size, "full": b"\xff" * size}.items()
    },
    "VF-13 with a byte more": lambda m: m.token(sign=lambda t: m.sign(t) + b"\0"),
    "VF-13 with a byte before": lambda m: m.token(sign=lambda t: b"\0" + m.sign(t)),
    "VF-13 with a byte less": lambda m: m.token(sign=lambda t: m.sign(t)[:-1]),
    "VF-13 twice": lambda m: m.token(sign=lambda t: m.sign(t) * 2),
    "VF-13 in hexadecimal": lambda m: m.token(sign=lambda t: m.sign(t).hex().encode()),
    "VF-13 of the claims alone": lambda m: m.token(
        sign=lambda t: m.sign(t.split(b".")[1])
    ),
}

_N: Final = P256_ORDER


def _edge(r: int | None, s: int | None) -> Make:
    """An ECDSA signature with r or s (None: the right one) at an edge."""
    return lambda mint: mint.token(
        sign=ecdsa(
            mint.private,
            change=lambda good_r, good_s, _: (
                good_r if r is None else r,
                good_s if s is None else s,
            ),
        )
    )


def _der(mint: Mint) -> str:
    from cryptography.hazmat.primitives.asymmetric.utils import (  # noqa: PLC0415
        encode_dss_signature,
    )

    def sign(text: bytes) -> bytes:
        raw = mint.sign(text)
        return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))

    return mint.token(sign=sign)


ES256_EDGES: Final[dict[str, Make]] = {
    "r = s = 0": _edge(0, 0),
    "r = 0": _edge(0, None),
    "s = 0": _edge(None, 0),
    "r = n": _edge(_N, None),
    "s = n": _edge(None, _N),
    "r = s = n": _edge(_N, _N),
    "r = 0, s = n": _edge(0, _N),
    "r = n, s = 0": _edge(_N, 0),
    "r = s = 1": _edge(1, 1),
    "r = s = n - 1": _edge(_N - 1, _N - 1),
    "r = 1, s right": _edge(1, None),
    "r = 2^256 - 1": _edge(2**256 - 1, None),
    "s = 2^256 - 1": _edge(None, 2**256 - 1),
    "r the field's prime": _edge(
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF, None
    ),
    "in DER": _der,
    "in DER, r = s = 1": lambda m: m.token(sign=fixed(_DER_OF_ONES)),
    "r and s swapped": lambda m: m.token(
        sign=ecdsa(m.private, change=lambda r, s, _: (s, r))
    ),
    "little endian": lambda m: m.token(
        sign=lambda t: m.sign(t)[:32][::-1] + m.sign(t)[32:][::-1]
    ),
}

CLAIMS: Final[dict[str, Make]] = {
    **{
        f"VF-15 iss {iss!r}": _claims(iss=iss)
        for iss in (
            *("", "https://auth.exampl", f"{ISSUER}/", f"{ISSUER}.evil.example"),
            *(
                "https://AUTH.example",
                f" {ISSUER}",
                f"{ISSUER} ",
                "http://auth.example",
            ),
            *("https://auth.example\0", "https://auth.\uff45xample", [ISSUER], None, 1),
            {"url": ISSUER},
        )
    },
    **{
        f"VF-16 aud {aud!r}": _claims(aud=aud)
        for aud in (
            *("", "ap", "apis", "API", " api", "api ", "api,other", None, 1, True),
            *([], [""], ["ap"], [["api"]], [1], ["other", None], {"api": 1}, ["API"]),
        )
    },
    **{
        f"VF-17 exp {text:.20}": _spelled(exp=text)
        for text in (
            *('"1800000120"', "true", "false", "null", "[1800000120]", "{}", '""'),
            *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0", "0", "-1"),
            *("1800000120.5", "9007199254740993", "253402300800", "9" * 400, "1e300"),
            *("18446744073709551616", "1800003601", "1800000120000", "1e999"),
        )
    },
    **{
        f"VF-17 iat {text:.20}": _spelled(iat=text)
        for text in (
            *('"1800000000"', "true", "null", "[]", "NaN", "Infinity", "1e400", "-0"),
            *("0", "-1", "1800000000.5", "9" * 400, "1e300", "253402300800"),
        )
    },
    **{
        f"VF-18 nbf {text:.20}": _spelled(nbf=text)
        for text in (
            *('"1800000000"', "true", "[]", "NaN", "Infinity", "1e400", "1800000001"),
            *("9" * 400, "1e300", "1800000000.5"),
        )
    },
    "VF-18 nbf at exp": _at("nbf", 120),
    "VF-18 iat in the future": _at("iat", 11),
    "VF-18 iat in an hour": _at("iat", 3600),
    "VF-17 exp before iat and both ahead": lambda m: m.with_claims(
        iat=m.payload()["iat"] + 60, exp=m.payload()["iat"] + 30
    ),
    "VF-18 a life longer than allowed": _at("exp", 3601),
    **{
        f"VF-19 without {name}": _claims(**{name: ...})
        for name in (
            *(
                "iss",
                "sub",
                "aud",
                "exp",
                "iat",
                "jti",
                "client_id",
                "auth_time",
                "sid",
            ),
        )
    },
    **{  # type: ignore[var-annotated]
        f"VF-19 {name} {value!r}": _claims(**{name: value})
        for name in ("sub", "jti", "client_id", "sid")
        for value in ("", None, 1, True, [], ["x"], {})
    },
    "VF-19 neither session nor sign-in": _claims(sid=..., auth_time=...),
    "VF-19 neither, as null": _claims(sid=None, auth_time=None),
    "VF-19 a client's own, of another subject": _own(sub="u"),
    "VF-19 a client's own, with a session": _own(sid="s"),
    "VF-19 a client's own, with a sign-in": _own(auth_time=1_800_000_000),
    "VF-19 a client's own, with a class of sign-in": _own(acr="aal1"),
    **{
        f"VF-19 cnf {cnf!r}": _claims(cnf=cnf)
        for cnf in (
            *("", "k", 1, True, [], ["k"], {}, {"jkt": None}, {"jkt": 1}),
            *({"jkt": ["k"]}, {"x5t#S256": "x"}, {"jwk": {"kty": "EC"}}, {"kid": "k"}),
        )
    },
    "VF-19 amr as text": _claims(amr="pwd"),
    "VF-19 amr of numbers": _claims(amr=[1]),
    "VF-19 acr as a number": _claims(acr=1),
    "VF-19 acr as a list": _claims(acr=["aal1"]),
    "VF-19 auth_time as text": _claims(auth_time="1800000000"),
    "VF-19 roles as text": _claims(roles="admin"),
    "VF-19 roles of numbers": _claims(roles=[1]),
    "VF-19 scope as list": _claims(scope=["a"]),
    "VF-29 an ID token": lambda m: m.token(
        m.header(typ="JWT"), m.payload(nonce="n", sid=...)
    ),
    "VF-29 a logout token": lambda m: m.token(
        m.header(typ="logout+jwt"),
        m.payload(events={"http://schemas.openid.net/event/backchannel-logout": {}}),
    ),
    "VF-30 another tenant's, same key": _claims(iss="https://other.example"),
}

FORGERIES: Final[dict[str, Make]] = {
    **STRUCTURE,
    **ENCODING,
    **ALGORITHM,
    **HEADER,
    **SIGNATURE,
    **CLAIMS,
}

# What opens nothing ends its session all the same: a token of ours for another API, or
# for another clock.
TO_END_A_SESSION: Final = frozenset(
    {
        *(name for name in FORGERIES if name.startswith("VF-16")),
        *("VF-18 nbf at exp", "VF-18 iat in the future", "VF-18 iat in an hour"),
        *("VF-18 nbf 1800000001", "VF-17 exp before iat and both ahead"),
    }
)

GENUINE: Final[dict[str, Make]] = {
    "as issued": lambda m: m.token(),
    "typ in capitals": _header(typ="AT+JWT"),
    "typ as a full media type": _header(typ="application/at+jwt"),
    "an unknown header member": _header(other={"a": 1}),
    "a jku that nobody follows": _header(jku="https://evil.example/jwks.json"),
    "a list of audiences": _claims(aud=["other", "api"]),
    "nbf now": _at("nbf", 0),
    "an hour of life": _at("exp", 3600),
    "unknown claims": _claims(theirs={"deep": [1, None]}),
    "claims with blanks": lambda m: m.token(
        payload=json.dumps(m.payload(), indent=2).encode()
    ),
    "a subject in another script": _claims(sub="用户"),
    "a client's own": _own(),
    "methods and class of the sign-in": _claims(amr=["pwd"], acr="aal1"),
    "not bound, as null": _claims(cnf=None),
}

__all__ = [
    "ES256_EDGES",
    "FORGERIES",
    "GENUINE",
    "TO_END_A_SESSION",
    "Make",
    "b64",
]
