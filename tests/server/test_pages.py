"""The pages: each in each state and language, what an error says, and the words."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

import msgspec
import pytest
from markupsafe import Markup

from tests.rows import each
from tests.server.shown import (
    HOME,
    NOW,
    STATES,
    frame,
    parsed,
    shown,
    text_of,
    with_class,
)
from watchword import errors
from watchword.core import limits
from watchword.passwords.policy import check_new_password
from watchword.server.csrf import FIELD
from watchword.server.endpoints.pages.files import FILES
from watchword.server.pages.faults import fault_of
from watchword.server.pages.language import LOCALES, Language, chosen, language
from watchword.server.pages.rendering import FOLDER, render
from watchword.server.pages.views import Fault, Reason, View

EVERY: Final = [(state, tag) for state in STATES for tag in LOCALES]
FIELDS: Final = ("input", "select", "textarea")


# Every page in each state


def test_every_page_is_among_the_states() -> None:
    def views(kind: type[View]) -> set[type[View]]:
        below = set().union(*map(views, kind.__subclasses__()))
        return below | ({kind} if "template" in vars(kind) else set())

    assert {type(view) for view in STATES.values()} == views(View)


def test_a_page_is_valid_and_nothing_in_it_is_inline() -> None:
    for checks, (state, tag) in each(EVERY):
        with checks:
            document = parsed(shown(state, tag))
            assert document.get("lang") == tag
            assert document.get("dir") == "ltr"
            assert len(list(document.iter("h1"))) == 1
            ids = [one.get("id") for one in document.iter() if one.get("id")]
            assert len(ids) == len(set(ids))
            for one in document.iter():
                assert one.tag != "style"
                inline = [
                    name for name in one.attrib if name == "style" or name[:2] == "on"
                ]
                assert inline == []
                if one.tag == "script":
                    assert one.get("src")
                    assert not one.text
                for name in ("src", "href"):
                    address = one.get(name, "")
                    # Of a client that is registered.
                    if address == HOME and one.tag == "a":
                        continue
                    # Relative, so that it works below a path prefix; a file of ours.
                    assert not re.match(r"\w+:|/", address), address
                    folder, _, file = address.rpartition("/")
                    assert not folder or (folder == FOLDER and file in FILES)


def test_each_field_has_its_words_and_each_form_its_proof() -> None:
    """Labels, hints and errors belong to their fields; no password comes back."""
    for checks, (state, tag) in each(EVERY):
        with checks:
            document = parsed(shown(state, tag))
            labels = {one.get("for") for one in document.iter("label")}
            ids = {one.get("id"): one for one in document.iter() if one.get("id")}
            for form in document.iter("form"):
                if form.get("method") == "get":  # no more than a link
                    assert form.get("action") in {"account", "sign-in"}
                    continue
                assert form.get("method") == "post"
                # To the page itself, or to another one beside it: Host plays no part.
                to = (form.get("action") or "").partition("?")[0]
                assert to in {"", "signed-out", "sign-in"}
                (proof,) = [
                    one for one in form.iter("input") if one.get("name") == FIELD
                ]
                assert proof.get("value") == "a-token"
            for one in document.iter():
                if one.tag not in FIELDS or one.get("type") == "hidden":
                    continue
                if one.get("hidden") is None:
                    assert one.get("id") in labels
                assert one.get("autocomplete")
                for described in one.get("aria-describedby", "").split():
                    assert described in ids
                if one.get("type") == "password":
                    assert one.get("value") is None


def test_an_error_is_at_the_top_and_at_its_field_in_the_same_words() -> None:
    with_faults = [row for row in EVERY if STATES[row[0]].faults]
    for checks, (state, tag) in each(with_faults):
        with checks:
            document = parsed(shown(state, tag))
            ids = {one.get("id"): one for one in document.iter() if one.get("id")}
            (summary,) = with_class(document, "summary")
            assert summary.get("role") == "alert"
            assert summary.get("tabindex") == "-1"
            assert summary.get("autofocus") is not None
            word = language(tag).sentences["page.error"]
            (title,) = document.iter("title")
            assert text_of(title).startswith(f"{word}: ")
            for fault, line in zip(
                STATES[state].faults, summary.iter("li"), strict=True
            ):
                if not fault.field:
                    assert text_of(line)
                    continue
                (link,) = line.iter("a")
                assert link.get("href") == f"#{fault.field}"
                field = ids[fault.field]
                assert field.tag == "input"
                assert field.get("aria-invalid") == "true"
                assert (
                    f"{fault.field}-error" in field.get("aria-describedby", "").split()
                )
                there = ids[f"{fault.field}-error"]
                assert text_of(there) == f"{word}: {text_of(link)}"
            # A form that is folded away opens where its field is wrong.
            for details in document.iter("details"):
                if any(one.get("aria-invalid") for one in details.iter("input")):
                    assert details.get("open") is not None


def test_a_page_without_errors_has_no_summary_and_one_primary_button() -> None:
    for checks, state in each(STATES):
        with checks:
            document = parsed(shown(state))
            if not STATES[state].faults:
                assert with_class(document, "summary") == []
            folded = {
                one for details in document.iter("details") for one in details.iter()
            }
            primary = [
                one for one in with_class(document, "primary") if one not in folded
            ]
            assert len(primary) <= 1


def test_what_is_shown_is_text_whatever_is_in_it() -> None:
    """No value of a view or frame makes an element or an attribute."""
    for checks, state in each(STATES):
        with checks:
            hostile = "\"'><script>alert(1)</script>{{ 7 * 7 }}{0}&#60;b>"
            outlines = []
            for value in ("benign", hostile):
                around = msgspec.structs.replace(
                    frame(state=state), service=value, host=value, token=value
                )
                html = render(filled(STATES[state], value), around)
                outlines.append(outline(parsed(html)))
            assert outlines[0] == outlines[1]


def filled(view: Any, value: str) -> Any:
    """The struct with this value in the place of each text that is not empty."""
    if isinstance(view, tuple):
        return tuple(filled(one, value) for one in view)
    if isinstance(view, str) and not isinstance(view, Enum):
        return value if view else ""
    if not isinstance(view, msgspec.Struct):
        return view
    # The id of a field comes from a handler, and from no request; the code is ours.
    kept = {"field", "qr"}
    changed = {
        name: filled(getattr(view, name), value)
        for name in view.__struct_fields__
        if name not in kept
    }
    return msgspec.structs.replace(view, **changed)


def outline(element: Element) -> list[Any]:
    """What the document is made of, without its texts and values."""
    return [(one.tag, sorted(one.keys())) for one in element.iter()]


def test_a_template_of_an_operator_wins_and_may_use_ours(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/signed-out.html").write_text(
        '{% extends "gate.html" %}{% block title %}{{ t("signed_out.title") }}'
        "{% endblock %}{% block card %}<h1>Bye, {{ frame.service }}</h1>{% endblock %}"
    )
    changed = render(STATES["signed-out"], frame("de"), tmp_path)
    assert text_of(next(parsed(changed).iter("h1"))) == "Bye, Harbour Works"
    same = render(STATES["forgot"], frame("de"), tmp_path)
    assert same == shown("forgot", "de")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.InvalidCredentials(), Fault(Reason.CREDENTIALS, "username")),
        (errors.NameTaken(), Fault(Reason.NAME_TAKEN, "username")),
        (errors.NameInvalid(), Fault(Reason.NAME, "username")),
        # The page has no such field.
        (errors.EmailInvalid(), Fault(Reason.EMAIL)),
        (errors.EmailTaken(), Fault(Reason.EMAIL_TAKEN)),
        (errors.ConfirmationInvalid(), Fault(Reason.LINK)),
        (errors.RegistrationRefused(), Fault(Reason.REFUSED)),
        (errors.LastAdmin(), Fault(Reason.LAST_ADMIN)),
        (errors.LastFactor(), Fault(Reason.LAST_FACTOR)),
        (errors.SecondFactorInvalid(), Fault(Reason.CREDENTIALS, "username")),
        (errors.CsrfRejected(), Fault(Reason.STALE)),
        (errors.Throttled(retry_after=0), Fault(Reason.TRY_LATER, count=1)),
        (errors.Throttled(retry_after=60), Fault(Reason.TRY_LATER, count=1)),
        (errors.Throttled(retry_after=61), Fault(Reason.TRY_LATER, count=2)),
        (errors.Overloaded(), None),
        (errors.StoreUnavailable(), None),
        (errors.InvalidRequest(), None),
    ],
)
def test_what_a_page_says_of_an_error(
    error: errors.WatchwordError, fault: Fault | None
) -> None:
    assert fault_of(error, "username", "password") == fault


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("too short", Fault(Reason.PASSWORD_SHORT, "password", 15)),
        ("kV3#" * 257, Fault(Reason.PASSWORD_LONG, "password", 1024)),
        ("mara.lindqvist.of.harbour", Fault(Reason.PASSWORD_IS_NAME, "password")),
        ("passwordpassword", Fault(Reason.PASSWORD_COMMON, "password")),
        ("kV3#x7QmpL9-vR\ud800", Fault(Reason.PASSWORD_COMMON, "password")),
    ],
)
def test_what_a_page_says_of_a_password(password: str, fault: Fault) -> None:
    """The least and the most as numbers, so that each language has its own sentence."""
    with pytest.raises(errors.PasswordRejected) as refused:
        check_new_password(password, names=["Mara.Lindqvist.of.harbour"])
    assert fault_of(refused.value, "here", "password") == fault


@pytest.mark.parametrize(
    ("key", "life"),
    [
        ("check_mail.follow_register", f"{limits.REGISTRATION_LIFE // limits.HOUR} "),
        ("check_mail.follow_forgot", f"{limits.RESET_LIFE // limits.MINUTE} "),
    ],
)
def test_a_page_says_how_long_a_link_works(key: str, life: str) -> None:
    assert all(life in language(tag).sentences[key] for tag in LOCALES)


# Languages


def test_every_language_has_the_same_sentences_with_the_same_values() -> None:
    def places(tag: str) -> dict[str, list[str]]:
        sentences = language(tag).sentences
        return {
            key: sorted(re.findall(r"{(\w*)}", one)) for key, one in sentences.items()
        }

    first, *others = map(places, LOCALES)
    for other in others:
        assert other == first


def test_every_sentence_is_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """So none is left over, and the states above leave none out."""
    said: set[str] = set()

    def say(self: Language, key: str, count: int | None = None, **more: object) -> Any:
        name = "" if count is None else ".one" if count == 1 else ".other"
        said.add(key + name)
        return original(self, key, count, **more)

    original = Language.say
    monkeypatch.setattr(Language, "say", say)
    for state in STATES:
        shown(state)
    of_rules = {"language.name", "language.direction", "language.months"}
    # The least length of a password is one number, and not 1.
    unsaid = {"language.thousands", "words.password_hint.one"}
    assert said | of_rules | unsaid == set(language("en").sentences)


def test_a_german_page_is_german() -> None:
    """No sentence of the English catalogue is in it that is another one in German."""
    for checks, state in each(STATES):
        with checks:
            english, german = language("en").sentences, language("de").sentences
            page = parsed(shown(state, "de"))
            texts = {
                " ".join(text.split())
                for one in page.iter()
                for text in (one.text or "", one.tail or "")
            }
            assert texts & (set(english.values()) - set(german.values())) <= {"English"}


def test_numbers_and_instants_are_written_as_the_language_writes_them() -> None:
    english, german = map(language, LOCALES)
    assert english.instant(NOW) == Markup(
        '<time class="nowrap" datetime="2026-11-28T22:41:00Z">'
        "28 Nov 2026, 22:41 UTC</time>"
    )
    assert ">28. Nov. 2026</time>" in german.date(NOW)
    long = "reasons.password_long"
    assert english.say(long, 1024) == "Use at most 1,024 characters"
    assert german.say(long, 1024) == "Verwenden Sie höchstens 1.024 Zeichen"


@pytest.mark.parametrize(
    ("account", "ui_locales", "accept_language", "tag"),
    [
        (None, "", "", "en"),
        (None, "", "de", "de"),
        (None, "", "de-AT, en;q=0.5", "de"),
        (None, "", "fr, en;q=0.5, de;q=0.8", "de"),
        (None, "", "de;q=0, en;q=0.1", "en"),
        (None, "", "*", "en"),
        (None, "", "DE-de", "de"),
        (None, "", "de;q=x, ;;, =, de;q=7, de;q=nan", "en"),
        (None, "", "x," * 10_000 + "de", "en"),
        (None, "de", "en", "de"),
        (None, "fr de-CH", "en", "de"),
        (None, "fr", "de", "de"),
        (None, "../../etc/passwd", "", "en"),
        ("de", "en", "en", "de"),
        ("fr", "", "de", "de"),
    ],
)
def test_which_language_a_page_is_in(
    account: str | None, ui_locales: str, accept_language: str, tag: str
) -> None:
    """That of a link at the foot, the account's, what an app asks for, the header's."""
    others: dict[str, Any] = {
        "account": account,
        "ui_locales": ui_locales,
        "accept_language": accept_language,
    }
    assert chosen(**others) == tag
    for address, found in (("de", "de"), ("en", "en"), ("fr", tag), ("\0", tag)):
        assert chosen(address=address, **others) == found
