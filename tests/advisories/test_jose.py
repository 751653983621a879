"""Section 1 of the advisories: JWT and JOSE, over HTTP and against the verifier."""

from __future__ import annotations

import ast
import builtins
import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import watchword
from tests.advisories.conftest import Serve
from tests.scenarios.api import BASE, LocalApi, bearer, code_of
from tests.verify.catalogue import (
    ES256_EDGES,
    FORGERIES,
    TO_END_A_SESSION,
    Make,
    about,
)
from tests.verify.minting import (
    ALGORITHMS,
    Bench,
    Mint,
    ecdsa,
    fixed,
    mac,
    nothing,
    private_key,
    rsa_pss,
)
from watchword.config import load_settings
from watchword.errors import KeyRingError, SettingsError, WatchwordError
from watchword.keys.ring import KeyRing
from watchword.ports.audit import Event, EventType
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy
from watchword.verify import PublicKey

pytestmark = pytest.mark.usefixtures("no_connections")
SOURCE = Path(watchword.__file__).parent
REFUSED = {"token_invalid", "invalid_request"}
# Blanks around a token belong to the header (RFC 9110 §5.5, RFC 6750 §2.1).
NO_FORGERY_IN_A_HEADER = {"VF-01 a leading blank", "VF-01 a trailing blank"}


async def mint_of(api: LocalApi) -> Mint:
    """Whoever holds the server's own signing key, with a living session to name."""
    tokens = await api.login()
    claims = api.engine.checker.verify(tokens["accessToken"])
    active = api.engine.keys.active
    mint = Mint(
        active._private,
        active.alg,
        now=api.clock.now,
        sid=tokens["sessionId"],
        sub=claims.sub,
    )
    assert code_of(await api.secure(mint.token())) == "ok"
    return mint


EVERYTHING = (("GET", "secure"), ("GET", "me"), ("POST", "logout"))


async def refused(
    api: LocalApi, token: str, places: Sequence[tuple[str, str]] = EVERYTHING
) -> None:
    """Everywhere that takes an access token: 401 or 400, its code, its challenge."""
    raw: Any = {"Authorization": f"Bearer {token}".encode()}
    for method, path in places:
        answer = await api.client.request(method, f"{BASE}/{path}", headers=raw)
        assert code_of(answer) in REFUSED, (path, answer.text)
        challenged = "www-authenticate" in answer.headers
        assert challenged == (answer.status_code == 401)


def names(*starts: str) -> list[str]:
    found = [name for name in FORGERIES if name.startswith(starts)]
    assert found
    return found


@pytest.mark.parametrize("form", Bench("ES256").mint.public_forms())
async def test_cve_2022_29217_public_key_as_hmac_secret(
    api: LocalApi, form: str
) -> None:
    mint = await mint_of(api)
    sign = mac(mint.public_forms()[form])
    for alg in ("HS256", "ES256"):
        await refused(api, mint.token(mint.header(alg=alg), sign=sign))


@pytest.mark.parametrize("form", ["DER", "OpenSSH", "OpenSSH with comment"])
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_cve_2024_33663_der_and_openssh_keys_as_hmac_secret(
    alg: str, form: str
) -> None:
    bench = Bench(alg)
    for digest in ("sha256", "sha384", "sha512"):
        header = bench.mint.header(alg=f"HS{digest[3:]}")
        sign = mac(bench.mint.public_forms()[form], digest)
        assert bench.code_of(bench.mint.token(header, sign=sign)) == "token_invalid"


async def test_cve_2026_48526_the_published_jwks_as_hmac_secret(api: LocalApi) -> None:
    mint = await mint_of(api)
    document = (await api.client.get("/.well-known/jwks.json")).content
    secrets = [document]
    for key in json.loads(document)["keys"]:
        secrets += [json.dumps(key).encode(), msgspec.json.encode(key)]
        secrets += [str(value).encode() for value in key.values()]
    for secret in secrets:
        await refused(api, mint.token(mint.header(alg="HS256"), sign=mac(secret)))


@pytest.mark.parametrize(
    "form", [form for form in Bench("RS256").mint.public_forms() if "PEM" in form]
)
def test_cve_2026_102268_a_pem_with_altered_white_space_as_hmac_secret(
    form: str,
) -> None:
    bench = Bench("RS256")
    secret = bench.mint.public_forms()[form]
    for changed in (secret, b"\t" + secret, secret.replace(b"\n", b"\r\n\r\n")):
        token = bench.mint.token(bench.mint.header(alg="HS256"), sign=mac(changed))
        assert bench.code_of(token) == "token_invalid"


async def test_cve_2026_48523_any_other_algorithm(api: LocalApi) -> None:
    mint = await mint_of(api)
    for name in names("VF-05", "VF-06"):
        with about(name):
            await refused(api, FORGERIES[name](mint))


def test_cve_2026_102266_empty_hmac_key() -> None:
    for alg in ALGORITHMS:
        bench = Bench(alg)
        for secret in (b"", b"\0", b" ", b"\n", b"null", b"{}", b"secret"):
            token = bench.mint.token(bench.mint.header(alg="HS256"), sign=mac(secret))
            assert bench.code_of(token) == "token_invalid"


@pytest.mark.parametrize("secret", ["short", "s" * 31, "s" * 32 + " short"])
def test_cve_2026_49852_the_server_refuses_a_short_secret(secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(secret=secret)
    assert "short" not in str(caught.value)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "noNe", ""])
@pytest.mark.parametrize("signature", [b"", b"x", b"\0" * 64])
async def test_cve_2026_28802_alg_none(
    api: LocalApi, alg: str, signature: bytes
) -> None:
    mint = await mint_of(api)
    await refused(api, mint.token(mint.header(alg=alg), sign=fixed(signature)))
    await refused(api, mint.token(sign=fixed(signature)))


async def test_cve_2026_27962_a_key_that_the_header_offers(api: LocalApi) -> None:
    """And nobody goes to fetch one: `no_connections` would fail the test."""
    mint = await mint_of(api)
    for name in names("VF-07"):
        with about(name):
            await refused(api, FORGERIES[name](mint))


async def test_cve_2026_32597_unknown_crit(api: LocalApi) -> None:
    mint = await mint_of(api)
    for name in names("VF-11"):
        with about(name):
            await refused(api, FORGERIES[name](mint))


async def test_cve_2026_48525_unencoded_payload(api: LocalApi) -> None:
    mint = await mint_of(api)
    for name in names("VF-12"):
        with about(name):
            await refused(api, FORGERIES[name](mint))


def test_cve_2026_48525_is_refused_quickly() -> None:
    bench = Bench("ES256")
    header = bench.mint.header(b64=False, crit=["b64"])
    token = bench.mint.token(header, payload=b"." * 5_000_000)
    began = time.process_time()
    assert bench.code_of(token) == "token_invalid"
    assert time.process_time() - began < 2


def test_cve_2026_48522_no_key_is_ever_loaded_from_elsewhere() -> None:
    """What judges tokens, and what serves, imports nothing that could fetch.

    `Verifier` asks its issuer, whatever a token says: tests/verify has what it refuses.
    """
    asks = {
        SOURCE / "verify" / f"{name}.py" for name in ("fetching", "verifier", "sync")
    }
    asks.add(SOURCE / "cli" / "browser.py")  # the command `login` is a client
    asks.add(SOURCE / "webhooks" / "posting.py")  # posts events, and reads no key
    fetching = {
        "urllib.request",
        "http.client",
        "requests",
        "httpx",
        "httpx2",
        "aiohttp",
    }
    fetching |= {"ftplib", "urllib3"}
    for file in SOURCE.rglob("*.py"):
        text = file.read_text("utf-8")
        # An import spells every part of the name: most files need no parsing.
        if not any(all(map(text.__contains__, n.split("."))) for n in fetching):
            continue
        for node in ast.walk(ast.parse(text)):
            imported: set[str] = set()
            if isinstance(node, ast.Import):
                imported = {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module:
                imported = {node.module}
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
            of_client = SOURCE / "client" in file.parents  # which trusts no key
            assert not imported & fetching or file in asks or of_client, file


async def test_cve_2026_102269_another_spelling_of_a_revoked_token(
    api: LocalApi,
) -> None:
    mint = await mint_of(api)
    token = mint.token()
    malleable = mint.token(
        sign=ecdsa(mint.private, change=lambda r, s, order: (r, order - s))
    )
    assert code_of(await api.secure(malleable)) == "ok"
    for respelled in (
        FORGERIES["VF-02 another spelling of the signature"](mint),
        *(token + more for more in ("=", "==", ".", "A", "AAAA", "\t")),
        token.replace(".", "=.", 1),
    ):
        await refused(api, respelled)
    await api.client.post(f"{BASE}/logout", headers=bearer(token))
    assert code_of(await api.secure(token)) == "token_revoked"
    assert code_of(await api.secure(malleable)) == "token_revoked"


@pytest.mark.parametrize("damage", ["sealed", "kid", "alg", "empty"])
async def test_cve_2026_102274_a_corrupt_key_is_refused_at_start(damage: str) -> None:
    stores = await open_stores("memory:", SeededEntropy())
    clock = ManualClock()
    await KeyRing(
        keys=stores.keys,
        secrets=[b"s" * 32],
        alg="ES256",
        clock=clock,
        entropy=SeededEntropy(),
    ).start()
    revision, rows = await stores.keys.load()
    changed: dict[str, Any] = {
        "sealed": {"sealed": rows[0].sealed[:-1] + bytes([rows[0].sealed[-1] ^ 1])},
        "kid": {"kid": "another"},
        "alg": {"alg": "EdDSA"},
        "empty": {"sealed": b""},
    }
    broken = msgspec.structs.replace(rows[0], **changed[damage])
    event = Event(type=EventType.KEY_CHANGED, at=clock.now)
    assert await stores.keys.swap(revision, [broken, *rows[1:]], event)
    with pytest.raises(KeyRingError, match="unsealed"):
        await KeyRing(
            keys=stores.keys,
            secrets=[b"s" * 32],
            alg="ES256",
            clock=clock,
            entropy=SeededEntropy(),
        ).start()
    await stores.backend.close()


async def test_cve_2024_53861_issuer_compared_whole(api: LocalApi) -> None:
    mint = await mint_of(api)
    for name in names("VF-15"):
        with about(name):
            await refused(api, FORGERIES[name](mint))


@pytest.mark.parametrize("size", [1_000_000, 10_000_000])
async def test_cve_2025_61920_huge_segments(api: LocalApi, size: int) -> None:
    """The verifier alone is held to a bound in tests/verify: no memory, no time."""
    mint = await mint_of(api)
    head, body, signature = mint.parts()
    for token in (
        f"{'A' * size}.{body}.{signature}",
        f"{head}.{'A' * size}.{signature}",
        f"{head}.{body}.{'A' * size}",
    ):
        answer = await api.secure(token)
        assert code_of(answer) == "token_invalid"


@pytest.mark.parametrize("count", [4, 1000, 10**6])
async def test_cve_2025_30204_dots(api: LocalApi, count: int) -> None:
    mint = await mint_of(api)
    for token in ("." * count, mint.token() + "." * count, "A." * (count // 2)):
        assert code_of(await api.secure(token)) == "token_invalid"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RSA-OAEP", "enc": "A256GCM"},
        {"alg": "RSA1_5", "enc": "A128CBC-HS256"},
        {"alg": "dir", "enc": "A256GCM", "zip": "DEF"},
        {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31, "p2s": "AAAA"},
        {"alg": "ECDH-ES", "enc": "A128GCM", "epk": {"kty": "EC", "crv": "P-256"}},
    ],
    ids=lambda header: header["alg"],
)
async def test_cve_2024_33664_encrypted_tokens_are_not_opened(
    api: LocalApi, header: dict[str, Any]
) -> None:
    mint = await mint_of(api)
    head, body, signature = mint.token(mint.header(**header)).split(".")
    began = time.process_time()
    await refused(api, f"{head}.{body}.{body}.{body}.{signature}")
    await refused(api, f"{head}..{body}.{body}.{signature}")
    await refused(api, f"{head}.{body}.{signature}")
    assert time.process_time() - began < 2


async def test_cve_2026_44459_dates_that_are_none(api: LocalApi) -> None:
    mint = await mint_of(api)
    for name in names("VF-17", "VF-18"):
        with about(name):
            token = FORGERIES[name](mint)
            assert code_of(await api.secure(token)) == "token_invalid"


async def test_ghsa_wxg7_w2v3_w38g_a_claim_missing_or_of_another_type(
    api: LocalApi,
) -> None:
    mint = await mint_of(api)
    for name in names("VF-19", "VF-16"):
        with about(name):
            places = EVERYTHING[:-1] if name in TO_END_A_SESSION else EVERYTHING
            await refused(api, FORGERIES[name](mint), places)


async def test_cve_2026_81829_kid_is_never_a_path(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    mint = await mint_of(api)
    for name in names("VF-08"):
        with about(name):
            token = FORGERIES[name](mint)

            def no_files(*_: object, **__: object) -> None:
                raise AssertionError("a file was opened")

            with monkeypatch.context() as patched:
                for module in (builtins, io, os):
                    patched.setattr(module, "open", no_files)
                answer = await api.secure(token)
            assert code_of(answer) == "token_invalid"


async def test_cve_2025_65015_no_token_in_errors_or_logs(api: LocalApi) -> None:
    """The canary looks at what was logged and answered; here, at the errors."""
    mint = await mint_of(api)
    for name, make in FORGERIES.items():
        token = make(mint)
        try:
            api.engine.checker.verify(token)
        except WatchwordError as error:
            said = repr(error) + repr(error.args) + str(error)
            assert not [
                part for part in token.split(".") if len(part) > 8 and part in said
            ], name


def test_cve_2016_7036_secrets_are_compared_in_constant_time() -> None:
    """No `==` on a name that holds a MAC, a tag, a hash or a secret."""
    telling = ("mac", "tag", "secret", "hash", "digest", "signature")
    found = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Compare):
                continue
            if not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                continue
            for side in (node.left, *node.comparators):
                name = getattr(side, "attr", getattr(side, "id", ""))
                if name.split("_")[-1] in telling or name.endswith("_hash"):
                    found.append(f"{file.relative_to(SOURCE)}: {ast.unparse(node)}")
    assert not found


async def test_cve_2024_51744_expired_and_badly_signed_is_not_expired(
    api: LocalApi,
) -> None:
    mint = await mint_of(api)
    api.clock.advance(3_600_000)
    assert code_of(await api.secure(mint.token())) == "token_expired"
    for sign in (nothing, fixed(b"x" * 64), mac(b"x")):
        assert code_of(await api.secure(mint.token(sign=sign))) == "token_invalid"


@pytest.mark.parametrize("name", ES256_EDGES)
async def test_cve_2022_21449_psychic_signatures(api: LocalApi, name: str) -> None:
    await refused(api, ES256_EDGES[name](await mint_of(api)))


@pytest.mark.parametrize("held", ALGORITHMS)
@pytest.mark.parametrize("said", [*ALGORITHMS, "PS256", "ES384", "RS512"])
def test_cve_2026_44699_algorithm_and_key_of_another_kind(held: str, said: str) -> None:
    bench = Bench(held)
    token = bench.mint.with_header(alg=said)
    assert bench.code_of(token) == ("ok" if said == held else "token_invalid")
    if held == "RS256" and said == "PS256":
        sign = rsa_pss(bench.mint.private)
        token = bench.mint.token(bench.mint.header(alg=said), sign=sign)
        assert bench.code_of(token) == "token_invalid"
    assert isinstance(bench.mint.key.public, PublicKey)


async def test_wycheproof_signatures_that_are_none(api: LocalApi) -> None:
    mint = await mint_of(api)
    for name in names("VF-13"):
        with about(name):
            await refused(api, FORGERIES[name](mint))


@pytest.mark.parametrize("alg", ["EdDSA", "RS256"])
async def test_the_whole_catalogue_over_http(
    serve: Serve, alg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ES256 is attacked one by one above; here the other two, all at once."""
    monkeypatch.setattr("watchword.keys.signing.generate", _quick_key)
    async with serve(settings={"signing_alg": alg}) as api:
        mint = await mint_of(api)
        assert mint.alg == alg
        every: dict[str, Make] = FORGERIES
        for name, make in every.items():
            if name in NO_FORGERY_IN_A_HEADER:
                continue
            raw: Any = {"Authorization": b"Bearer " + make(mint).encode()}
            answer = await api.client.get(f"{BASE}/secure", headers=raw)
            assert code_of(answer) in REFUSED, name


def _quick_key(alg: Any) -> Any:
    from watchword.keys.signing import SigningKey  # noqa: PLC0415

    numbers = _quick_key.__dict__.setdefault("drawn", iter(range(100, 1000)))
    return SigningKey(private_key(alg, next(numbers)), alg)
