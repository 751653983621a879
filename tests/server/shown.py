"""Every page in each of its states, and how tests read the HTML of one."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from xml.etree.ElementTree import Element

import html5lib
import segno
from msgspec.structs import replace

from watchword.core.limits import DAY, HOUR, MINUTE
from watchword.server.pages.client_views import Consent, SignedOut
from watchword.server.pages.rendering import Frame, render
from watchword.server.pages.step_views import (
    AddApp,
    AddPasskey,
    After,
    Enrol,
    EnrolElsewhere,
    Prove,
    RecoveryCodes,
    SecondStep,
)
from watchword.server.pages.views import (
    Account,
    AccountForm,
    AccountNotice,
    Ceremony,
    CheckMail,
    Code,
    Confirm,
    ConsentLine,
    ErrorPage,
    FactorLine,
    Fault,
    Forgot,
    KeptMail,
    Link,
    MailFor,
    Reason,
    Register,
    Reset,
    SessionLine,
    SignIn,
    SignInNotice,
    Trouble,
    View,
    Way,
)

NOW: Final = 1_795_905_660_000  # 28 Nov 2026, 22:41 UTC
ADDRESS: Final = "mara@example.org"
MASKED: Final = "m•••@example.org"
TOKEN: Final = "ww_cf_AbX1q7u0Zk3mVt9sYh2cLr8dPn5wEo6gTi4fQa"
HOME: Final = "https://tides.example.org/"
LONG: Final = "maximiliane.wiesenhuetter-von-hohenfels-40"
SESSIONS: Final = (
    SessionLine(
        id="one",
        client="",
        browser="Firefox",
        system="Linux",
        address="203.0.113.7",
        since=NOW - HOUR,
        used=NOW,
        is_this=True,
    ),
    SessionLine(
        id="two",
        client="Tide Tables",
        browser="",
        system="iPhone",
        address="2001:db8:42:7:a1f0:33ff:fe0b:9d21",
        since=NOW - 24 * DAY,
        used=NOW - 6 * MINUTE,
    ),
    SessionLine(
        id="three",
        client=LONG,
        browser="Chrome",
        system="Windows",
        address="",
        since=NOW - DAY,
        used=NOW,
    ),
    SessionLine(
        id="four", client="", browser="", system="", address="", since=NOW, used=NOW
    ),
)
ACCOUNT: Final = Account(
    name="mara",
    username="mara",
    created_at=NOW - 900 * DAY,
    email=ADDRESS,
    sessions=SESSIONS,
)


CEREMONY: Final = Ceremony("ww_wc_x", '{"challenge":"eA","allowCredentials":[]}')
EVERY_SCOPE: Final = (
    *("openid", "profile", "email", "offline_access", "roles", "account"),
    "tides:read",
)
CONSENTS: Final = (
    ConsentLine(
        client="tides",
        name="Tide Tables",
        scope=EVERY_SCOPE,
        resources=("https://harbour.example.org/api/tides/" + "9" * 40,),
        since=NOW - 24 * DAY,
        used=NOW - HOUR,
    ),
    ConsentLine(
        client="nothing",
        name=LONG,
        scope=(),
        resources=(),
        since=NOW - DAY,
        used=NOW - DAY,
    ),
)
FACTORS: Final = (
    FactorLine(
        id="key",
        is_passkey=True,
        name=LONG,
        added=NOW - 300 * DAY,
        used=NOW - HOUR,
        is_synced=True,
    ),
    FactorLine(id="app", is_passkey=False, name="", added=NOW - 900 * DAY),
)
WAYS: Final = tuple(one for one in Way if one is not Way.PASSWORD)
CODES: Final = tuple(f"7KQ2-M0XD-9RTV-4HB8-WZ1N-C6Y{n}" for n in range(10))
QR: Final = segno.make_qr("otpauth://totp/Harbour%20Works:mara?secret=GEZD").svg_inline(
    scale=4, unit="px", light="#fff", svgclass=None, lineclass=None
)


def _ceremony(way: Way) -> Ceremony | None:
    return CEREMONY if way is Way.PASSKEY else None


_account = partial(replace, ACCOUNT)


def _faults(*faults: Fault) -> tuple[Fault, ...]:
    return faults


def _password(reason: Reason, count: int = 0) -> Reset:
    faults = _faults(Fault(reason, "password", count))
    return Reset(token=TOKEN, address=MASKED, faults=faults)


_OF_PASSWORDS: Final = {
    Reason.PASSWORD_COMMON: (0,),
    Reason.PASSWORD_IS_NAME: (0,),
    Reason.PASSWORD_LEAKED: (0,),
    Reason.PASSWORD_LONG: (1, 1024),
    Reason.PASSWORD_SHORT: (1, 15),
}

STATES: Final[dict[str, View]] = {
    "sign-in": SignIn(),
    "sign-in, with all": SignIn(has_register=True, has_forgot=True, ceremony=CEREMONY),
    "sign-in, passkey wrong": SignIn(
        ceremony=CEREMONY, faults=_faults(Fault(Reason.PASSKEY))
    ),
    **{
        f"second-step, {way}": SecondStep(
            name=LONG, way=way, ways=WAYS, ceremony=_ceremony(way)
        )
        for way in WAYS
    },
    **{
        f"second-step, {way}, {fault.reason}": SecondStep(
            name="mara",
            way=way,
            ways=WAYS,
            ceremony=_ceremony(way),
            faults=_faults(fault),
        )
        for way, fault in (
            (Way.TOTP, Fault(Reason.CODE, "code")),
            (Way.RECOVERY_CODE, Fault(Reason.RECOVERY_CODE, "recovery-code")),
            (Way.PASSKEY, Fault(Reason.PASSKEY_SCRIPT)),
        )
    },
    **{
        f"prove, {way}": Prove(
            name=LONG,
            way=way,
            ways=(way,) if way is Way.PASSWORD else WAYS,
            ceremony=_ceremony(way),
            then=After.DELETE,
        )
        for way in Way
    },
    "prove, expired": Prove(
        name="mara",
        way=Way.PASSKEY,
        ways=WAYS,
        ceremony=CEREMONY,
        then=After.EMAIL,
        faults=_faults(Fault(Reason.EXPIRED)),
    ),
    "enrol": Enrol(name="mara", asks_token=True),
    "enrol, sent": Enrol(name=LONG, asks_token=True, is_sent=True),
    "enrol, code": Enrol(name="mara", asks_token=True, token=TOKEN),
    "enrol, wrong": Enrol(
        name="mara", asks_token=True, faults=_faults(Fault(Reason.ENROL_CODE, "token"))
    ),
    "enrol, operator": Enrol(
        name="mara", asks_token=True, has_mail=False, has_passkeys=False
    ),
    "enrol, at once": Enrol(name="mara", asks_token=False),
    "enrol, elsewhere": EnrolElsewhere(),
    **{
        f"add-app{name}": AddApp(
            name=LONG,
            factor="ww_ct_x",
            secret="GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
            qr=QR,
            is_demanded=bool(faults),
            faults=faults,
        )
        for name, faults in (
            ("", ()),
            (", wrong", _faults(Fault(Reason.CODE, "code"))),
        )
    },
    **{
        f"add-passkey{name}": AddPasskey(
            name=LONG,
            ceremony=CEREMONY,
            label="iPhone",
            is_demanded=bool(faults),
            faults=faults,
        )
        for name, faults in (
            ("", ()),
            (", wrong", _faults(Fault(Reason.PASSKEY))),
        )
    },
    "recovery-codes": RecoveryCodes(codes=CODES),
    "sign-in, wrong": SignIn(
        username=LONG,
        faults=_faults(Fault(Reason.CREDENTIALS, "username")),
        has_register=True,
        has_forgot=True,
        ceremony=CEREMONY,
    ),
    "sign-in, a minute": SignIn(faults=_faults(Fault(Reason.TRY_LATER, count=1))),
    "sign-in, throttled": SignIn(faults=_faults(Fault(Reason.TRY_LATER, count=4))),
    "sign-in, stale": SignIn(faults=_faults(Fault(Reason.STALE))),
    **{
        f"sign-in, {notice}": SignIn(notice=notice)
        for notice in SignInNotice
        if notice is not SignInNotice.NOTHING
    },
    "sign-in, already": SignIn(name="mara", has_register=True, has_forgot=True),
    "sign-in, for a client": SignIn(
        username=ADDRESS, has_register=True, has_forgot=True, ceremony=CEREMONY
    ),
    "sign-in, for a client, as another": SignIn(name=LONG),
    "sign-in, for a client, again": SignIn(name=LONG, username=LONG, is_again=True),
    "second-step, for a client": SecondStep(name=LONG, way=Way.TOTP, ways=WAYS),
    "enrol, for a client": Enrol(name=LONG, asks_token=True),
    "prove, for the console": Prove(name=LONG, way=Way.TOTP, ways=WAYS, then=None),
    "prove, for a client": Prove(name=LONG, way=Way.TOTP, ways=WAYS, then=None),
    "add-app, for a client": AddApp(
        name=LONG,
        factor="ww_ct_x",
        secret="GEZD GNBV GY3T QOJQ",
        qr=QR,
        has_passkeys=True,
    ),
    "add-passkey, for a client": AddPasskey(
        name=LONG, ceremony=CEREMONY, label="iPhone"
    ),
    "recovery-codes, for a client": RecoveryCodes(codes=CODES),
    "consent, for a client": Consent(
        name=LONG,
        scope=EVERY_SCOPE,
        resources=("https://harbour.example.org/api/tides/" + "9" * 40,),
        email=f"{LONG}@harbour.example.org",
        roles=("harbour-pilot", LONG),
    ),
    "consent, for a client, stale": Consent(
        name="mara",
        scope=("openid", "email", "roles"),
        faults=_faults(Fault(Reason.STALE)),
    ),
    "consent, for a client, local": Consent(name="mara", scope=(), is_local=True),
    "error, for a client": ErrorPage(
        request_id="4f0c2a91be-1d3",
        trouble=Trouble.INTERACTION,
        code="interaction_expired",
        at=NOW,
    ),
    "error, redirect URI": ErrorPage(
        trouble=Trouble.REDIRECT_URI, code="redirect_uri", at=NOW, client=LONG
    ),
    "signed-out, client asks": SignedOut(
        name=LONG, client=LONG, ticket="ww_lo_x", apps=(LONG, "wiki")
    ),
    "signed-out, back": SignedOut(client=LONG, home=HOME),
    "signed-out, faulty": SignedOut(client=LONG, is_faulty=True),
    "account, apps": _account(consents=CONSENTS),
    "signed-out": SignedOut(),
    "signed-out, not yet": SignedOut(name="mara"),
    "signed-out, stale": SignedOut(name="mara", faults=_faults(Fault(Reason.STALE))),
    "register": Register(),
    "register, one wrong": Register(
        email=ADDRESS, faults=_faults(Fault(Reason.NAME, "username"))
    ),
    "register, refused": Register(email=ADDRESS, faults=_faults(Fault(Reason.REFUSED))),
    "register, all wrong": Register(
        email="mara@",
        username=LONG,
        faults=_faults(
            Fault(Reason.EMAIL, "email"),
            Fault(Reason.NAME, "username"),
            Fault(Reason.PASSWORD_SHORT, "password", 15),
        ),
    ),
    "forgot": Forgot(),
    "forgot, wrong": Forgot(
        email="mara@", faults=_faults(Fault(Reason.EMAIL, "email"))
    ),
    "check-mail": CheckMail(
        purpose=MailFor.REGISTER, address=ADDRESS, registration="ww_rg_x"
    ),
    "check-mail, kept here": CheckMail(
        purpose=MailFor.REGISTER,
        address=ADDRESS,
        registration="ww_rg_x",
        kept=KeptMail(
            "/home/mara/projects/tide-tables/watchword-data/outbox",
            ("watchword", "mail", "show", "--data", "/home/mara/projects/tide-tables"),
        ),
    ),
    "check-mail, again": CheckMail(
        purpose=MailFor.REGISTER,
        address=f"{LONG}@harbour.example.org",
        registration="ww_rg_x",
        sent_again=True,
    ),
    "check-mail, throttled": CheckMail(
        purpose=MailFor.REGISTER,
        address=ADDRESS,
        registration="ww_rg_x",
        faults=_faults(Fault(Reason.TRY_LATER, count=4)),
    ),
    "check-mail, reset": CheckMail(purpose=MailFor.FORGOT, address=ADDRESS),
    **{
        f"code, {page}{name}": Code(is_reset=is_reset, faults=faults)
        for page, is_reset in (("confirm", False), ("reset", True))
        for name, faults in (
            ("", ()),
            (", missing", _faults(Fault(Reason.MISSING, "token"))),
            (", spent", _faults(Fault(Reason.LINK, "token"))),
        )
    },
    **{
        f"confirm, {link}": Confirm(
            link=link,
            token=TOKEN,
            address=MASKED,
            username="mara" if link is Link.REGISTRATION else "",
            asks_name=link is Link.INVITATION,
        )
        for link in Link
        if link is not Link.RESET
    },
    **{
        f"confirm, {link}, elsewhere": Confirm(
            link=link,
            token=TOKEN,
            address=MASKED,
            asks_password=True,
            faults=_faults(Fault(Reason.PASSWORD_WRONG, "password")),
        )
        for link in (Link.REGISTRATION, Link.EMAIL)
    },
    "confirm, not sure": Confirm(
        link=Link.REVERT,
        token=TOKEN,
        address=MASKED,
        faults=_faults(Fault(Reason.SURE, "sure")),
    ),
    "confirm, address in use": Confirm(
        link=Link.REGISTRATION,
        token=TOKEN,
        address=MASKED,
        faults=_faults(Fault(Reason.ADDRESS_IN_USE)),
    ),
    "confirm, invitation of an account": Confirm(
        link=Link.INVITATION,
        token=TOKEN,
        address=MASKED,
        asks_password=True,
        faults=_faults(Fault(Reason.PASSWORD_WRONG, "password")),
    ),
    "confirm, name taken": Confirm(
        link=Link.REGISTRATION,
        token=TOKEN,
        address=MASKED,
        username="mara",
        asks_name=True,
        faults=_faults(Fault(Reason.NAME_TAKEN, "username")),
    ),
    "confirm, address taken": Confirm(
        link=Link.EMAIL,
        token=TOKEN,
        address=MASKED,
        faults=_faults(Fault(Reason.EMAIL_TAKEN)),
    ),
    "confirm, invitation, wrong": Confirm(
        link=Link.INVITATION,
        token=TOKEN,
        address=MASKED,
        asks_name=True,
        faults=_faults(Fault(Reason.PASSWORD_COMMON, "password")),
    ),
    "reset": Reset(token=TOKEN, address=MASKED),
    **{
        f"reset, {reason} {count}": _password(reason, count)
        for reason, counts in _OF_PASSWORDS.items()
        for count in counts
    },
    **{
        f"reset, {way}": Reset(
            token=TOKEN,
            address=MASKED,
            way=way,
            ways=WAYS,
            ceremony=_ceremony(way),
            continuation="ww_ct_x",
        )
        for way in WAYS
    },
    "reset, code wrong": Reset(
        token=TOKEN,
        address=MASKED,
        way=Way.TOTP,
        ways=WAYS,
        faults=_faults(
            Fault(Reason.PASSWORD_SHORT, "password", 15), Fault(Reason.CODE, "code")
        ),
    ),
    "account": ACCOUNT,
    "account, factors": _account(factors=FACTORS, codes_left=10, has_passkeys=True),
    **{
        f"account, codes left {left}": _account(
            factors=FACTORS[:1], codes_left=left, needs_proof=True, has_passkeys=True
        )
        for left in (1, 3, 10)
    },
    "account, last factor demanded": _account(
        factors=FACTORS[:1], codes_left=10, is_demanded=True, has_passkeys=True
    ),
    "account, factor wrong": _account(
        factors=FACTORS,
        opened=AccountForm.RENAME,
        factor="key",
        renamed=LONG * 2,
        faults=_faults(Fault(Reason.FACTOR_NAME, "name-key")),
    ),
    "account, last factor": _account(
        factors=FACTORS[1:],
        codes_left=1,
        opened=AccountForm.REMOVE,
        factor="app",
        faults=_faults(Fault(Reason.LAST_FACTOR)),
    ),
    "account, alone": _account(sessions=SESSIONS[:1], has_mail=False),
    "account, address as name": _account(name=ADDRESS, username=""),
    "account, without address": _account(email=""),
    "account, waiting": _account(
        waiting=f"{LONG}@harbour.example.org", notice=AccountNotice.EMAIL_ASKED
    ),
    **{
        f"account, {notice} {count}": _account(notice=notice, count=count)
        for notice in AccountNotice
        if notice is not AccountNotice.NOTHING
        for count in (
            (0, 1, 2)
            if notice in {AccountNotice.PASSWORD_CHANGED, AccountNotice.OTHERS_ENDED}
            else (0,)
        )
    },
    "account, address wrong": _account(
        opened=AccountForm.EMAIL,
        typed_email="mara@",
        waiting=f"{LONG}@harbour.example.org",
        faults=_faults(
            Fault(Reason.EMAIL, "email"),
            Fault(Reason.PASSWORD_WRONG, "email-password"),
        ),
    ),
    "account, password wrong": _account(
        opened=AccountForm.PASSWORD,
        faults=_faults(
            Fault(Reason.PASSWORD_WRONG, "current-password"),
            Fault(Reason.PASSWORD_LEAKED, "password"),
        ),
    ),
    "account, last admin": _account(
        opened=AccountForm.DELETE, faults=_faults(Fault(Reason.LAST_ADMIN))
    ),
    "account, more": _account(has_more=True),
    "account, not deleted": _account(
        opened=AccountForm.DELETE,
        faults=_faults(Fault(Reason.PASSWORD_WRONG, "delete-password")),
    ),
    **{
        f"error, {trouble} {minutes}": ErrorPage(
            trouble=trouble, code="some_code", at=NOW, minutes=minutes
        )
        for trouble in Trouble
        for minutes in (
            (0, 1, 5) if trouble in {Trouble.TOO_MANY, Trouble.UNAVAILABLE} else (0,)
        )
    },
}
"""Together they have every sentence and every part of every template in them."""


_CLIENT: Final[dict[str, Any]] = {
    "interaction": "ww_in_x",
    "client": "Tide Tables of the Harbour",
    "returns_to": "tides.example.org",
    "home": HOME,
}


def frame(tag: str = "en", state: str = "") -> Frame:
    """The frame of that state: of some, a client waits."""
    of_client = _CLIENT if "for a client" in state else {}
    return Frame(
        service="Harbour Works",
        host="id.example.org",
        locale=tag,
        token="a-token",
        then="console" if "for the console" in state else "",
        **of_client,
    )


def shown(state: str, tag: str = "en") -> str:
    return render(STATES[state], frame(tag, state))


def parsed(html: str) -> Element:
    """The document, as a browser reads it. Raises for what is no valid HTML."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    document: Element = parser.parse(html)
    return document


def text_of(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def with_class(document: Element, name: str) -> list[Element]:
    return [one for one in document.iter() if name in one.get("class", "").split()]
