"""What cannot be seen at the ends of a value is not part of it."""

from __future__ import annotations

import pytest

from watchword.text import has_control, trimmed, without_line_ends

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
SCOTLAND = "\N{WAVING BLACK FLAG}\U000e0067\U000e0062\U000e0073\U000e007f"


@pytest.mark.parametrize(
    ("text", "without_ends", "typed"),
    [
        ("a b", "a b", "a b"),
        ("", "", ""),
        (" \n\t", "", " "),
        (f"{BOM}a\r\n", "a", "a"),
        (" a\tb ", "a\tb", " a\tb "),
        ("\N{NO-BREAK SPACE}a\x00\x1b", "a", "\N{NO-BREAK SPACE}a"),
        ("\N{ZERO WIDTH SPACE}a\N{LINE SEPARATOR}", "a", "a\N{LINE SEPARATOR}"),
        (SCOTLAND, SCOTLAND, SCOTLAND),
    ],
)
def test_ends_that_cannot_be_seen_go_and_what_is_inside_stays(
    text: str, without_ends: str, typed: str
) -> None:
    assert trimmed(text) == without_ends
    assert without_line_ends(text) == typed


def test_a_control_character_is_found_wherever_it_stands() -> None:
    assert has_control("a\nb")
    assert has_control("a\x7f")
    assert not has_control("a b\N{NO-BREAK SPACE}\N{PILE OF POO}")
