"""One-time tokens: one spelling each, and nothing else is one."""

from __future__ import annotations

import hashlib

import pytest

from watchword.core import base64url
from watchword.core.one_time_token import LIVES, TokenPurpose, hash_of, mint, read

SECRET = bytes(range(32))


@pytest.mark.parametrize("purpose", TokenPurpose)
def test_a_token_says_what_it_is_for_and_the_store_has_its_hash(
    purpose: TokenPurpose,
) -> None:
    token = mint(purpose, SECRET)
    assert token.startswith("ww_cf_")
    assert read(token) == (purpose, hashlib.sha256(token.encode()).digest())
    assert purpose in LIVES


def test_the_purpose_is_part_of_what_is_hashed() -> None:
    tokens = {mint(purpose, SECRET) for purpose in TokenPurpose}
    assert len({hash_of(token) for token in tokens}) == len(TokenPurpose)


@pytest.mark.parametrize("raw", [b"\2\1" + SECRET, b"\1\0" + SECRET, b"\1\7" + SECRET])
def test_an_unknown_version_or_purpose_is_no_token(raw: bytes) -> None:
    assert read("ww_cf_" + base64url.encode(raw).decode()) is None


def test_another_spelling_is_no_token() -> None:
    token = mint(TokenPurpose.RESET, SECRET)
    last = chr(ord(token[-1]) + 1)  # differs in bits that mean nothing
    assert base64url.decode((token[:-1] + last)[6:]) == base64url.decode(token[6:])
    for other in (token[:-1] + last, token + "\n", token[:-1], "", f"{token}="):
        assert read(other) is None
