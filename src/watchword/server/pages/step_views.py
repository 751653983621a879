"""What the pages of second factors show: asked for, enrolled, added."""

from __future__ import annotations

from enum import StrEnum

from watchword.server.pages.views import Ceremony, View, Way


class Asked(View, frozen=True, kw_only=True):
    """A page that asks for one factor. `ways` are all that this user has."""

    way: Way
    ways: tuple[Way, ...]
    ceremony: Ceremony | None = None


class SecondStep(Asked, frozen=True, kw_only=True):
    """After a right password. `name` is that of the account."""

    template = "second-step.html"

    name: str


class After(StrEnum):
    """Where the user goes on after a new proof: the parameter `then`.

    The first ones are forms of the account page, the others pages.
    """

    EMAIL = "email"
    PASSWORD = "password"  # noqa: S105 - a form
    FACTORS = "factors"
    DELETE = "delete"
    ADD_APP = "add-app"
    ADD_PASSKEY = "add-passkey"


class Prove(Asked, frozen=True, kw_only=True):
    """Before a change of the account, which comes `then`.

    `then` is None where the client that waits asks for it, or the console.
    """

    template = "prove.html"

    name: str
    then: After | None


class Enrol(View, frozen=True, kw_only=True):
    """The choice of a first factor, where one is demanded.

    `asks_token`: the user shows a code of the mailbox first, or of an operator. `token`
    is the one that came, `is_sent` says that a message was asked for.
    """

    template = "enrol.html"

    name: str
    asks_token: bool
    token: str = ""
    is_sent: bool = False
    has_mail: bool = True
    has_passkeys: bool = True


class EnrolElsewhere(View, frozen=True, kw_only=True):
    """The link of an enrolment, in a browser that is not about to sign in."""

    template = "enrol-elsewhere.html"


class AddApp(View, frozen=True, kw_only=True):
    """The secret for an authenticator app. `factor` is the ticket of it.

    `is_demanded`: the user cannot go on without. `qr` is an SVG element of ours.
    `has_passkeys`: a passkey would do as well.
    """

    template = "add-app.html"

    name: str
    factor: str
    secret: str
    qr: str
    is_demanded: bool = False
    has_passkeys: bool = False


class AddPasskey(View, frozen=True, kw_only=True):
    """A new passkey. `label` is the name that it gets."""

    template = "add-passkey.html"

    name: str
    ceremony: Ceremony
    label: str
    is_demanded: bool = False


class RecoveryCodes(View, frozen=True, kw_only=True):
    """The codes, shown once."""

    template = "recovery-codes.html"

    codes: tuple[str, ...]
