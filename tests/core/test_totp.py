"""Codes of authenticator apps: the vectors of RFC 6238, and another program's word."""

from __future__ import annotations

import base64

import pyotp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchword.core.limits import SECOND, TOTP_STEP
from watchword.core.totp import code_at, in_base32, matching_step, uri

SECRET = b"12345678901234567890"
# RFC 6238, appendix B, SHA-1: the last six of eight digits.
VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
# RFC 4226, appendix D.
COUNTED = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489"


@pytest.mark.parametrize("instant", VECTORS)
def test_the_vectors_of_the_standard(instant: int) -> None:
    code = VECTORS[instant][-6:]
    step = instant * SECOND // TOTP_STEP
    assert code_at(SECRET, step) == code
    assert matching_step(SECRET, code, instant * SECOND, drift=0) == step
    assert pyotp.TOTP(in_base32(SECRET)).at(instant) == code
    assert pyotp.TOTP(in_base32(SECRET), digits=8).at(instant) == VECTORS[instant]


def test_the_vectors_of_the_counter() -> None:
    assert [code_at(SECRET, step) for step in range(10)] == COUNTED.split()


@given(st.binary(min_size=14, max_size=64), st.integers(0, 2**33))
@example(bytes(20), 0)
def test_another_program_agrees(secret: bytes, instant: int) -> None:
    step = instant * SECOND // TOTP_STEP
    assert pyotp.TOTP(base64.b32encode(secret).decode()).at(instant) == code_at(
        secret, step
    )


@pytest.mark.parametrize("drift", [0, 1, 2])
def test_a_code_lives_for_its_step_and_those_of_the_drift(drift: int) -> None:
    """It is never accepted ahead of its time: a clock that is fast gives none."""
    code, begun = code_at(SECRET, 1000), 1000 * TOTP_STEP
    for now in (begun, begun + (drift + 1) * TOTP_STEP - 1):
        assert matching_step(SECRET, code, now, drift) == 1000
    for now in (begun - 1, begun + (drift + 1) * TOTP_STEP):
        assert matching_step(SECRET, code, now, drift) is None


def test_of_two_steps_with_one_code_the_later_counts() -> None:
    """Else the code would work once more when the earlier one is spent."""
    codes: dict[str, int] = {}
    step = 0
    while (code := code_at(SECRET, step)) not in codes:
        codes[code] = step
        step += 1
    now = step * TOTP_STEP
    assert matching_step(SECRET, code, now, step - codes[code]) == step
    assert matching_step(SECRET, code, now - TOTP_STEP, step) == codes[code]


@pytest.mark.parametrize(
    ("text", "is_code"),
    [
        ("287082", True),
        (" 287 082\t", True),
        ("28708", False),
        ("2870820", False),
        ("28708a", False),
        ("", False),
        ("-28708", False),
        ("٢٨٧٠٨٢", False),  # digits, but not those of a code
        ("²87082", False),
        ("\ud8007082", False),
    ],
)
def test_a_code_is_six_digits_and_spaces_do_not_matter(
    text: str, *, is_code: bool
) -> None:
    found = matching_step(SECRET, text, TOTP_STEP, drift=5)  # from the first step on
    assert (found == 1) is is_code


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("Watchword", "alice"),
        ("My App & Söhne", "alice@example.org"),
        ("a:b", "c:d/e?f#g&h=i"),
        ("100% ", "+1 555"),
    ],
)
def test_another_program_reads_the_uri(issuer: str, name: str) -> None:
    read = pyotp.parse_uri(uri(SECRET, issuer=issuer, name=name))
    assert isinstance(read, pyotp.TOTP)
    assert (read.secret, read.digits, read.interval) == (in_base32(SECRET), 6, 30)
    assert read.issuer == issuer.replace(":", " ")
    assert read.name == name.replace(":", " ")
    assert read.at(59) == "287082"
