"""Refresh tokens as an attacker would make them from what can be stolen or guessed.

Each table is made from a good token of the victim and refused everywhere; none holds
that token itself in any spelling that a server should know.
"""

from __future__ import annotations

import hmac
import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.surfaces.stage import Holder, Stage
from watchword.core.refresh_token import PREFIX
from watchword.keys.vault import derive

Change = Callable[[str], str]

_MAC: Final = 16
_FIRST_CHARACTER: Final = len(PREFIX)

SPELLINGS: Final[dict[str, Change]] = {
    "without the prefix": lambda t: t.removeprefix(PREFIX),
    "the prefix alone": lambda _: PREFIX,
    "the prefix twice": lambda t: PREFIX + t,
    "the prefix in capitals": lambda t: t.replace(PREFIX, PREFIX.upper()),
    "the prefix of client secrets": lambda t: t.replace(PREFIX, "ww_cs_"),
    "another prefix": lambda t: t.replace(PREFIX, "ww_at_"),
    "a shorter prefix": lambda t: t.replace(PREFIX, "ww_rt"),
    "a homoglyph in the prefix": lambda t: t.replace("t_", "\u0442_", 1),
    "the case swapped": lambda t: PREFIX + t.removeprefix(PREFIX).swapcase(),
    "in capitals": str.upper,
    "in small letters": str.lower,
    "reversed": lambda t: t[::-1],
    "twice": lambda t: t + t,
    "twice, with a comma": lambda t: f"{t},{t}",
    "twice, with a blank": lambda t: f"{t} {t}",
    "in quotes": lambda t: f'"{t}"',
    "in brackets": lambda t: f"[{t}]",
    "as JSON": lambda t: json.dumps({"refreshToken": t}),
    "after a scheme": lambda t: f"Bearer {t}",
    "in base64": lambda t: b64encode(t.encode()).decode(),
    "in hexadecimal": lambda t: t.encode().hex(),
    "percent-encoded": lambda t: "".join(f"%{ord(c):02x}" for c in t),
    "in wide letters": lambda t: "".join(chr(ord(c) + 0xFEE0) for c in t),
    "a leading blank": lambda t: f" {t}",
    "a trailing blank": lambda t: f"{t} ",
    "a leading tab": lambda t: f"\t{t}",
    "a trailing tab": lambda t: f"{t}\t",
    "a trailing newline": lambda t: f"{t}\n",
    "a trailing CRLF": lambda t: f"{t}\r\n",
    "a trailing NUL": lambda t: f"{t}\0",
    "a leading BOM": lambda t: f"\ufeff{t}",
    "a trailing no-break space": lambda t: f"{t}\u00a0",
    "a zero-width space inside": lambda t: f"{t[:40]}\u200b{t[40:]}",
    "a newline inside": lambda t: f"{t[:40]}\n{t[40:]}",
    "a blank inside": lambda t: f"{t[:40]} {t[40:]}",
    "a lone surrogate after it": lambda t: f"{t}\ud800",
    "padded": lambda t: f"{t}=",
    "padded twice": lambda t: f"{t}==",
    "the standard alphabet": lambda t: f"{t[:20]}+{t[21:40]}/{t[41:]}",
    "one character more": lambda t: f"{t}A",
    "four characters more": lambda t: f"{t}AAAA",
    "10 000 characters more": lambda t: t + "A" * 10_000,
    "a megabyte": lambda t: t + "A" * 1_000_000,
    **{
        f"{size} characters less": lambda t, size=size: t[:-size]  # type: ignore[misc]
        for size in (1, 2, 3, 4, 16, 22, 60, 75)
    },
    **{
        f"character {place} changed": lambda t, place=place: _flipped(t, place)  # type: ignore[misc]
        for place in range(76)
    },
}

PLAIN: Final = {
    f"the text {text!r:.30}": text
    for text in (
        *("null", "undefined", "true", "0", "-1", "[object Object]", "{}", "[]"),
        *("' OR '1'='1", "ww_rt_' OR '1'='1' --", "../../../../etc/passwd", "%00"),
        *("ww_rt_" + "A" * 76, "ww_rt_" + "_" * 76, "ww_rt_*", "${jndi:ldap://x}"),
        *("https://evil.example/token", "\0", "\ud800", "\u202e", "a" * 31_000),
    )
}


def _flipped(token: str, place: int) -> str:
    at = _FIRST_CHARACTER + place
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


def put_together(body: bytes, key: bytes) -> str:
    mac = hmac.digest(key, body, "sha256")[:_MAC]
    return PREFIX + urlsafe_b64encode(body + mac).decode()


def _body(token: str) -> bytes:
    return urlsafe_b64decode(token.removeprefix(PREFIX))[:-_MAC]


def _mac_forgeries(token: str) -> Iterator[tuple[str, str]]:
    """By someone without the server secret, who may have its documentation."""
    body = _body(token)
    moved = bytes([*body[:20], (body[20] + 1) % 256, *body[21:]])
    raw = urlsafe_b64decode(token.removeprefix(PREFIX))
    yield "generation moved", PREFIX + urlsafe_b64encode(moved + raw[-_MAC:]).decode()
    for what, key in {
        "no key": b"",
        "a key of zeros": bytes(32),
        "its own secret as key": body[21:],
        "its session's id as key": body[1:17],
        "another server's key": derive(
            b"another server's secret" * 2, "refresh-token-mac"
        ),
    }.items():
        yield f"a MAC by {what}", put_together(body, key)
        yield f"generation moved, a MAC by {what}", put_together(moved, key)
    for what, mac in {"zeros": bytes(16), "ones": b"\xff" * 16}.items():
        yield f"a MAC of {what}", PREFIX + urlsafe_b64encode(body + mac).decode()


def _by_the_servers_secret(
    stage: Stage, holder: Holder, other: Holder, row: Any
) -> Iterator[tuple[str, str]]:
    """By someone with the server secret and the database, who never saw a token."""
    (given,) = stage.engine.settings.secret
    server_secret = given.get_secret_value().encode()
    key = derive(server_secret, "refresh-token-mac")
    body, others = _body(holder.refresh), _body(other.refresh)
    version, session, generation, secret = body[:1], body[1:17], body[17:21], body[21:]
    front, digest = body[:21], row.secret_hash
    for what, made in {
        "version 0": b"\0" + body[1:],
        "version 2": b"\2" + body[1:],
        "version 255": b"\xff" + body[1:],
        "the stored hash as secret": front + digest[:20],
        "the end of the stored hash as secret": front + digest[-20:],
        "the retry key's hash as secret": front + row.retry_hash[:20],
        "a secret of zeros": front + bytes(20),
        "another session's secret": front + others[21:],
        "a session that is not": version + bytes(16) + generation + secret,
        "an account as session": version + row.account_id + generation + secret,
        "session and secret swapped": version + secret[:16] + generation + session * 2,
        "a byte more": body + b"\0",
        "a byte less": body[:-1],
    }.items():
        yield what, put_together(made, key)
    other_purpose = derive(server_secret, "signing-key-seal")
    yield "a MAC by the server secret itself", put_together(body, server_secret)
    yield "a MAC by the key of another purpose", put_together(body, other_purpose)
    yield "the stored hash", digest.hex()
    yield "the stored hash with the prefix", PREFIX + b64encode(digest).decode()
    yield "the session's id", holder.session
    yield "the account's id", row.account_id.hex()


async def forgeries(
    stage: Stage, holder: Holder, other: Holder
) -> list[tuple[str, str]]:
    """All of them, from a token of `holder` and one of another session."""
    token, row = holder.refresh, await stage.row(holder)
    made = [(name, change(token)) for name, change in SPELLINGS.items()]
    made += PLAIN.items()
    made += _mac_forgeries(token)
    made += _by_the_servers_secret(stage, holder, other, row)
    made += [
        ("the access token", holder.access),
        ("the access token with the prefix", PREFIX + holder.access),
        ("a client's secret", stage.secret("shop")),
        ("a nonce", stage.nonce()),
    ]
    return made
