"""The fields and answers that several calls of accounts share."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.server.parsing import engine_of, self_service_of
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType

# More than any good value: what is longer is refused before any work is done for it.
EmailField = Annotated[str, msgspec.Meta(max_length=1024)]
NameField = Annotated[str, msgspec.Meta(max_length=1024)]
LocaleField = Annotated[
    str, msgspec.Meta(max_length=64, description="A language, as in `de` or `de-AT`.")
]
TokenField = Annotated[
    str, msgspec.Meta(max_length=256, description="From a mail: `ww_cf_…`.")
]
HandleField = Annotated[
    str, msgspec.Meta(max_length=256, description="From /register: `ww_rg_…`.")
]

BODY_ERRORS: Final = (
    errors.InvalidRequest,
    errors.NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
    errors.Throttled,
    errors.Overloaded,
    errors.StoreUnavailable,
)
"""What every call with a body raises."""


class OnItsWay(msgspec.Struct, frozen=True):
    """The same for every address: nothing is told of the accounts that there are."""

    message: str = "If this address can be used, a message is on its way."


def need_open(request: Request) -> None:
    """Raises NotFound where users do not register themselves, whatever was sent."""
    self_service_of(request).rules.need_open()


def need_mail(request: Request) -> None:
    """Raises NotFound where no mail can be sent, whatever was sent."""
    self_service_of(request)
    engine_of(request).mail_writer.require()


def done() -> Response:
    """The answer that says no more than that it was done."""
    return Response(status_code=204, headers={"cache-control": "no-store"})
