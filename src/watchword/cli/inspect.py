"""`watchword inspect`: tells what a token is, and whether it works. Changes nothing."""

from __future__ import annotations

import json
import re
import sys
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.common import existing, options, standard_input, with_engine
from watchword.cli.output import facts, utc
from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.browser_cookie import judge_cookie
from watchword.core.policies import PAGES
from watchword.core.rotation import End, Presented, Refuse, Verdict, judge
from watchword.core.session import RequestedToken, Session, as_text, from_text
from watchword.errors import (
    NotFound,
    RefreshInvalid,
    RefreshReused,
    SessionRevoked,
    WatchwordError,
)
from watchword.text import trimmed

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.ports.clients import Client

LIVE = "live"
_DATES = ("exp", "iat", "nbf", "auth_time")
_INPUT_MAX = 64 * 1024


@click.command()
@options
def inspect(data: Path | None, as_json: bool) -> None:
    """Tell what a token on standard input is. Exit code 0 if it works now.

    Never give a token as an argument: others on the machine can read those. The state
    is `live`, or the code that the API would answer with.
    """
    from watchword.core.refresh_token import PREFIX

    settings = existing(data)
    if sys.stdin.isatty():
        token: str = click.prompt("Token (hidden)", hide_input=True, err=True)
    else:
        token = standard_input(_INPUT_MAX)
    token = trimmed(token)
    work = _inspect_refresh if token.startswith(PREFIX) else _inspect_access
    found = with_engine(settings, lambda watchword: work(watchword, token))
    if not as_json and "claims" in found:
        found["claims"] = {k: _dated(k, v) for k, v in found["claims"].items()}
    facts(as_json, found)
    if found["state"] != LIVE:
        sys.exit(1)


async def _inspect_access(watchword: Watchword, token: str) -> dict[str, Any]:
    """What an access token says, and whether that is true."""
    parts = token.split(".")
    header, claims = (_object(part) for part in (parts * 2)[:2])
    if len(parts) != 3 or header is None or claims is None:  # noqa: PLR2004 - a JWS
        return {"kind": "unknown", "state": "not a token of any kind known here"}
    session_id = from_text(str(claims.get("sid")))
    session = None
    if session_id is not None:
        (session,) = await watchword.stores.sessions.load([session_id])
    client = await _client(watchword, claims.get("client_id"))
    # The audiences that it may have: this API, and those of its session or client.
    audiences = {
        watchword.settings.audience,
        *(() if session is None else session.audience),
        *(() if client is None else client.audience),
    }
    try:
        watchword.checker.verify_for(token, audiences)
        state = LIVE
    except WatchwordError as error:
        state = error.code
    of_client = "sid" not in claims and claims.get("sub") == claims.get("client_id")
    return {
        "kind": "access token of a client" if of_client else "access token",
        "state": state,
        "signature": _signature(watchword, token, claims),
        **_mismatches(watchword, claims, audiences),
        **({} if of_client else {"session": _session_state(session, watchword)}),
        "client": _client_state(client),
        **_binding(claims.get("cnf")),
        "header": header,
        "claims": claims,
    }


async def _client(watchword: Watchword, client_id: object) -> Client | None:
    try:
        return await watchword.clients.get(str(client_id))
    except NotFound:
        return None


def _client_state(client: Client | None) -> str:
    if client is None:
        return "unknown"
    kind = "public" if client.secret_hash is None else "confidential"
    return f"{client.id}, {kind}" + (", disabled" if client.disabled else "")


def _binding(cnf: object) -> dict[str, str]:
    """A line that says that the token needs a proof; none if it is not bound."""
    if not isinstance(cnf, dict) or "jkt" not in cnf:
        return {}
    return {"boundTo": f"the DPoP key {cnf['jkt']}: not accepted as a Bearer token"}


def _signature(watchword: Watchword, token: str, claims: dict[str, Any]) -> str:
    """Whether a key of ours made the signature, for any issuer and any audience."""
    from watchword.verify import Checker

    audience = claims.get("aud")
    checker = Checker(
        issuer=str(claims.get("iss")),
        audience=str(
            audience[0] if isinstance(audience, list) and audience else audience
        ),
        key_of=watchword.keys.public_key,
        has_ended=lambda _: False,
        clock=watchword.clock,
    )
    try:
        checker.verify_signature(token)
    except WatchwordError:
        return "wrong, or of an unknown key, or over claims that are none of ours"
    return "right"


def _mismatches(
    watchword: Watchword, claims: dict[str, Any], audiences: set[str]
) -> dict[str, str]:
    """Issuer and audience of the token, where they differ from the settings here.

    The cause is often a server that runs with other settings than this command.
    """
    settings = watchword.settings
    issuer, audience = claims.get("iss"), claims.get("aud")
    found = {}
    if issuer != settings.effective_issuer:
        found["issuer"] = (
            f"{issuer}, and here it is {settings.effective_issuer}: give the "
            "WATCHWORD_ISSUER, or host and port, that the server has"
        )
    named = audience if isinstance(audience, list) else [audience]
    if not audiences.intersection(map(str, named)):
        found["audience"] = f"{audience}, and here it is {settings.audience}"
    return found


async def _inspect_refresh(watchword: Watchword, token: str) -> dict[str, Any]:
    """What a refresh token names, and what the answer to it would be."""
    from watchword.core.refresh_token import PREFIX

    found: dict[str, Any] = {"kind": "refresh token", "state": RefreshInvalid.code}
    body = token.removeprefix(PREFIX)
    if re.fullmatch(r"[A-Za-z0-9_-]{76}", body, re.ASCII) is None:
        return {**found, "shape": "damaged: cut off, or with something added"}
    # Parsed here in the layout of `core/refresh_token.py`, even if the MAC is wrong.
    raw = urlsafe_b64decode(body)
    end = 1 + limits.SESSION_ID_BYTES
    session_id, generation = raw[1:end], int.from_bytes(raw[end : end + 4])
    (session,) = await watchword.stores.sessions.load([session_id])
    found |= {
        "mac": "right",
        "sessionId": as_text(session_id),
        "generation": generation,
        "session": _session_state(session, watchword),
    }
    try:
        watchword.sessions.generation_of(token)
    except RefreshInvalid:
        return {**found, "mac": "wrong"}
    if session is None:
        return found
    secret = raw[end + 4 : -limits.MAC_BYTES]
    return {
        **found,
        **_judged(watchword, session, generation, secret),
        "currentGeneration": session.generation,
        "subject": as_text(session.account_id),
        "client": _client_state(await _client(watchword, session.client_id)),
        "carriedIn": "a cookie" if session.cookie else "bodies",
        **({} if session.jkt is None else _binding({"jkt": session.jkt})),
        "signedInAt": utc(session.authenticated_at),
        "expiresAt": utc(watchword.sessions.ends_at(session)),
    }


def _judged(
    watchword: Watchword, session: Session, generation: int, secret: bytes
) -> dict[str, Any]:
    """The token's state, judged as if the session's own client had sent it."""
    presented = Presented(
        session.id,
        generation,
        secret,
        session.client_id,
        requested=RequestedToken(jkt=session.jkt),
        cookie=session.cookie,
    )
    policy, now = watchword.policies.of(session.client_id), watchword.clock()
    if session.client_id == PAGES:
        return {"state": _state(judge_cookie(session, presented, policy, now))}
    verdict = judge(session, presented, policy, now)
    found = {"state": _state(verdict)}
    if isinstance(verdict, End):
        found["note"] = "presented without its retry key, it would end the session"
    return found


def _state(verdict: Verdict) -> str:
    match verdict:
        case Refuse(error):
            return error.code
        case End(reason):
            reused = reason is EndReason.REUSE
            return RefreshReused.code if reused else SessionRevoked.code
        case _:
            return LIVE


def _session_state(session: Session | None, watchword: Watchword) -> str:
    if session is None:
        return "unknown"
    if session.revoked_at is not None:
        return f"ended {utc(session.revoked_at)}: {session.revoked_reason}"
    over = watchword.clock() >= watchword.sessions.ends_at(session)
    return "expired" if over else LIVE


def _object(segment: str) -> dict[str, Any] | None:
    """A JSON object in base64url, or None. It is only shown, and never trusted."""
    try:
        value = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dated(name: str, value: object) -> object:
    if name not in _DATES or not isinstance(value, int):
        return value
    try:
        return f"{value} ({utc(value * 1000)})"
    except (ValueError, OverflowError, OSError):
        return value
