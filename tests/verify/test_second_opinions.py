"""What we issue, other libraries accept; and the examples of the RFCs."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any

import jwt
import pytest
from joserfc.errors import InvalidKeyCurveError, InvalidKeyTypeError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwcrypto import jwk, jws  # type: ignore[import-untyped]

from tests.verify.minting import ALGORITHMS, AUDIENCE, ISSUER, private_key
from watchword.background import Background
from watchword.bootstrap.parts import policies_of
from watchword.config import Settings
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import Authenticated, SessionOptions
from watchword.keys.ring import KeyRing
from watchword.keys.signing import SigningKey
from watchword.keys.vault import derive
from watchword.ports import Stores
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions import Sessions
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy
from watchword.verify import Checker, PublicKey

SECRET = b"the-server-secret-of-these-tests-0123456789"


def b64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Issuer:
    """Sessions and keys over a store in memory."""

    def __init__(self, stores: Stores, alg: Any) -> None:
        self.clock, entropy = ManualClock(), SeededEntropy(alg)
        self.keys = KeyRing(
            keys=stores.keys,
            secrets=[SECRET],
            alg=alg,
            clock=self.clock,
            entropy=entropy,
        )
        self.revocations = RevocationTracker(
            sessions=stores.sessions, clock=self.clock, monotonic=ManualClock(0)
        )
        self.sessions = Sessions(
            background=Background(),
            sessions=stores.sessions,
            audit=stores.audit,
            tokens=RefreshTokens([derive(SECRET, "refresh-token-mac")]),
            keys=self.keys,
            revocations=self.revocations,
            policies=policies_of(Settings()),
            issuer=ISSUER,
            clock=self.clock,
            entropy=entropy,
        )

    async def some_tokens(self) -> list[str]:
        """Of sign-ins and refreshes, with roles and without."""
        tokens = []
        for number in range(10):
            roles = ("admin",) if number % 2 else ()
            user = Authenticated.by_password(
                number.to_bytes(16), roles, at=self.clock()
            )
            options = SessionOptions(client_id="first-party")
            signed_in = await self.sessions.start(user, options)
            tokens.append(signed_in.access_token)
            signed_in = await self.sessions.refresh(
                signed_in.refresh_token, client_id="first-party"
            )
            tokens.append(signed_in.access_token)
        return tokens


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_pyjwt_and_jwcrypto_accept_every_token_from_the_jwks_alone(
    alg: str,
) -> None:
    stores = await open_stores("memory:", SeededEntropy("store"))
    issuer = Issuer(stores, alg)
    await issuer.keys.start()
    await issuer.revocations.follow()
    document = issuer.keys.jwks.decode()
    theirs = jwt.PyJWKSet.from_json(document)
    others = jwk.JWKSet.from_json(document)
    verifier = Checker(
        issuer=ISSUER,
        audience=AUDIENCE,
        key_of=issuer.keys.public_key,
        has_ended=issuer.revocations.has_ended,
        clock=issuer.clock,
    )
    for token in await issuer.some_tokens():
        ours = verifier.verify(token)
        header = jwt.get_unverified_header(token)
        assert header["typ"] == "at+jwt"
        assert header["alg"] == alg
        claims = jwt.decode(
            token,
            theirs[header["kid"]],
            algorithms=[alg],
            issuer=ISSUER,
            audience=AUDIENCE,
            # The clock of this test stands in 2027.
            options={"verify_iat": False, "verify_exp": False},
        )
        assert (claims["sid"], claims["sub"]) == (ours.sid, ours.sub)
        assert claims["exp"] - claims["iat"] == 120
        signed = jws.JWS()
        signed.allowed_algs = [alg]
        signed.deserialize(token)
        signed.verify(others.get_key(header["kid"]))
        assert json.loads(signed.payload) == claims
        # A key that others know by this id has this thumbprint (RFC 7638).
        assert others.get_key(header["kid"]).thumbprint() == header["kid"]
    await stores.backend.close()


def test_the_published_keys_hold_no_private_part() -> None:
    for alg in ALGORITHMS:
        shown = SigningKey(private_key(alg), alg).jwk()
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set(shown)
        assert (shown["use"], shown["alg"]) == ("sig", alg)


EC_OF_RFC_7515: dict[str, str | list[str]] = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RSA_OF_RFC_7638: dict[str, str | list[str]] = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxu"
        "hDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_R"
        "N5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvR"
        "L5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_x"
        "BniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
}


def test_rfc_7515_a3_es256() -> None:
    key = PublicKey("k", "ES256", ECKey.import_key(EC_OF_RFC_7515))
    signed = (
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6"
        "Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ).encode("ascii")
    signature = b64url(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
        "pmWQxfKTUJqPP3-Kg6NU1Q"
    )
    assert key.verifies(signed, signature)
    assert not key.verifies(signed + b"x", signature)
    assert not key.verifies(signed, signature[:-1])


def test_rfc_8037_a4_eddsa() -> None:
    public: dict[str, str | list[str]] = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }
    key = PublicKey("k", "EdDSA", OKPKey.import_key(public))
    signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    signature = b64url(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt"
        "9g7sVvpAr_MuM0KAg"
    )
    assert key.verifies(signed, signature)
    assert not key.verifies(signed[:-1], signature)
    # RFC 8037 A.3
    assert key.key.thumbprint() == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_rfc_7638_thumbprint() -> None:
    key = RSAKey.import_key(RSA_OF_RFC_7638)
    assert key.thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("made_for", ALGORITHMS)
def test_a_key_is_bound_to_the_one_algorithm_that_goes_with_it(
    alg: str, made_for: str
) -> None:
    key = SigningKey(private_key(made_for), made_for).public.key
    if alg == made_for:
        assert PublicKey("k", alg, key).alg == alg
    else:
        with pytest.raises((InvalidKeyTypeError, InvalidKeyCurveError)):
            PublicKey("k", alg, key)


@pytest.mark.parametrize("curve", ["P-384", "P-521", "secp256k1"])
def test_es256_takes_no_other_curve(curve: Any) -> None:
    with pytest.raises((InvalidKeyTypeError, InvalidKeyCurveError)):
        PublicKey("k", "ES256", ECKey.generate_key(curve))


@pytest.mark.parametrize("curve", ["Ed448", "X25519", "X448"])
def test_eddsa_takes_no_other_curve(curve: Any) -> None:
    with pytest.raises(InvalidKeyCurveError):
        PublicKey("k", "EdDSA", OKPKey.generate_key(curve))
