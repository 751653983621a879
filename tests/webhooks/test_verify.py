"""A delivery is believed where it is genuine, whatever framework it came through."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import standardwebhooks
import svix.webhooks
from django.http.request import HttpHeaders
from starlette.datastructures import Headers
from werkzeug.datastructures import EnvironHeaders

from tests.rows import each
from watchword.clocks import system_clock
from watchword.testing import SeededEntropy
from watchword.webhooks import WebhookInvalid, verify
from watchword.webhooks.signing import SigningKeys, drawn

BODY: Final = '{"type":"session.ended","data":{"event":7}}'
KEYS: Final = SigningKeys(drawn(SeededEntropy("webhook")))
SECRET: Final = KEYS.current.shown_secret()
PUBLIC_KEY: Final = KEYS.current.public_key()
ID: Final = bytes(range(16))
NOW: Final = 1_800_000_000
STRANGERS: Final[tuple[type[Any], ...]] = (
    standardwebhooks.Webhook,
    svix.webhooks.Webhook,
)


def signed(**changed: str) -> dict[str, str]:
    """The headers of that body, sent NOW; `changed` by the last word of their names."""
    headers = KEYS.headers(ID, BODY.encode(), NOW * 1000)
    return headers | {f"webhook-{name}": value for name, value in changed.items()}


def test_strangers_believe_what_we_sign_and_we_what_they_sign() -> None:
    """WH-01: `standardwebhooks` and `svix` read `v1`, also beside other signatures."""
    now = system_clock()
    rotated = KEYS.rotated(SeededEntropy("later"), now)
    for stranger in STRANGERS:
        for secret in (SECRET, rotated.current.shown_secret()):
            headers = rotated.headers(ID, BODY.encode(), now)
            stranger(secret).verify(BODY, headers)
        moment = datetime.fromtimestamp(now // 1000, UTC)
        theirs = {
            "Webhook-Id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
            "Webhook-Timestamp": str(now // 1000),
            "Webhook-Signature": stranger(SECRET).sign(
                "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", moment, BODY
            ),
        }
        assert verify(BODY.encode(), theirs, SECRET)["data"] == {"event": 7}


def test_the_example_of_the_specification_is_genuine() -> None:
    """Signed by neither of us: the example of the specification's repository."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = '{"test": 2432232314}'
    assert verify(body, headers, secret, now=1614265330) == {"test": 2432232314}
    assert verify(body, headers, secret.rstrip("="), now=1614265330)


def test_headers_of_every_framework_are_read() -> None:
    given = signed()
    environ = {f"HTTP_{name.upper().replace('-', '_')}": v for name, v in given.items()}
    headers: list[Any] = [
        given,
        {name.title(): value for name, value in given.items()},
        Headers(given),
        HttpHeaders(environ),
        EnvironHeaders(environ),
    ]
    for row, one in each(headers):
        with row:
            for secret in (SECRET, PUBLIC_KEY):
                assert verify(BODY, one, secret, now=NOW)["type"] == "session.ended"
                assert verify(BODY.encode(), one, secret, now=NOW + 300)


_HEADERS: Final[dict[str, Callable[[], Any]]] = {
    "no headers": dict,
    "no timestamp": lambda: {k: v for k, v in signed().items() if "stamp" not in k},
    "another id": lambda: signed(id="msg_other"),
    "another timestamp": lambda: signed(timestamp=str(NOW + 1)),
    "a timestamp of another shape": lambda: signed(timestamp=f"{NOW}.0"),
    "a timestamp in other digits": lambda: signed(timestamp="١٨٠٠٠٠٠٠٠٠"),
    "an endless timestamp": lambda: signed(timestamp="9" * 4096),
    "no signature": lambda: signed(signature=""),
    "a signature without a version": lambda: signed(signature="x"),
    "signatures of unknown versions": lambda: signed(
        signature=signed()["webhook-signature"].replace("v1", "v2")
    ),
    "signatures under the other's version": lambda: signed(
        signature=signed()["webhook-signature"]
        .replace("v1a,", "v,")
        .replace("v1,", "v1a,")
        .replace("v,", "v1,")
    ),
    "half a signature": lambda: signed(signature="v1,aGFsZg== v1a,aGFsZg== v1 v1a,"),
    "endless signatures": lambda: signed(signature="v1,x " * 2000),
    "an id twice": lambda: Headers(
        raw=[(k.encode(), v.encode()) for k, v in signed().items()]
        + [(b"webhook-id", b"msg_other")]
    ),
    "surrogates": lambda: signed(id="\udc80"),
}


def test_what_is_not_genuine_is_refused() -> None:
    """By secret and by public key; no value makes it fail in another way."""
    other = SigningKeys(drawn(SeededEntropy("other"))).current
    bodies: list[Any] = [BODY + " ", BODY.encode()[:-1], "", b"\xff", "\udc80"]
    for secret in (SECRET, PUBLIC_KEY):
        for row, (_, made) in each(_HEADERS.items()):
            with row, pytest.raises(WebhookInvalid):
                verify(BODY, made(), secret, now=NOW)
        for row, body in each(bodies):
            with row, pytest.raises(WebhookInvalid):
                verify(body, signed(), secret, now=NOW)
        for now in (NOW - 301, NOW + 301, 0):
            with pytest.raises(WebhookInvalid):
                verify(BODY, signed(), secret, now=now)
    for secret in (other.shown_secret(), other.public_key()):
        with pytest.raises(WebhookInvalid):
            verify(BODY, signed(), secret, now=NOW)
    for text in ("no JSON", "[" * 100_000):
        headers = KEYS.headers(ID, text.encode(), NOW * 1000)
        with pytest.raises(WebhookInvalid):
            verify(text, headers, SECRET, now=NOW)


def test_a_secret_that_is_none_is_a_fault_of_the_receiver() -> None:
    """Not of the sender: an empty secret must never make all deliveries genuine."""
    secrets = ("", "whsec_", "whsec_c2hvcnQ=", "whpk_c2hvcnQ=", "whsk_" + "A" * 44)
    for row, secret in each((*secrets, SECRET[6:], PUBLIC_KEY[:-9])):
        with row, pytest.raises(ValueError, match="begins with") as raised:
            verify(BODY, signed(), secret, now=NOW)
        assert not isinstance(raised.value, WebhookInvalid)
        assert (
            str(raised.value) == "the secret of a webhook begins with whsec_ or whpk_"
        )


def test_a_receiver_loads_nothing_of_the_engine() -> None:
    program = (
        "import sys; from watchword.webhooks import verify, WebhookInvalid; "
        "print(*sorted(name for name in sys.modules if name.startswith('watchword')), "
        "*({'msgspec', 'cryptography', 'joserfc', 'pydantic'} & sys.modules.keys()))"
    )
    line = [sys.executable, "-c", program]
    printed = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert printed.split() == [
        *("watchword", "watchword.clocks", "watchword.webhooks"),
        "watchword.webhooks.verify",
    ]
