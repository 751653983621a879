"""Mail addresses: which are taken, and that none stands for two accounts."""

from __future__ import annotations

import pytest
from email_validator import validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from tests.rows import in_one
from watchword.errors import EmailInvalid
from watchword.mail.addresses import folded, masked, read_address


@pytest.mark.parametrize(
    ("text", "email", "key"),
    [
        ("ana@example.org", "ana@example.org", "ana@example.org"),
        ("Ana.B+x@Example.ORG", "Ana.B+x@example.org", "ana.b+x@example.org"),
        ("o'brien!#$%@a-b.co", "o'brien!#$%@a-b.co", "o'brien!#$%@a-b.co"),
        ("a@bücher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example", None),
        ("a@ｅｘａｍｐｌｅ。org", "a@example.org", None),
        ("a@\N{KELVIN SIGN}elvin.example", "a@kelvin.example", None),
        ("a@straße.example", "a@xn--strae-oqa.example", None),
        ("a@cafe\u0301.example", "a@xn--caf-dma.example", None),
        ("a@" + "b" * 63 + ".org", "a@" + "b" * 63 + ".org", None),
    ],
)
def test_mail_goes_to_the_address_as_written_and_accounts_have_one_key(
    text: str, email: str, key: str | None
) -> None:
    found = read_address(text)
    assert (found.email, found.key) == (email, key or email)
    again = read_address(found.email)
    assert again == found


@in_one(
    "text",
    [
        *["", "@", "a", "a@", "@b.example", "a@b@c.example", "a@b.example@"],
        *["a b@c.example", " a@b.example", "a@b.example ", "a@b.example\n"],
        *["a\r\nBcc: x@y.example@b.example", "a\0@b.example", "a@b\t.example"],
        *[".a@b.example", "a.@b.example", "a..b@c.example", '"a b"@c.example'],
        *["a@localhost", "a@b", "a@b.", "a@.b.example", "a@b..example"],
        *["a@b.example.", "a@-b.example", "a@b-.example", "a@b_c.example"],
        *["a@127.0.0.1", "a@[127.0.0.1]", "a@1.2.3.4", "a@b.123", "a@::1"],
        *["a,b@c.example", "a;b@c.example", "a@b.example,c@d.example", "<a@b.example>"],
        *[
            "ä@b.example",
            "\N{KELVIN SIGN}@b.example",
            "ı@b.example",
            "a\u200b@b.example",
        ],
        *["a@b\u200b.example", "a@b\u00ad.example", "a@b\ufe0f.example"],
        *["a@b\u200d.example", "a@\u202eb.example", "a@b\u034f.example"],
        *["a＠b.example", "a@b＠c.example", "a@xn--a.example", "a@\ud800.example"],
        *["a" * 65 + "@b.example", "a@" + "b" * 64 + ".example"],
        "a@" + ".".join(["b" * 60] * 5) + ".example",
        "a@" + "ü" * 200 + ".example",
    ],
)
def test_what_is_no_address_or_looks_like_another_is_refused(text: str) -> None:
    with pytest.raises(EmailInvalid):
        read_address(text)


def test_a_domain_without_a_dot_is_for_loopback() -> None:
    assert read_address("Ana@LocalHost", local=True).key == "ana@localhost"
    with pytest.raises(EmailInvalid):
        read_address("ana@127.0.0.1", local=True)


LOCAL_PARTS = st.one_of(st.text(max_size=20), st.from_regex(r"[a-zA-Z.+'-]{1,20}"))
LABELS = st.one_of(st.text(max_size=10), st.from_regex(r"[a-zA-Z0-9-]{1,10}\Z"))


@given(LOCAL_PARTS, st.lists(LABELS, min_size=1, max_size=3))
@example("a.b+c", ["Bücher", "Straße"])
@example("a", ["ｂ。ｃ", "ΒΣΣ"])
def test_what_is_taken_is_what_other_software_takes_it_for(
    local: str, labels: list[str]
) -> None:
    text = f"{local}@{'.'.join(labels)}.org"
    try:
        found = read_address(text)
    except EmailInvalid:
        return
    theirs = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    assert found.email == theirs.ascii_email
    assert found.email.partition("@")[0] == local
    assert found.key == found.email.lower()
    assert read_address(found.key).key == found.key


@pytest.mark.parametrize(
    "key", ["ana.b@c.example", "anab+x@c.example", "a.n.a.b+x+y@c.example"]
)
def test_throttles_count_spellings_of_one_mailbox_together(key: str) -> None:
    assert folded(key) == "anab@c.example"
    assert folded("+x@c.example") == "+x@c.example"


def test_strangers_see_one_letter_and_the_domain() -> None:
    assert masked("ana@example.org") == "a•••@example.org"
