"""For callers of APIs: signs in, sends the access token along, refreshes by itself.

    stored         what a client keeps of its session: pure
    session        what it sends: pure
    answers        what an answer means: pure
    proof          DPoP proofs and their key
    refresher      which task refreshes, when, and which tasks wait for it
    registration   accounts that are asked for, and calls that need no session
    factors        the second factors of the user
    calls          the calls of accounts that `Auth` makes: pure
    code_flow      the authorization code flow: pure
    browser        sign-in by it, in a browser
    loopback       where the browser comes back to a program
    asking         the program's function that has the user proved again
    origins        where a token may go
    flights        work that one task does for all
    auth_flow      one request to an API, with all its repetitions
    file           where the session is kept, and the lock that processes share
    keeping        the file, read and written as steps
    clock          time and randomness
    runners        run the steps that all of these yield, blocking or on an event loop
    auth           `Auth`, for httpx2
    with_requests  `RequestsAuth`; requests is imported only with it

All decisions are in `session`, `refresher` and `auth_flow`, which yield steps and send
nothing themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchword.extras import needs

with needs("watchword[client]"):
    from watchword.client.auth import Auth
    from watchword.client.code_flow import AuthorizationRequest

if TYPE_CHECKING:
    from watchword.client.with_requests import RequestsAuth

__all__ = ["Auth", "AuthorizationRequest", "RequestsAuth"]


def __getattr__(name: str) -> object:
    if name != "RequestsAuth":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    with needs("requests"):
        from watchword.client.with_requests import RequestsAuth  # noqa: PLC0415

    return RequestsAuth
