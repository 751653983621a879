"""What users see of the server: pages, and the files that they need.

A file is one page: what shows it, and what takes its form. Both call the engine, as the
calls in JSON do, under the session of the browser (`visitor.py`).
"""

from typing import Final

from watchword.server.endpoints.pages import (
    account,
    confirm,
    files,
    forgot,
    register,
    reset,
    sign_in,
    signed_out,
)

ENDPOINTS: Final = (
    *(sign_in.SHOW, sign_in.SUBMIT),
    *(signed_out.SHOW, signed_out.SUBMIT),
    *(register.SHOW, register.SUBMIT),
    *(confirm.SHOW, confirm.SUBMIT),
    *(forgot.SHOW, forgot.SUBMIT),
    *(reset.SHOW, reset.SUBMIT),
    *(account.SHOW, account.SUBMIT),
    files.OPERATION,
)
