"""What rests sealed: under which secret, for which row, and for which table."""

from __future__ import annotations

import pytest

from watchword.errors import KeyRingError
from watchword.keys.sealing import Sealing
from watchword.keys.vault import Vault
from watchword.testing import SeededEntropy

OLD = b"the-first-server-secret-0123456789-abcdefgh"
NEW = b"the-second-server-secret-0123456789-abcdefg"


def sealing(*secrets: bytes, label: str = "outbox") -> Sealing:
    return Sealing(secrets, label, SeededEntropy(label))


def test_any_secret_of_the_list_opens_and_the_first_seals() -> None:
    sealed = sealing(OLD).seal(b"plain", b"row")
    assert sealing(NEW, OLD).open(sealed, b"row") == b"plain"
    again = sealing(NEW, OLD).seal(b"plain", b"row")
    assert sealing(NEW).open(again, b"row") == b"plain"


def test_a_row_says_which_secret_sealed_it_as_the_commands_do() -> None:
    sealed = sealing(OLD, NEW).seal(b"plain", b"row")
    fingerprint = Vault([OLD], SeededEntropy()).fingerprints[0]
    assert sealed[:4].hex() == fingerprint
    with pytest.raises(KeyRingError, match=fingerprint):
        sealing(NEW).open(sealed, b"row")


def test_no_row_passes_for_another_nor_altered() -> None:
    sealed = sealing(OLD).seal(b"plain", b"row")
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for content, row in ((sealed, b"other"), (altered, b"row"), (sealed[:15], b"row")):
        with pytest.raises(KeyRingError):
            sealing(OLD).open(content, row)
    with pytest.raises(KeyRingError):
        sealing(OLD, label="another table").open(sealed, b"row")
