"""Tickets: of one purpose, for a few minutes, and in one spelling."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.core import base64url
from watchword.core.limits import (
    CONTINUATION_LIFE,
    INTERACTION_LIFE,
    PAR_LIFE,
    REFRESH_ABSOLUTE,
    TICKET_MAX,
    TOTP_PENDING_LIFE,
)
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.testing import ManualClock, SeededEntropy

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
CONTINUATION, CEREMONY = "ww_ct_", "ww_wc_"
PREFIXES = {
    TicketPurpose.LOGIN: CONTINUATION,
    TicketPurpose.ENROL: CONTINUATION,
    TicketPurpose.RESET: CONTINUATION,
    TicketPurpose.TOTP: "ww_tf_",
    TicketPurpose.PASSKEY_LOGIN: CEREMONY,
    TicketPurpose.PASSKEY_ENROL: CEREMONY,
    TicketPurpose.PASSKEY_STEP: CEREMONY,
    TicketPurpose.INTERACTION: "ww_in_",
    TicketPurpose.PAR: "ww_par_",
    TicketPurpose.CODE: "ww_ac_",
    TicketPurpose.CURSOR: "ww_cu_",
    TicketPurpose.ADMIN_COOKIE: "ww_as_",
    TicketPurpose.LOGOUT: "ww_lo_",
}
TRANSLATED = str.maketrans("-_", "+/")


class Says(msgspec.Struct, frozen=True):
    account: bytes
    names: tuple[str, ...] = ()


class SaysMore(msgspec.Struct, frozen=True):
    account: bytes
    more: int


SAYS = Says(b"\0" * 16, ("alice", "ß"))


def tickets(*secrets: bytes, clock: ManualClock | None = None) -> Tickets:
    return Tickets(secrets or (OLD,), clock=clock or ManualClock(), entropy=ENTROPY)


ENTROPY = SeededEntropy("tickets")


def test_a_ticket_says_what_was_sealed_and_only_for_its_purpose() -> None:
    assert set(PREFIXES) == set(TicketPurpose)
    for purpose, prefix in PREFIXES.items():
        text = tickets().seal(purpose, SAYS)
        assert text.startswith(prefix)
        for other, start in PREFIXES.items():
            # Also where another prefix is put in front.
            shown = start + text.removeprefix(prefix)
            if other is purpose:
                assert tickets().open(other, shown, Says) == SAYS
                continue
            with pytest.raises(TicketInvalid):
                tickets().open(other, shown, Says)


@pytest.mark.parametrize(
    ("purpose", "life"),
    [
        (TicketPurpose.LOGIN, CONTINUATION_LIFE),
        (TicketPurpose.TOTP, TOTP_PENDING_LIFE),
        (TicketPurpose.INTERACTION, INTERACTION_LIFE),
        (TicketPurpose.PAR, PAR_LIFE),
        (TicketPurpose.CODE, REFRESH_ABSOLUTE),
        (TicketPurpose.LOGOUT, PAR_LIFE),
    ],
)
def test_a_ticket_has_the_life_of_its_purpose_in_both_directions(
    purpose: TicketPurpose, life: int
) -> None:
    clock = ManualClock()
    some = tickets(clock=clock)
    text = some.seal(purpose, SAYS)
    begun = clock.now
    for now, is_alive in (
        *((begun + life, True), (begun + life + 1, False)),
        *((begun - life, True), (begun - life - 1, False)),
    ):
        clock.now = now
        if is_alive:
            assert some.open(purpose, text, Says) == SAYS
            continue
        with pytest.raises(TicketInvalid):
            some.open(purpose, text, Says)


def test_the_first_secret_seals_and_every_one_opens() -> None:
    """So a secret can be promoted, and promoted back, while tickets are under way."""
    purpose = TicketPurpose.LOGIN
    by_old = tickets(OLD).seal(purpose, SAYS)
    by_new = tickets(NEW, OLD).seal(purpose, SAYS)
    for text, opens in ((by_old, (OLD,)), (by_new, (NEW,))):
        for secrets in ((OLD, NEW), (NEW, OLD), opens):
            assert tickets(*secrets).open(purpose, text, Says) == SAYS
        with pytest.raises(TicketInvalid):
            tickets(OTHER).open(purpose, text, Says)
    with pytest.raises(TicketInvalid):
        tickets(OLD).open(purpose, by_new, Says)


def test_two_tickets_of_one_statement_have_nothing_in_common() -> None:
    one, other = (tickets().seal(TicketPurpose.LOGIN, SAYS) for _ in range(2))
    assert tickets().id_of(one) != tickets().id_of(other)
    same = [a == b for a, b in zip(one[6:], other[6:], strict=True)]
    assert sum(same) < len(same) // 4
    assert one[6:] not in tickets().id_of(one)


def spellings(text: str) -> dict[str, str]:
    """The same bytes, as a decoder that is not strict would read them too."""
    body = text.removeprefix(CONTINUATION)
    last = body[-1]
    following = chr(ord(last) + 1) if last not in "Zz9" else "A"
    return {
        "padded": text + "=",
        "padded twice": text + "==",
        "with a blank": text[:20] + " " + text[20:],
        "with a line": text + "\n",
        "with a letter outside": text[:20] + "!" + text[20:],
        "not ASCII": text + "é",
        "half of a pair": text + "\ud800",
        "another last letter": text[:-1] + following,
        "the other alphabet": CONTINUATION + body.translate(TRANSLATED) + "+",
        "a blank in front": " " + text,
        "in capitals": text.upper(),
        "without a prefix": body,
        "cut off": text[:-4],
        "the prefix alone": CONTINUATION,
        "nothing": "",
        "too long": text + "A" * TICKET_MAX,
        "other bytes": CONTINUATION + base64url.encode(bytes(60)).decode(),
    }


def test_there_is_one_spelling_and_every_other_text_is_refused() -> None:
    """So what is named to be used once has one name."""
    for name in ("a", "ab", "abc"):  # each rest of the length by three
        text = tickets().seal(TicketPurpose.LOGIN, Says(b"", (name,)))
        for shown in spellings(text).values():
            assert shown != text
            with pytest.raises(TicketInvalid) as refused:
                tickets().open(TicketPurpose.LOGIN, shown, Says)
            assert str(refused.value) == ""  # no ticket in an error


@given(st.integers(0, 400), st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, by: int) -> None:
    text = tickets().seal(TicketPurpose.LOGIN, SAYS)
    raw = bytearray(base64url.decode(text.removeprefix(CONTINUATION)))
    raw[place % len(raw)] ^= by
    with pytest.raises(TicketInvalid):
        tickets().open(
            TicketPurpose.LOGIN,
            CONTINUATION + base64url.encode(bytes(raw)).decode(),
            Says,
        )


def test_a_statement_of_another_version_is_refused() -> None:
    """While a fleet is updated, its servers meet each other's tickets."""
    text = tickets().seal(TicketPurpose.LOGIN, SAYS)
    kinds: list[Any] = [SaysMore, msgspec.defstruct("Empty", [("another", int)])]
    for kind in kinds:
        with pytest.raises(TicketInvalid):
            tickets().open(TicketPurpose.LOGIN, text, kind)


def test_a_ticket_has_at_most_4096_characters() -> None:
    text = tickets().seal(TicketPurpose.LOGIN, Says(bytes(2980)))
    assert len(text) <= TICKET_MAX == 4096
    assert tickets().open(TicketPurpose.LOGIN, text, Says)
    with pytest.raises(ValueError, match="too long"):
        tickets().seal(TicketPurpose.LOGIN, Says(bytes(3100)))
