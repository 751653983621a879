"""The second step of `watchword login`: a code, or the first factor to be enrolled."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import click

from watchword.cli.output import visible
from watchword.errors import (
    ConfirmationInvalid,
    SecondFactorEnrolmentRequired,
    SecondFactorInvalid,
    SecondFactorRequired,
    WatchwordError,
)

if TYPE_CHECKING:
    from watchword.client import Auth
    from watchword.client.factors import PendingTotp

_TRIES: Final = 3
_TOTP_DIGITS: Final = 6
_NO_TERMINAL: Final = (
    "This account needs a second factor: run `watchword login` on a terminal, where it "
    "is asked for."
)
_MAILED: Final = (
    "If the account has a confirmed address, a mail is on its way. Without one, an "
    "operator makes the token by `watchword user enrol-code`."
)
_NOT_TAKEN: Final = "The token is wrong, was used or has run out."
_BROWSER: Final = "This account needs a passkey here: sign in with a browser."
_QUESTIONS: Final = {
    "totp": "code of your authenticator app",
    "recovery_code": "recovery code",
}
Result = TypeVar("Result")


def finish(auth: Auth, stopped: SecondFactorRequired) -> tuple[str, ...]:
    """Go on with a sign-in on the terminal. Returns recovery codes, if there are new.

    Raises the error itself where there is no terminal to ask on, and WatchwordError
    where a browser is needed.
    """
    if not sys.stdin.isatty():
        stopped.args = (_NO_TERMINAL,)  # its own sentence is for a program's author
        raise stopped
    if isinstance(stopped, SecondFactorEnrolmentRequired):
        return _enrol(auth, stopped)
    methods = [one for one in ("totp", "recovery_code") if one in stopped.methods]
    if not methods:
        raise WatchwordError(_BROWSER)
    question = " or ".join(_QUESTIONS[one] for one in methods).capitalize()

    def prove() -> None:
        code = _asked(question)
        auth.continue_login(_method_of(code, methods), code)

    _patiently(prove)
    return ()


def _method_of(code: str, methods: Sequence[str]) -> str:
    """Which method a code is of: that of an authenticator app has six digits."""
    digits = "".join(code.split())
    is_totp = digits.isdecimal() and len(digits) == _TOTP_DIGITS
    return methods[0] if is_totp else methods[-1]


def _enrol(auth: Auth, stopped: SecondFactorRequired) -> tuple[str, ...]:
    """Enrol an authenticator app, and sign in."""
    if "totp" not in stopped.methods:
        raise WatchwordError(_BROWSER)
    click.echo("This account needs a second factor, and has none yet.", err=True)
    question = "Token of a mail or an operator (empty: have one mailed to you)"

    def begin() -> PendingTotp:
        token = _asked(question, default="")
        if not token:
            auth.factors.ask_enrolment()
            click.echo(_MAILED, err=True)
            token = _asked("Token")
        return auth.factors.enrol_totp(token)

    pending = _patiently(begin)
    _show(pending.uri, pending.secret)

    def confirm() -> tuple[str, ...]:
        code = _asked("Code of your authenticator app")
        return auth.factors.confirm_enrolment(pending.factor, code)

    return _patiently(confirm)


def _show(uri: str, secret: str) -> None:
    """Show what an authenticator app scans or takes."""
    import segno

    click.echo("Scan this with an authenticator app, or type the secret:", err=True)
    segno.make(uri, micro=False).terminal(out=sys.stderr, border=2, compact=True)
    click.echo(f"Secret: {visible(secret)}\n{visible(uri)}", err=True)


def _asked(question: str, default: str | None = None) -> str:
    answer: str = click.prompt(
        question, hide_input=True, err=True, default=default, show_default=False
    )
    return answer.strip()


def _patiently(work: Callable[[], Result]) -> Result:
    """Do it again after a wrong code or token, three times in all."""
    for left in reversed(range(_TRIES)):
        try:
            return work()
        except (SecondFactorInvalid, ConfirmationInvalid) as error:
            if isinstance(error, ConfirmationInvalid):
                error.args = (_NOT_TAKEN,)  # its own sentence speaks of a link
            if not left:
                raise
            click.echo(str(error), err=True)
    raise AssertionError
