"""What each page shows, in each of its states.

A view says nothing of words, dates or markup: those are for the language and for the
template. A view never has a password in it, because passwords are typed again after an
error. Addresses are masked (`m•••@example.org`) by the engine, unless they were typed
in this very step.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec


class Reason(StrEnum):
    """Why a field was not accepted. Each language has a sentence for each."""

    ADDRESS_IN_USE = "address_in_use"
    CODE = "code"
    CREDENTIALS = "credentials"
    EMAIL = "email"
    EMAIL_TAKEN = "email_taken"
    ENROL_CODE = "enrol_code"
    EXPIRED = "expired"
    FACTOR_NAME = "factor_name"
    LAST_ADMIN = "last_admin"
    LAST_FACTOR = "last_factor"
    LINK = "link"
    MISSING = "missing"
    NAME = "name"
    NAME_TAKEN = "name_taken"
    PASSKEY = "passkey"
    PASSKEY_SCRIPT = "passkey_script"
    PASSWORD_COMMON = "password_common"  # noqa: S105 - a reason
    PASSWORD_IS_NAME = "password_is_name"  # noqa: S105 - a reason
    PASSWORD_LEAKED = "password_leaked"  # noqa: S105 - a reason
    PASSWORD_LONG = "password_long"  # noqa: S105 - a reason
    PASSWORD_SHORT = "password_short"  # noqa: S105 - a reason
    PASSWORD_WRONG = "password_wrong"  # noqa: S105 - a reason
    RECOVERY_CODE = "recovery_code"
    REFUSED = "refused"
    STALE = "stale"
    SURE = "sure"
    TRY_LATER = "try_later"


class Fault(msgspec.Struct, frozen=True):
    """One error on a page, and the id of the field that it belongs to, if to any.

    `count` is what the sentence names: characters for the length of a password, minutes
    for `TRY_LATER`.
    """

    reason: Reason
    field: str = ""
    count: int = 0


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What every page may have: errors."""

    template: ClassVar[str]

    faults: tuple[Fault, ...] = ()


class SignInNotice(StrEnum):
    """What was done on the way to the sign-in page: it begins with that notice."""

    NOTHING = ""
    ACCOUNT_MADE = "account_made"
    ACCOUNT_DELETED = "account_deleted"
    ADDRESS_BACK = "address_back"
    EMAIL_CHANGED = "email_changed"
    EXPIRED = "expired"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a notice


class Ceremony(msgspec.Struct, frozen=True):
    """What a browser asks a passkey with: the `options` are JSON (WebAuthn §5.1).

    `challenge` is sent back with the answer.
    """

    challenge: str
    options: str


class SignIn(View, frozen=True, kw_only=True):
    """The door. `has_register` and `has_forgot` say whether those pages are there.

    `name` is that of the account by which the browser is signed in already. There is no
    `ceremony` where passkeys are off. `is_again`: the client that waits wants the user
    of that account to sign in once more.
    """

    template = "sign-in.html"

    name: str = ""
    username: str = ""
    ceremony: Ceremony | None = None
    notice: SignInNotice = SignInNotice.NOTHING
    has_register: bool = False
    has_forgot: bool = False
    is_again: bool = False


class Way(StrEnum):
    """How a user gives a proof on a page: the parameter `way` of its address."""

    PASSKEY = "passkey"
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    PASSWORD = "password"  # noqa: S105 - a way


class Register(View, frozen=True, kw_only=True):
    """The form for a new account."""

    template = "register.html"

    email: str = ""
    username: str = ""


class Forgot(View, frozen=True, kw_only=True):
    """The form that asks for a reset."""

    template = "forgot.html"

    email: str = ""


class MailFor(StrEnum):
    """What a message was asked for."""

    REGISTER = "register"
    FORGOT = "forgot"


class KeptMail(msgspec.Struct, frozen=True):
    """The folder of messages that are kept; the words of what shows the newest."""

    folder: str
    command: tuple[str, ...]


class CheckMail(View, frozen=True, kw_only=True):
    """After `Register` or `Forgot`: the same whether or not there is an account.

    `address` is as it was typed. `registration` is the handle by which the message can
    be asked for again; `sent_again` that it just was. `kept` is for a developer on this
    machine.
    """

    template = "check-mail.html"

    purpose: MailFor
    address: str
    registration: str = ""
    sent_again: bool = False
    kept: KeptMail | None = None


class Link(StrEnum):
    """What the link of a message is for. `/reset` has `RESET`, `/confirm` the rest."""

    REGISTRATION = "registration"
    INVITATION = "invitation"
    EMAIL = "email"
    REVERT = "revert"
    RESET = "reset"


class Code(View, frozen=True, kw_only=True):
    """The first step behind a link: the code of its fragment, which the page reads.

    Sending it spends nothing: it shows the page of `Confirm` or `Reset`. It is also
    where the page begins anew if the code was not accepted. `is_reset` says that this
    is `/reset` and not `/confirm`.
    """

    template = "code.html"

    is_reset: bool


class Confirm(View, frozen=True, kw_only=True):
    """The second step: what the button will do to which address.

    `asks_password`: the browser has no handle of the registration, so the password
    proves that the same person asked; for `EMAIL`, that no session does; for an
    invitation, that its address has an account already. `asks_name`: the name was taken
    meanwhile, or it is an invitation, which has none yet. `address` is the masked one
    that the button makes the account's, or gives back to it.
    """

    template = "confirm.html"

    link: Link
    token: str
    address: str
    username: str = ""
    asks_password: bool = False
    asks_name: bool = False


class Reset(View, frozen=True, kw_only=True):
    """The second step of `/reset`: the new password, and the factor if there is one.

    `way` and `ways` are as those of `Asked`; None without a factor. `continuation` goes
    with the ceremony of a passkey.
    """

    template = "reset.html"

    token: str
    address: str
    way: Way | None = None
    ways: tuple[Way, ...] = ()
    ceremony: Ceremony | None = None
    continuation: str = ""


class AccountForm(StrEnum):
    """The forms of the account page: the value of the field `do`."""

    EMAIL = "email"
    PASSWORD = "password"  # noqa: S105 - a form
    END = "end"
    END_OTHERS = "end_others"
    LOCALE = "locale"
    RENAME = "rename"
    REMOVE = "remove"
    NEW_CODES = "new_codes"
    WITHDRAW = "withdraw"
    DELETE = "delete"


class AccountNotice(StrEnum):
    """What a form of the account page, or the link of a message, has just done."""

    NOTHING = ""
    ACCOUNT_MADE = "account_made"
    INVITATION_ACCEPTED = "invitation_accepted"
    EMAIL_ASKED = "email_asked"
    EMAIL_CHANGED = "email_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a notice
    SESSION_ENDED = "session_ended"
    OTHERS_ENDED = "others_ended"
    FACTOR_ADDED = "factor_added"
    FACTOR_RENAMED = "factor_renamed"
    FACTOR_REMOVED = "factor_removed"
    NEW_CODES = "new_codes"
    LOCALE_SAVED = "locale_saved"
    WITHDRAWN = "withdrawn"


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A session in the list of the account page. Instants in milliseconds.

    `client` is the name of the app, empty for the first party. `browser` and `system`
    are what is known of the program, empty where nothing is.
    """

    id: str
    client: str
    browser: str
    system: str
    address: str
    since: int
    used: int
    is_this: bool = False


class FactorLine(msgspec.Struct, frozen=True, kw_only=True):
    """A second factor in the list of the account page. Instants in milliseconds.

    `is_passkey`, or else an authenticator app. `name` may be empty. `is_synced`: its
    maker keeps copies of it.
    """

    id: str
    is_passkey: bool
    name: str
    added: int
    used: int | None = None
    is_synced: bool = False


class ConsentLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the user has allowed an app, in the list of the account page.

    `client` is its id. Instants in milliseconds.
    """

    client: str
    name: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    since: int
    used: int


class Account(View, frozen=True, kw_only=True):
    """The account of the signed-in user.

    `username` is empty where the address is the name. `waiting` is a new address that
    is not confirmed yet. `opened` is the form that the faults belong to. `count` is how
    many sessions ended with `notice`. `has_mail`: an address can be changed.
    `has_more`: there are more sessions than are shown. `needs_proof`: the user has a
    factor, and has to prove it anew before something is changed. `factor` is the one
    that the faults belong to, `renamed` the name that was typed for it. `is_demanded`:
    the last factor stays.
    """

    template = "account.html"

    name: str
    username: str
    created_at: int
    email: str
    sessions: tuple[SessionLine, ...]
    waiting: str = ""
    has_mail: bool = True
    has_more: bool = False
    notice: AccountNotice = AccountNotice.NOTHING
    count: int = 0
    factors: tuple[FactorLine, ...] = ()
    codes_left: int = 0
    needs_proof: bool = False
    is_demanded: bool = False
    has_passkeys: bool = False
    consents: tuple[ConsentLine, ...] = ()
    opened: AccountForm | None = None
    factor: str = ""
    renamed: str = ""
    typed_email: str = ""


class Trouble(StrEnum):
    """What an error means for the person that sees its page."""

    NOT_FOUND = "not_found"
    REFUSED = "refused"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    INTERNAL = "internal"
    INTERACTION = "interaction"
    CLIENT = "client"
    REDIRECT_URI = "redirect_uri"


class ErrorPage(View, frozen=True, kw_only=True):
    """The page for an error: its stable code, when (ms) it was, and of which request.

    `client` is the app that sent the user here with a request that is wrong.
    """

    template = "error.html"

    trouble: Trouble
    code: str
    at: int
    minutes: int = 0
    client: str = ""
    request_id: str = ""
