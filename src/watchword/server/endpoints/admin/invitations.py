"""The calls of /api/admin/invitations: list, make and withdraw invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.admin.invitations import OpenInvitation
from watchword.server.admin_auth import admin_of, changes, reader, shows, writer
from watchword.server.endpoints.admin.accounts import Email, Locale, Roles
from watchword.server.endpoints.admin.fields import NEXT, PAGE, RequestBody, page_query
from watchword.server.parsing import parse_json, read_body
from watchword.server.responses import JSON, done, utc


class InvitationItem(msgspec.Struct, frozen=True, rename="camel"):
    """An invitation that was not accepted yet. Times are UTC.

    `id` is for its withdrawal; it is another one in every answer, and good for a day.
    """

    id: str
    email: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime


class InvitationList(msgspec.Struct, frozen=True):
    """A page of invitations, newest first."""

    items: list[InvitationItem]
    next: str | None


class Invite(RequestBody, frozen=True):
    """The address to invite, the roles that it gets, and the language of the mail."""

    email: Email
    roles: Roles = ()
    locale: Locale = ""


_INVITE: Final = msgspec.json.Decoder(Invite)


async def list_invitations(request: Request) -> Response:
    await reader(request)
    query = page_query(request)
    page = await admin_of(request).invitations.list(
        after=query.after, limit=query.limit
    )
    return JSON(InvitationList(list(map(_shown, page.items)), page.next))


LIST = shows(
    "/invitations",
    list_invitations,
    summary="Invitations",
    description=f"Those that are open, newest first. {NEXT}",
    query=PAGE,
    response=InvitationList,
)


async def invite(request: Request) -> Response:
    operator = await writer(request)
    body = parse_json(request, await read_body(request), _INVITE)
    made = await admin_of(request).invitations.invite(
        operator, body.email, roles=body.roles, locale=body.locale
    )
    return JSON(_shown(made), 201)


INVITE = changes(
    "POST",
    "/invitations",
    invite,
    summary="Invite an address",
    description=(
        "Mails a link by which an account is made, with these roles; an account that "
        "the address has already gets them. 404 where WATCHWORD_REGISTRATION is "
        "`closed`, or no mail can be sent. A client cannot give the admin role."
    ),
    request=Invite,
    example={"email": "ann@example.org", "roles": ["staff"]},
    response=InvitationItem,
    status=201,
    errors=(errors.EmailInvalid,),
)


async def withdraw(request: Request) -> Response:
    operator = await writer(request)
    handle = request.path_params["invitation"]
    await admin_of(request).invitations.withdraw(operator, handle)
    return done()


WITHDRAW = changes(
    "DELETE",
    "/invitations/{invitation}",
    withdraw,
    summary="Withdraw an invitation",
    description="Its link is of no use any more.",
    status=204,
)


def _shown(one: OpenInvitation) -> InvitationItem:
    return InvitationItem(
        one.id, one.email, one.roles, utc(one.created_at), utc(one.until)
    )
