"""DPoP proofs as clients make them, and as attackers would like them to be."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.verify.minting import Private, Sign, b64, ecdsa, fixed, mac, nothing
from watchword.keys.signing import SigningKey

_NUMBERS: Final = itertools.count()


@cache
def _signing_key(alg: str, number: int) -> SigningKey:
    del number
    private: Private
    if alg == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    elif alg == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(65537, 2048)
    return SigningKey(private, alg)


class Prover:
    """A client's key, one of a few that are made once."""

    def __init__(self, number: int = 0, alg: str = "ES256") -> None:
        self.key = _signing_key(alg, number)
        self.jkt = self.key.kid
        self.jwk: dict[str, Any] = self.key.public.key.as_dict(private=False)

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header, changed; `...` takes a member out."""
        made = {"typ": "dpop+jwt", "alg": self.key.alg, "jwk": self.jwk, **changes}
        return {name: value for name, value in made.items() if value is not ...}

    def proof(
        self,
        method: str,
        url: str,
        now: int,
        *,
        access: str | None = None,
        header: Any = None,
        payload: bytes | None = None,
        sign: Sign | None = None,
        texts: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> str:
        """The proof of this request; claims may be changed, or be given as JSON."""
        claims = {
            "jti": f"proof-{next(_NUMBERS)}",
            "htm": method,
            "htu": url,
            "iat": now // 1000,
            "ath": ... if access is None else ath(access),
            **changes,
        }
        members = {k: json.dumps(v) for k, v in claims.items() if v is not ...}
        members |= texts or {}
        inside = ",".join(f'"{name}":{text}' for name, text in members.items())
        head = self.header() if header is None else header
        first = head if isinstance(head, bytes) else json.dumps(head).encode()
        body = f"{{{inside}}}".encode() if payload is None else payload
        text = f"{b64(first)}.{b64(body)}"
        return f"{text}.{b64((sign or self.key._signature)(text.encode()))}"


def ath(access: str) -> str:
    digest = hashlib.sha256(access.encode("utf-8", "surrogatepass")).digest()
    return b64(digest)


Forge = Callable[[Callable[..., str], Prover], str]
"""Makes a bad proof from the maker of a good one, which takes changes, and its key."""

_OTHER: Final = Prover(1)


def _changed(**changes: Any) -> Forge:
    return lambda make, _: make(**changes)


def _header(**changes: Any) -> Forge:
    return lambda make, prover: make(header=prover.header(**changes))


def _jwk(changes: dict[str, Any]) -> Forge:
    def forge(make: Callable[..., str], prover: Prover) -> str:
        jwk = {k: v for k, v in {**prover.jwk, **changes}.items() if v is not ...}
        return make(header=prover.header(jwk=jwk))

    return forge


def _text(change: Callable[[str], str]) -> Forge:
    return lambda make, _: change(make())


def _raw_header(text: bytes) -> Forge:
    return lambda make, _: make(header=text)


def _spelled(name: str, text: str) -> Forge:
    """The claim written as given, and the rest as it should be."""
    return lambda make, _: make(texts={name: text})


_SHAPES: Final[dict[str, Forge]] = {
    name: _text(change)
    for name, change in {
        "empty": lambda _: "",
        "a blank": lambda _: " ",
        "no token at all": lambda _: "proof",
        "two segments": lambda p: p.rpartition(".")[0],
        "four segments": lambda p: p + ".e30",
        "five segments": lambda p: p + ".e30.e30",
        "a thousand dots": lambda p: p + "." * 1000,
        "padding": lambda p: p + "=",
        "a blank after it": lambda p: p + " x",
        "a newline after it": lambda p: p + "\n",
        "NUL": lambda p: p + "\0",
        "not ASCII": lambda p: p + "é",
        "twice in one header": lambda p: f"{p}, {p}",
        "in quotes": lambda p: f'"{p}"',
        "a scheme before it": lambda p: f"DPoP {p}",
        "without its signature": lambda p: p.rpartition(".")[0] + ".",
        "another spelling": lambda p: p[:-1] + ("B" if p[-1] == "A" else p[-1]) + "A",
        "oversize": lambda p: p + "A" * 5000,
        "a changed claim": lambda p: p.replace(".", ".e", 1),
    }.items()
}

_HEADERS: Final[dict[str, Forge]] = {
    **{
        f"typ {typ!r}": _header(typ=typ)
        for typ in (
            *(..., None, "", "JWT", "at+jwt", "dpop", "dpop+jwt ", ["dpop+jwt"], 1),
            *("logout+jwt", "token-introspection+jwt", "application/jwt"),
        )
    },
    **{
        f"alg {alg!r}": _header(alg=alg)
        for alg in (
            *("none", "None", "", None, ..., ["ES256"], 1, "HS256", "ES384", "ES512"),
            *("RS256", "PS256", "EdDSA", "Ed25519", "es256", "ES256 ", "ES256K"),
        )
    },
    "alg none and no signature": lambda make, prover: make(
        header=prover.header(alg="none"), sign=nothing
    ),
    "alg HS256 with the public key": lambda make, prover: make(
        header=prover.header(alg="HS256"), sign=mac(json.dumps(prover.jwk).encode())
    ),
    "alg HS256 with its own key": lambda make, prover: make(
        header=prover.header(alg="HS256", jwk={"kty": "oct", "k": "AAAA"}),
        sign=mac(b"\0\0\0"),
    ),
    **{  # type: ignore[var-annotated]
        f"jwk {jwk!r}": _header(jwk=jwk)
        for jwk in (..., None, "", "{}", [], {}, 1, {"kty": "EC"}, {"kid": "k"})
    },
    "jku in the place of jwk": _header(jwk=..., jku="https://evil.example/jwks.json"),
    "x5u in the place of jwk": _header(jwk=..., x5u="http://169.254.169.254/"),
    "x5c in the place of jwk": _header(jwk=..., x5c=["MIIB"]),
    "kid in the place of jwk": lambda make, prover: make(
        header=prover.header(jwk=..., kid=prover.jkt)
    ),
    "jwk of another key": lambda make, prover: make(
        header=prover.header(jwk=_OTHER.jwk)
    ),
    "crit": _header(crit=["exp"]),
    "crit, empty": _header(crit=[]),
    "b64": _header(b64=False),
    "b64 with crit": _header(b64=False, crit=["b64"]),
    "a header that is no object": _raw_header(b"[]"),
    "a header that is no JSON": _raw_header(b"{"),
    "a header in UTF-16": _raw_header("{}".encode("utf-16")),
    "a header with a BOM": _raw_header(b"\xef\xbb\xbf{}"),
    "a header nested too deep": _raw_header(b'{"typ":' + b"[" * 900),
    "a header member twice": lambda make, prover: make(
        header=json.dumps(prover.header()).encode()[:-1] + b',"alg":"none"}'
    ),
}

_BAD_KEYS: Final[dict[str, dict[str, Any]]] = {
    "a private member": {"d": "A" * 43},
    "a symmetric member": {"k": "A" * 43},
    "no x": {"x": ...},
    "no y": {"y": ...},
    "x = 0": {"x": b64(bytes(32))},
    "y = 0": {"y": b64(bytes(32))},
    "x too long": {"x": b64(bytes(33))},
    "x too short": {"x": b64(b"\1" * 31)},
    "x of another point": {"x": _OTHER.jwk["x"]},
    "x a number": {"x": 1},
    "x with padding": {"x": "A" * 43 + "="},
    "x a megabyte, nearly": {"x": "A" * 3000},
    "crv P-384": {"crv": "P-384"},
    "crv secp256k1": {"crv": "secp256k1"},
    "crv a list": {"crv": ["P-256"]},
    "kty RSA": {"kty": "RSA"},
    "kty OKP": {"kty": "OKP", "crv": "Ed25519"},
    "kty oct": {"kty": "oct"},
}

_KEYS: Final[dict[str, Forge]] = {
    **{f"jwk with {what}": _jwk(change) for what, change in _BAD_KEYS.items()},
    **{
        f"an Ed25519 key, {what}": _header(
            alg="EdDSA", jwk={"kty": "OKP", "crv": "Ed25519", "x": b64(x)}
        )
        for what, x in {
            "the neutral point": b"\1" + bytes(31),
            "of order 4": bytes(32),
            "no point": b"\2" + bytes(31),
            "not reduced": b"\xff" * 32,
            "short": bytes(31),
        }.items()
    },
    **{
        f"an RSA key of {what}": _header(
            alg="RS256", jwk={"kty": "RSA", "n": b64(n), "e": b64(e)}
        )
        for what, (n, e) in {
            "1024 bits": (b"\xff" * 128, b"\1\0\1"),
            "16384 bits": (b"\xff" * 2048, b"\1\0\1"),
            "exponent 1": (b"\xff" * 256, b"\1"),
            "an even modulus": (b"\xff" * 255 + b"\xfe", b"\1\0\1"),
            "an even exponent": (b"\xff" * 256, b"\4"),
            "a long exponent": (b"\xff" * 256, b"\xff" * 200),
            "leading zeros": (b"\0" + b"\xff" * 256, b"\1\0\1"),
        }.items()
    },
}

_SIGNATURES: Final[dict[str, Forge]] = {
    "signed by another key": lambda make, _: make(sign=_OTHER.key._signature),
    "signed over something else": lambda make, prover: make(
        sign=lambda text: prover.key._signature(text + b" ")
    ),
    "signed twice": lambda make, prover: make(
        sign=lambda text: prover.key._signature(text) * 2
    ),
    **{
        f"a signature of {size} zero bytes": _changed(sign=fixed(bytes(size)))
        for size in (1, 63, 64, 65, 72, 256)
    },
    "a signature with r = 0": lambda make, prover: make(
        sign=ecdsa(prover.key._private, change=lambda _, s, __: (0, s))
    ),
    "a signature with s = n": lambda make, prover: make(
        sign=ecdsa(prover.key._private, change=lambda r, _, n: (r, n))
    ),
}

_CLAIMS: Final[dict[str, Forge]] = {
    **{
        f"htm {htm!r}": _changed(htm=htm)
        for htm in (..., None, "", "get", "post", "PUT", "GET,POST", ["POST"], 1, "*")
    },
    **{
        f"htu {htu!r:.50}": _changed(htu=htu)
        for htu in (
            *(..., None, "", "/", "*", 1, ["https://auth.example/oauth/token"]),
            *("https://auth.example", "https://auth.example/other", "about:blank"),
            *("https://evil.example/oauth/token", "https://auth.example.evil.example/"),
            *("https://auth.example@evil.example/oauth/token", "javascript:alert(1)"),
            *("https://auth.example/oauth/token/", "https://auth.example//oauth/token"),
            *("https://auth.example/OAUTH/TOKEN", "https://auth.example\\oauth\\token"),
            *(
                "http://auth.example/oauth/token",
                "https://auth.example:8443/oauth/token",
            ),
            *("https://auth.example/oauth%2Ftoken", "https://\uff41uth.example/"),
            *("\ud800", "https://auth.example/\ud800", "h" * 2000),
        )
    },
    **{
        f"iat {text:.20}": _spelled("iat", text)
        for text in (
            *('"1800000000"', "true", "null", "[]", "{}", "0", "-1", "1e400", "NaN"),
            *("1800000000.0", "1.8e9", "1799999000", "1800001000", "9" * 400, "-0"),
        )
    },
    "no iat": _changed(iat=...),
    **{  # type: ignore[var-annotated]
        f"jti {jti!r:.20}": _changed(jti=jti)
        for jti in (..., None, "", 1, [], {}, "j" * 300)
    },
    "claims that are no object": _changed(payload=b"[]"),
    "claims that are no JSON": _changed(payload=b"{"),
    "claims nested too deep": _changed(payload=b'{"a":' + b"[" * 900),
    "a lone surrogate, escaped": _changed(nonce="\ud800"),
    "claims with a surrogate": _changed(payload=b'{"a":"\xed\xa0\x80"}'),
}

NONCES: Final[dict[str, Forge]] = {  # type: ignore[var-annotated]
    f"nonce {nonce!r:.20}": _changed(nonce=nonce)
    for nonce in (..., None, "", 1, [], {}, "nonce", "A" * 24, "A" * 2000)
}

HASHES: Final[dict[str, Forge]] = {  # type: ignore[var-annotated]
    f"ath {value!r:.20}": _changed(ath=value)
    for value in (..., None, "", 1, [], ath(""), ath("x"), ath("x") + "=", "\ud800")
}

PROOFS: Final[dict[str, Forge]] = {
    **_SHAPES,
    **_HEADERS,
    **_KEYS,
    **_SIGNATURES,
    **_CLAIMS,
}
