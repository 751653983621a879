"""Second factors by watchword.js, in Chromium with a virtual authenticator.

The server is a FastAPI app, one of whose calls wants a recent second factor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx2
import pyotp
import pytest
from playwright.sync_api import Browser, Page

from tests.integrations.serving import serving
from tests.integrations.test_step_up import COMMAND, PHRASE
from tests.patience import PATIENCE

AUTHENTICATOR: Final = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
INVALID: Final = "second_factor_invalid"
DO: Final = """
([call, given]) => auth[call](...given).then(
  (answer) => answer ?? "ok",
  ({ code, name, methods }) => methods ? [code, ...methods] : code ?? name,
)
"""
# As `START` of conftest.py; the page has the user proved by `prove`.
OPEN: Final = """
async ([module, options]) => {
  const { createClient } = await import(module);
  window.asked = [];
  window.prove = () => auth.addPasskey("laptop");
  const onStepUp = (needed) => { asked.push(needed); return prove(); };
  window.auth = createClient({ ...options, onStepUp });
  return auth.ready;
}
"""
TRANSFER: Final = """
(times) => Promise.all(Array.from({ length: times }, async () => {
  const answer = await auth.fetch("/transfer", { method: "POST" });
  return answer.status;
}))
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(COMMAND, tmp_path_factory.mktemp("second-factors")) as served:
        yield f"http://localhost:{served.port}"


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    devices = context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    yield page
    context.close()


class Script:
    """What the script of the page does, for a user of the app."""

    def __init__(self, page: Page, url: str, name: str, **options: Any) -> None:
        self.page = page
        self.name = name
        httpx2.post(f"{url}/register/{name}").raise_for_status()
        page.goto(f"{url}/page")
        page.evaluate(OPEN, [f"{url}/watchword.js", options])

    def do(self, call: str, *given: Any) -> Any:
        return self.page.evaluate(DO, [call, given])

    def login(self) -> Any:
        return self.do("login", self.name, PHRASE)

    def transfer(self, times: int = 1) -> Any:
        return self.page.evaluate(TRANSFER, times)


@pytest.mark.parametrize(("mode", "dpop"), [("cookie", False), ("bearer", True)])
def test_a_passkey_from_the_challenge_to_every_way_in(
    page: Page, url: str, mode: str, *, dpop: bool
) -> None:
    """Calls at once ask the user once, and one that does not rise is refused."""
    script = Script(page, url, f"ann-{mode}", mode=mode, dpop=dpop)
    assert script.login() == "ok"
    page.evaluate("() => { prove = () => null; }")
    assert script.transfer() == [401]
    page.evaluate("() => { prove = () => auth.addPasskey('laptop'); }")
    assert script.transfer(3) == [200, 200, 200]
    needed = {"acrValues": ["aal2"], "maxAge": 300}
    assert page.evaluate("asked") == [needed, needed]
    (factor,) = script.do("factors")["factors"]
    assert (factor["kind"], factor["name"]) == ("passkey", "laptop")
    assert script.do("stepUp", {"method": "passkey"}) == "ok"
    for conditional in (False, True):
        assert script.do("logout") == "ok"
        assert script.do("passkeyLogin", {"conditional": conditional}) == "ok"
        assert script.transfer() == [200]
    assert script.do("logout") == "ok"
    wanted = ["second_factor_required", "passkey", "recovery_code"]
    assert script.login() == wanted
    assert script.do("continueLogin", "recovery_code", "0" * 24) == INVALID
    assert script.do("continueLogin", "passkey") == "ok"
    assert script.transfer() == [200]
    assert script.do("continueLogin", "passkey") == "continuation_expired"


def test_codes_from_the_first_to_the_last(page: Page, url: str) -> None:
    script = Script(page, url, "bob")
    assert script.login() == "ok"
    pending = script.do("addTotp")
    assert script.do("confirmTotp", pending["factor"], "000000") == INVALID
    code = pyotp.TOTP(pending["secret"]).now()
    codes = script.do("confirmTotp", pending["factor"], code)
    assert len(codes) == 10
    assert script.transfer() == [200]
    assert script.login() == ["second_factor_required", "totp", "recovery_code"]
    assert script.do("continueLogin", "totp", code) == INVALID
    assert script.do("continueLogin", "recovery_code", codes[0]) == "ok"
    proof = {"method": "recovery_code", "code": codes[1]}
    assert script.do("stepUp", proof) == "ok"
    assert script.do("stepUp", proof) == INVALID
    assert script.do("factors")["recoveryCodesLeft"] == 8
    assert len(set(script.do("newRecoveryCodes")) - set(codes)) == 10
    (factor,) = script.do("factors")["factors"]
    assert script.do("renameFactor", factor["id"], "phone")["name"] == "phone"
    assert script.do("removeFactor", factor["id"]) == "ok"
    assert script.do("factors") == {"factors": [], "recoveryCodesLeft": 0}
    assert script.login() == "ok"


def test_a_first_factor_is_enrolled_at_the_sign_in(page: Page, url: str) -> None:
    """By the token that an operator made; by app or by passkey."""
    for name, work in (("cleo", "totp"), ("dora", "passkey")):
        script = Script(page, url, name)
        token = httpx2.post(f"{url}/demand/{name}").json()
        assert script.login()[0] == "second_factor_enrolment_required"
        assert script.do("askEnrolment") == "ok"
        if work == "totp":
            assert script.do("enrolTotp", "ww_cf_") == "confirmation_invalid"
            pending = script.do("enrolTotp", token)
            code = pyotp.TOTP(pending["secret"]).now()
            codes = script.do("confirmEnrolledTotp", pending["factor"], code)
        else:
            codes = script.do("enrolPasskey", "laptop", token)
        assert len(codes) == 10
        assert script.transfer() == [200]
        assert script.do("logout") == "ok"
