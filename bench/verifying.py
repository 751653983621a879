"""Access-token verification, in process: cached, new, and the raw ECDSA operation.

Owns the rows of the verifier, wired as a server wires it: real keys, the revocation
set, completely read, and the real clock; only the store behind is the one in memory.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from bench.measuring import Effort, median, ratios
from bench.report import Row
from watchword.clocks import monotonic, system_clock
from watchword.core import limits
from watchword.core.access_token import Claims
from watchword.keys.signing import SigningKey, generate
from watchword.revocation.tracker import RevocationTracker
from watchword.stores import open_stores
from watchword.verify import Checker

ISSUER: Final = "http://127.0.0.1:8000"
AUDIENCE: Final = "api"


class Rates(msgspec.Struct, frozen=True):
    """Verifications per second on one core; `raw` is `cryptography` alone."""

    cached: list[float]
    new: list[float]
    raw: list[float]


def rate_of(function: Callable[[], object], seconds: float) -> float:
    """Calls per second of `function`, the loop's own cost included."""
    calls = 0
    started = time.perf_counter()
    deadline = started + seconds
    while (now := time.perf_counter()) < deadline:
        for _ in range(100):
            function()
        calls += 100
    return calls / (now - started)


def rate_over(verify: Callable[[str], object], tokens: list[str]) -> float:
    """Calls per second of `verify` over tokens, each once."""
    started = time.perf_counter()
    for token in tokens:
        verify(token)
    return len(tokens) / (time.perf_counter() - started)


def token_of(key: SigningKey) -> str:
    """An access token as a sign-in makes it, of a session of its own."""
    now = system_clock() // 1000
    claims = Claims(
        iss=ISSUER,
        sub=str(uuid.uuid4()),
        aud=AUDIENCE,
        exp=now + limits.ACCESS_TTL_MAX // 1000,
        iat=now,
        jti=str(uuid.uuid4()),
        client_id="first-party",
        auth_time=now,
        sid=str(uuid.uuid4()),
    )
    return key.sign(claims, {})


def new_verifier(key: SigningKey) -> Checker:
    """A verifier that has seen no token and knows all revocations: there are none."""
    revocations = asyncio.run(_no_revocations())
    return Checker(
        issuer=ISSUER,
        audience=AUDIENCE,
        key_of={key.kid: key.public}.get,
        has_ended=revocations.has_ended,
        clock=system_clock,
    )


async def _no_revocations() -> RevocationTracker:
    stores = await open_stores("memory:", os.urandom)
    revocations = RevocationTracker(
        sessions=stores.sessions, clock=system_clock, monotonic=monotonic
    )
    await revocations.follow()
    return revocations


def raw_verification(message: bytes) -> Callable[[], None]:
    """The bare signature check, ES256, of a message as long as a token's."""
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(SHA256())
    signature = key.sign(message, algorithm)
    public = key.public_key()
    return lambda: public.verify(signature, message, algorithm)


def arriving(verifier: Checker, token: str) -> Callable[[], object]:
    """Verify the token as a request brings it."""
    # A new string each time: it has to be hashed and compared, which the same object
    # would not be.
    header = token.encode()
    return lambda: verifier.verify(header.decode())


@cache
def verify_rates(rounds: int, seconds: float) -> Rates:
    """All three in turn, `rounds` times; measured once for the rows that show them."""
    rates = Rates([], [], [])
    key = generate("ES256")
    token = token_of(key)
    raw = raw_verification(token.rpartition(".")[0].encode())
    # About as many as are verified in that time, and all distinct: none is remembered.
    tokens = [token_of(key) for _ in range(int(8000 * seconds))]
    for _ in range(rounds):
        verifier = new_verifier(key)
        rates.raw.append(rate_of(raw, seconds))
        rates.new.append(rate_over(verifier.verify, tokens))
        verifier.verify(token)
        rates.cached.append(rate_of(arriving(verifier, token), seconds))
    return rates


def _verify(name: str, effort: Effort, pick: Callable[[Rates], Row]) -> Row:
    rates = verify_rates(effort.rounds, min(effort.seconds, 1))
    return msgspec.structs.replace(pick(rates), name=name)


def verify_cached(_: Path, effort: Effort) -> Row:
    """A token seen before, in process, one core."""
    return _verify(
        "verify-cached",
        effort,
        lambda rates: Row(
            name="", value=median(rates.cached), unit="/s", budget="≥ 200,000/s"
        ),
    )


def verify_new(_: Path, effort: Effort) -> Row:
    """A token not seen before, against the signature check alone."""
    return _verify(
        "verify-new",
        effort,
        lambda rates: Row(
            name="",
            value=median(rates.new),
            unit="/s",
            baseline=median(rates.raw),
            compared_with="raw ECDSA /s",
            ratio=median(ratios(rates.new, rates.raw)),
            budget="≥ 0.75",
        ),
    )
