"""Sessions that are bound to a key of the browser's (RFC 9449)."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.browser.conftest import SECURE, STORED, Visitor
from watchword.core import limits
from watchword.core.limits import ACCESS_TTL, DPOP_CLOCK, MINUTE

NONCES_LIVE = limits.DPOP_NONCE_STEP * (limits.DPOP_NONCE_STEPS + 1)
KEY = f"({STORED})().then(([{{ key }}]) => key.privateKey)"


def test_the_key_can_be_used_and_not_copied(visitor: Visitor) -> None:
    """Not by the page's own scripts, in no format; and it goes with the session."""
    (tab,) = visitor.sign_in(dpop=True)
    assert tab.page.evaluate(f"{KEY}.then((key) => key.extractable)") is False
    for form in ("jwk", "pkcs8"):
        script = f"""{KEY}.then((key) => crypto.subtle.exportKey("{form}", key))
          .catch(({{ name }}) => name)"""
        assert tab.page.evaluate(script) == "InvalidAccessError"
    assert tab.logout() == "ok"
    assert tab.stored() == []


def test_a_bound_session_refreshes_and_calls_in_all_tabs(visitor: Visitor) -> None:
    """Nonces come with the first refusals, and others when those are old."""
    # A browser's clock need not be exact, so the nonces can be made old in between.
    visitor.site.clock.advance(-DPOP_CLOCK + MINUTE)
    tabs = visitor.sign_in(2, dpop=True)
    for expiry in range(3):
        assert [tab.call() for tab in tabs] == [200, 200]
        (session,) = visitor.site.sessions()
        assert session.jkt
        assert session.generation == expiry
        visitor.site.clock.advance((ACCESS_TTL, NONCES_LIVE)[expiry % 2])
    sent = visitor.site.line.sent_to(SECURE)
    assert sent["authorization"].startswith("DPoP eyJ")


def test_each_proof_is_for_one_request_alone(visitor: Visitor) -> None:
    """Another `jti` each time, the address without its query, no private part."""
    (tab,) = visitor.sign_in(mode="bearer", dpop=True)
    for _ in range(2):
        assert tab.call(f"{SECURE}?page=2#top") == 200
    proofs = [h["dpop"] for _, p, h in visitor.site.line.seen if p == SECURE]
    read = [claims_of(proof) for proof in proofs]
    assert len({claims["jti"] for _, claims in read}) == len(read) == 3
    header, claims = read[-1]
    assert claims["htu"] == f"{visitor.site.origin}{SECURE}"
    assert claims["htm"] == "GET"
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}


def claims_of(proof: str) -> list[Any]:
    parts = proof.split(".")[:2]
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts]


def test_a_stolen_refresh_token_is_worth_nothing(visitor: Visitor) -> None:
    """Without the key it opens nothing, and the session goes on."""
    (tab,) = visitor.sign_in(mode="bearer", dpop=True)
    (record,) = tab.stored()
    thief = visitor.context.request.post(
        f"{visitor.site.origin}/api/auth/refresh",
        data={"refreshToken": record["refreshToken"]},
    )
    assert thief.json()["code"] == "invalid_dpop_proof"
    visitor.site.clock.advance(ACCESS_TTL)
    assert tab.call() == 200
