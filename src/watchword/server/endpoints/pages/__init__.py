"""What users see of the server: pages, and the files that they need.

A file is one page: what shows it, and what takes its form. Both call the engine, as the
calls in JSON do, under the session of the browser (`visitor.py`).
"""

from typing import Final

from watchword.server.endpoints.pages import (
    account,
    add_app,
    add_passkey,
    confirm,
    consent,
    enrol,
    error,
    files,
    forgot,
    prove,
    register,
    reset,
    second_step,
    sign_in,
    signed_out,
)

ENDPOINTS: Final = (
    *(sign_in.SHOW, sign_in.SUBMIT),
    *(second_step.SHOW, second_step.SUBMIT),
    *(enrol.SHOW, enrol.SUBMIT),
    *(signed_out.SHOW, signed_out.SUBMIT),
    *(register.SHOW, register.SUBMIT),
    *(confirm.SHOW, confirm.SUBMIT),
    *(forgot.SHOW, forgot.SUBMIT),
    *(reset.SHOW, reset.SUBMIT),
    *(account.SHOW, account.SUBMIT),
    *(prove.SHOW, prove.SUBMIT),
    *(add_app.SHOW, add_app.SUBMIT),
    *(add_passkey.SHOW, add_passkey.SUBMIT),
    *(consent.SHOW, consent.SUBMIT),
    *(error.SHOW, error.SUBMIT),
    files.OPERATION,
)

AT_ADMIN_LISTENER: Final = (
    *(sign_in.SHOW, sign_in.SUBMIT),
    *(second_step.SHOW, second_step.SUBMIT),
    *(enrol.SHOW, enrol.SUBMIT),
    *(prove.SHOW, prove.SUBMIT),
    *(signed_out.SHOW, signed_out.SUBMIT),
    files.OPERATION,
)
"""Those that the listener for operators serves too: the way to the console and back."""
