"""The bodies and queries of the admin API: what several calls share."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from starlette.requests import Request

from watchword.core.limits import ADMIN_LIST, ADMIN_LIST_MAX
from watchword.errors import InvalidRequest
from watchword.server.parsing import query_of

After = Annotated[
    str, msgspec.Meta(title="after", description="The `next` of the page before.")
]
Limit = Annotated[
    int,
    msgspec.Meta(
        title="limit",
        description=f"Items on a page at most; {ADMIN_LIST} where it is left out.",
        ge=1,
        le=ADMIN_LIST_MAX,
    ),
]
AccountQuery = Annotated[
    str, msgspec.Meta(title="account", description="Of the account with that id alone.")
]
ClientQuery = Annotated[
    str, msgspec.Meta(title="client", description="Of the client with that id alone.")
]
PAGE: Final = {"after": After, "limit": Limit}
"""The query of every list."""

NEXT: Final = (
    "`next` is the `after` of the page that follows, null at the end. A page may have "
    "fewer items than were asked for, or none, and another follow."
)


class RequestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call takes. A member of another name is refused.

    A mistyped one would leave as it is what was to change, and without `topics` a
    webhook hears of everything.
    """


class PageQuery(msgspec.Struct, frozen=True):
    """What a list was asked for. `fields` are the other parameters of the query."""

    fields: dict[str, str]
    after: str | None
    limit: int


def page_query(request: Request) -> PageQuery:
    """What a list is asked for. Raises InvalidRequest."""
    fields = query_of(request)
    limit = fields.get("limit", str(ADMIN_LIST))
    if not re.fullmatch("[0-9]{1,3}", limit, re.ASCII) or not (
        1 <= int(limit) <= ADMIN_LIST_MAX
    ):
        raise InvalidRequest(f"limit is a number from 1 to {ADMIN_LIST_MAX}.")
    return PageQuery(fields, fields.get("after"), int(limit))


def flag_in(fields: dict[str, str], name: str) -> bool | None:
    """A parameter that is `true` or `false`, if it was given. Raises InvalidRequest."""
    given = fields.get(name)
    if given is None:
        return None
    if given not in {"true", "false"}:
        raise InvalidRequest(f"{name} is true or false.")
    return given == "true"
