"""The refresh token: canonical, and nothing but itself is accepted."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.core import limits
from watchword.core.refresh_token import PREFIX, RefreshTokens, hash_of
from watchword.errors import RefreshInvalid

ID, SECRET, GENERATION = bytes(range(16)), b"\xfb" * 20, 7
TOKENS = RefreshTokens([b"k" * 32])
TOKEN = TOKENS.mint(ID, GENERATION, SECRET)
ALPHABET = string.ascii_letters + string.digits + "-_"


def refused(text: str, tokens: RefreshTokens = TOKENS) -> bool:
    try:
        tokens.read(text)
    except RefreshInvalid:
        return True
    return False


@given(
    session_id=st.binary(min_size=16, max_size=16),
    generation=st.integers(0, limits.GENERATION_MAX),
    secret=st.binary(min_size=20, max_size=20),
)
def test_what_was_minted_is_read_back_and_is_82_characters(
    session_id: bytes, generation: int, secret: bytes
) -> None:
    token = TOKENS.mint(session_id, generation, secret)
    assert TOKENS.read(token) == (session_id, generation, secret)
    assert token.startswith("ww_rt_")
    assert len(token) == 6 + 76
    assert TOKENS.mint(session_id, generation, secret) == token


def test_the_layout_adds_up() -> None:
    raw = base64.urlsafe_b64decode(TOKEN.removeprefix(PREFIX))
    parts = 1 + limits.SESSION_ID_BYTES + 4 + limits.SECRET_BYTES + limits.MAC_BYTES
    assert len(raw) == limits.REFRESH_TOKEN_BYTES == parts
    assert raw[0] == 1


def test_every_truncation_is_refused() -> None:
    assert all(refused(TOKEN[:length]) for length in range(len(TOKEN)))
    assert all(refused(TOKEN[start:]) for start in range(1, len(TOKEN)))
    for hole in range(len(TOKEN)):
        assert refused(TOKEN[:hole] + TOKEN[hole + 1 :])


def test_every_flip_of_a_bit_is_refused() -> None:
    raw = base64.urlsafe_b64decode(TOKEN.removeprefix(PREFIX))
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refused(PREFIX + base64.urlsafe_b64encode(flipped).decode()), bit


def test_every_other_character_anywhere_is_refused() -> None:
    for place in range(len(TOKEN)):
        for char in ALPHABET + "+/=. \n\0é":
            if char != TOKEN[place]:
                assert refused(TOKEN[:place] + char + TOKEN[place + 1 :])


@pytest.mark.parametrize("more", ["A", "=", "==", "\n", " ", "AAAA", "\0", ".", "é"])
def test_every_extension_is_refused(more: str) -> None:
    assert refused(TOKEN + more)
    assert refused(more + TOKEN)
    middle = len(TOKEN) // 2
    assert refused(TOKEN[:middle] + more + TOKEN[middle:])


def test_other_prefixes_and_other_cases_are_refused() -> None:
    bare = TOKEN.removeprefix(PREFIX)
    others = ["", "WW_RT_", "ww_at_", "ww-rt-", "ww_rt", "ww_rt__", "Bearer ww_rt_"]
    assert all(refused(prefix + bare) for prefix in others)
    assert refused(TOKEN.upper())
    assert refused(TOKEN.lower())
    assert refused(TOKEN.swapcase())
    assert refused(TOKEN.replace("-", "+").replace("_", "/"))


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    assert refused(text)


@given(st.text(ALPHABET, min_size=76, max_size=76))
def test_any_text_of_the_right_shape_is_refused(text: str) -> None:
    assert refused(PREFIX + text)


def test_a_megabyte_is_refused() -> None:
    assert refused(PREFIX + "A" * 1_000_000)


def test_another_version_under_a_good_mac_is_refused() -> None:
    """A later format is not read as this one."""
    import hmac  # noqa: PLC0415 - to forge what only the server can

    for version in (0, 2, 255):
        body = bytes([version]) + ID + GENERATION.to_bytes(4) + SECRET
        mac = hmac.digest(b"k" * 32, body, "sha256")[:16]
        assert refused(PREFIX + base64.urlsafe_b64encode(body + mac).decode())


def test_the_first_key_mints_and_all_verify() -> None:
    old, new = b"o" * 32, b"n" * 32
    of_old = RefreshTokens([old]).mint(ID, 1, SECRET)
    of_new = RefreshTokens([new]).mint(ID, 1, SECRET)
    assert of_old != of_new
    for order in ([old, new], [new, old]):
        both = RefreshTokens(order)
        assert not refused(of_old, both)
        assert not refused(of_new, both)
        assert both.mint(ID, 1, SECRET) == (of_old if order[0] == old else of_new)
    assert refused(of_new, RefreshTokens([old]))
    assert refused(of_old, RefreshTokens([new]))


def test_the_tokens_of_two_generations_or_sessions_share_no_mac() -> None:
    tokens = {TOKENS.mint(ID, n, SECRET)[-20:] for n in range(100)}
    tokens |= {TOKENS.mint(bytes([n]) * 16, 0, SECRET)[-20:] for n in range(100)}
    assert len(tokens) == 200


def test_what_the_store_keeps_of_the_secret_is_not_the_secret() -> None:
    assert len(hash_of(SECRET)) == 32
    assert SECRET not in hash_of(SECRET)
    assert hash_of(SECRET) != hash_of(b"\xfa" * 20)
