"""The catalogue of DPoP proofs: a name, and how to make it.

After RFC 9449 §4.3 and the field's attacks on JWS. `GOOD` all pass; `BAD` are all
refused, and none of them for want of a nonce.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tests.verify.minting import ALGORITHMS, Mint, b64, fixed, mac, nothing, private_key
from tests.verify.proving import Place, Prover
from watchword.core import limits
from watchword.verify import DPOP_ALGORITHMS

Make = Callable[[Prover, Place], str]


def with_header(**changes: Any) -> Make:
    return lambda prover, place: prover.proof(prover.header(**changes), place.claims())


def with_claims(**changes: Any) -> Make:
    return lambda prover, place: prover.proof(payload=place.claims(**changes))


def with_jwk(**changes: Any) -> Make:
    return lambda prover, place: prover.proof(
        prover.header(jwk=prover.jwk | changes), place.claims()
    )


def _late(seconds: int) -> Make:
    return lambda prover, place: prover.proof(
        payload=place.claims(iat=place.clock.now // 1000 + seconds)
    )


def _parts(pattern: str) -> Make:
    """Of the segments h, p and s of a good proof, put together otherwise."""

    def make(prover: Prover, place: Place) -> str:
        segments = dict(zip("hps", place.proof(prover).split("."), strict=True))
        return "".join(segments.get(char, char) for char in pattern)

    return make


def _raw(how: Callable[[bytes], bytes]) -> tuple[Make, Make]:
    """A good header, and good claims, with something done to their JSON."""

    def header(prover: Prover, place: Place) -> str:
        text = json.dumps(prover.header()).encode()
        return prover.proof(how(text), place.claims())

    def claims(prover: Prover, place: Place) -> str:
        return prover.proof(payload=how(json.dumps(place.claims()).encode()))

    return header, claims


def _spelled(name: str, text: str) -> Make:
    """Claims with one value written as given."""

    def make(prover: Prover, place: Place) -> str:
        body = json.dumps(place.claims(**{name: ...}))[:-1]
        return prover.proof(payload=f'{body},"{name}":{text}}}'.encode())

    return make


GOOD: Final[dict[str, Make]] = {
    "typ in capitals": with_header(typ="DPOP+JWT"),
    "typ as a full media type": with_header(typ="application/dpop+jwt"),
    "an unknown header member": with_header(
        other={"a": [1]}, kid="k", jku="https://e/"
    ),
    "an unknown claim": with_claims(other={"a": [1]}, exp=1, aud="x"),
    "a key with what describes it": with_jwk(
        kid="k", use="sig", alg="ES256", key_ops=["verify"], ext=True, x5c=["MIIB"]
    ),
    "an ath where there is no token": with_claims(ath="x"),
    "a jti of 256 characters": with_claims(jti="j" * 256),
    "a jti in another script": with_claims(jti="识别"),
    "ten seconds old": _late(-10),
    "ten seconds ahead": _late(10),
    "as old as may be": _late(-limits.DPOP_CLOCK // 1000),
    "as far ahead as may be": _late(limits.DPOP_CLOCK // 1000),
}


def _by_publicwith_jwk(form: str) -> Make:
    """HS256, with the public key that anybody knows as the secret."""

    def make(prover: Prover, place: Place) -> str:
        mint = Mint(prover.private, prover.alg, now=place.clock.now)
        sign = mac(mint.public_forms()[form])
        return prover.proof(prover.header(alg="HS256"), place.claims(), sign=sign)

    return make


def _signed_by_another(prover: Prover, place: Place) -> str:
    return prover.proof(payload=place.claims(), sign=Prover(number=1).sign)


def _unlike_signed(part: int) -> Make:
    """The header or the claims of another good proof, under this one's signature."""

    def make(prover: Prover, place: Place) -> str:
        parts = place.proof(prover).split(".")
        others = place.proof(Prover(number=1)).split(".")
        return ".".join([*parts[:part], others[part], *parts[part + 1 :]])

    return make


def _private(member: str) -> Make:
    return with_jwk(**{member: b64(b"x" * 32)})


def _other_alg(alg: str, signer: str) -> Make:
    """The key of one kind under the name of another's algorithm."""

    def make(_: Prover, place: Place) -> str:
        prover = Prover(signer)
        return prover.proof(prover.header(alg=alg), place.claims())

    return make


def _access_token(prover: Prover, place: Place) -> str:
    mint = Mint(private_key("ES256"), "ES256", now=place.clock.now)
    return mint.token(mint.header(jwk=mint.key.jwk()), mint.payload(**place.claims()))


def _more(members: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text[:-1] + b"," + members + b"}"


_NOT_STRICT: Final[dict[str, Callable[[bytes], bytes]]] = {
    "cut short": lambda text: text[:-1],
    "in an array": lambda text: b"[" + text + b"]",
    "as text": lambda text: json.dumps(text.decode()).encode(),
    "of null": lambda _: b"null",
    "of nothing": lambda _: b" ",
    "with a BOM": lambda text: b"\xef\xbb\xbf" + text,
    "in UTF-16": lambda text: text.decode().encode("utf-16"),
    "with more after it": lambda text: text + b"{}",
    "with a NUL after it": lambda text: text + b"\0",
    "with a comment": lambda text: text + b"/**/",
    "with overlong UTF-8": _more(b'"a":"\xc0\x80"'),
    "nested too deep": _more(b'"a":' + b"[" * 1100 + b"]" * 1100),
    "with NaN": _more(b'"a":NaN'),
    "with Infinity": _more(b'"a":-Infinity'),
    "with an unknown member twice": _more(b'"a":1,"a":1'),
    "with jti, typ twice": _more(b'"jti":"x","jti":"y","typ":"dpop+jwt"'),
}

BAD: Final[dict[str, Make]] = {
    "a jti with a lone surrogate": with_claims(jti="\ud800"),
    # Well formed (check 2).
    **{
        f"shaped {pattern!r}": _parts(pattern)
        for pattern in (
            *("", "h", "h.p", "h.p.s.s", "h.p.s.s.s", ".h.p.s", "h.p.s.", "..", ".p.s"),
            *("h..s", "h.p.", "h.p.s=", " h.p.s", "h.p.s ", "h.p.s\n", "h.\np.s"),
            *("h.p.s\0", "h.p.+/+/", "h.p.sé", "p.h.s", "h.p.s,h.p.s", "h.p.sA"),
        )
    },
    **{f"a header {what}": _raw(how)[0] for what, how in _NOT_STRICT.items()},
    **{f"claims {what}": _raw(how)[1] for what, how in _NOT_STRICT.items()},
    "larger than allowed": with_claims(other="x" * 4096),
    "a megabyte": lambda prover, place: place.proof(prover) + "A" * 1_000_000,
    # All that must be there (check 3), and of its type.
    **{f"without {name}": with_claims(**{name: ...}) for name in ("jti", "htm", "htu")},
    "without iat": with_claims(iat=...),
    **{  # type: ignore[var-annotated]
        f"{name} {value!r}": with_claims(**{name: value})
        for name in ("jti", "htm", "htu")
        for value in ("", None, 1, True, [], ["POST"], {})
    },
    "a jti of 257 characters": with_claims(jti="j" * 257),
    # Its type and algorithm (checks 4 and 5).
    **{
        f"typ {kind!r}": with_header(typ=kind)
        for kind in (
            *(..., None, "", "JWT", "at+jwt", "application/at+jwt", "dpop", 1, []),
            *("dpop+jwt ", "dpop+jwtx", "logout+jwt", "text/dpop+jwt", ["dpop+jwt"]),
        )
    },
    **{  # type: ignore[var-annotated]
        f"alg {alg!r}": with_header(alg=alg)
        for alg in (
            *(..., None, "", 1, [], ["ES256"], {}, "none", "None", "NONE", "HS256"),
            *("HS384", "HS512", "ES384", "ES512", "ES256K", "RS384", "PS384", "Ed448"),
            *("es256", " ES256", "RS1", "RSA1_5", "dir", "unknown"),
        )
    },
    "alg none, and no signature but a byte": lambda prover, place: prover.proof(
        prover.header(alg="none"), place.claims(), sign=fixed(b"x")
    ),
    "alg none, unsigned": lambda prover, place: prover.proof(
        prover.header(alg="none"), place.claims(), sign=nothing
    ),
    "HS256 with the public key in PEM": _by_publicwith_jwk("PEM"),
    "HS256 with the public key in DER": _by_publicwith_jwk("DER"),
    "HS256 with the public key as JWK": _by_publicwith_jwk("JWK without blanks"),
    "an access token as a proof": _access_token,
    **{f"crit {crit!r}": with_header(crit=crit) for crit in (["x"], [], ["b64"], None)},
    "b64 false": with_header(b64=False),
    "b64 true": with_header(b64=True),
    # Its signature, by the key in it (check 6).
    "signed by another key": _signed_by_another,
    **{f"another's part {part}": _unlike_signed(part) for part in range(3)},
    "a signature of zeros": lambda prover, place: prover.proof(
        payload=place.claims(), sign=fixed(bytes(64))
    ),
    "a signature of one byte": lambda prover, place: prover.proof(
        payload=place.claims(), sign=fixed(b"\0")
    ),
    # Its key: public, and of the kind that the algorithm needs (checks 5 to 7).
    **{  # type: ignore[var-annotated]
        f"jwk {value!r}": with_header(jwk=value)
        for value in (..., None, "", "k", 1, [], {}, [{}], "https://e/k", {"kty": "EC"})
    },
    **{
        f"jwk with {member}": _private(member)
        for member in ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")
    },
    "jwk with d of null": with_jwk(d=None),
    **{  # type: ignore[var-annotated]
        f"kty {kty!r}": with_jwk(kty=kty)
        for kty in ("oct", "RSA", "ec", "", None, 1, [])
    },
    **{
        f"a key for {signer} under {alg}": _other_alg(alg, signer)
        for alg in DPOP_ALGORITHMS
        for signer in ALGORITHMS
        if (alg[:2], signer[:2]) not in {("Ed", "Ed"), ("PS", "PS")} and alg != signer
    },
    # Its method (check 8); the URL has tables of its own.
    "htm GET": with_claims(htm="GET"),
    "htm in small letters": with_claims(htm="post"),
    "htm with a blank": with_claims(htm="POST "),
    # Its time (check 11).
    "too old": _late(-limits.DPOP_CLOCK // 1000 - 1),
    "too far ahead": _late(limits.DPOP_CLOCK // 1000 + 1),
    "an hour old": _late(-3600),
    "an hour ahead": _late(3600),
    **{
        f"iat {text:.20}": _spelled("iat", text)
        for text in (
            *('"1800000000"', "true", "null", "[]", "{}", "1800000000.0", "18e8", "-1"),
            *("0", "NaN", "1e999", "9" * 400, "1800000000000", "-1800000000"),
        )
    },
}


PLACE: Final = "https://auth.example/api/auth"
SAME_URL: Final = (
    f"{PLACE}/refresh",
    f"{PLACE}/refresh?query=ignored&x=%zz",
    f"{PLACE}/refresh#fragment",
    f"{PLACE}/refresh?a#b?c",
    "HTTPS://auth.example/api/auth/refresh",
    "https://AUTH.Example/api/auth/refresh",
    "https://auth.example:443/api/auth/refresh",
    "https://auth.example:/api/auth/refresh",
    "https://%61uth.ex%41mple/api/auth/refresh",
    "https://auth.example/%61pi/auth/re%66resh",
    "https://auth.example/%61PI/../api/auth/refresh",
    f"{PLACE}/./refresh",
    f"{PLACE}/x/../refresh",
    f"{PLACE}/x/%2e%2E/refresh",
    "https://auth.example/../../api/auth/refresh",
)
OTHER_URL: Final = (
    f"{PLACE}/refresh/",
    f"{PLACE}/Refresh",
    f"{PLACE}//refresh",
    f"{PLACE}/refresh/.",
    f"{PLACE}/refresh/..",
    f"{PLACE}/refresh/x",
    f"{PLACE}/refresh%2F",
    f"{PLACE}%2Frefresh",
    f"{PLACE}/refresh%00",
    f"{PLACE}/refresh%3Fx",
    f"{PLACE}/refresh;x",
    f"{PLACE}\\refresh",
    f" {PLACE}/refresh",
    f"{PLACE}/refresh ",
    f"{PLACE}/refresh\n",
    f"{PLACE}/ref\tresh",
    f"{PLACE}/re%fresh",
    f"{PLACE}/re%6",
    f"{PLACE}/réfresh",
    f"{PLACE}/refresh?\x7f",
    "http://auth.example/api/auth/refresh",
    "http://auth.example:443/api/auth/refresh",
    "https://auth.example:80/api/auth/refresh",
    "https://auth.example:0443/api/auth/refresh",
    "https://auth.example:443x/api/auth/refresh",
    "https://auth.example./api/auth/refresh",
    "https://auth.example.evil.example/api/auth/refresh",
    "https://evil.example/https://auth.example/api/auth/refresh",
    "https://auth.example@evil.example/api/auth/refresh",
    "https://user@auth.example/api/auth/refresh",
    "https://auth\uff0eexample/api/auth/refresh",
    "https://[::1]/api/auth/refresh",
    "https:///api/auth/refresh",
    "https:/auth.example/api/auth/refresh",
    "//auth.example/api/auth/refresh",
    "/api/auth/refresh",
    "auth.example/api/auth/refresh",
    "ftp://auth.example/api/auth/refresh",
    "\ud800",
)
