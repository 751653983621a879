"""The fields and answers that several calls of accounts share."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request

from watchword.server.parsing import engine_of, self_service_of

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
