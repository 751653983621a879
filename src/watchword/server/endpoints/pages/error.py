"""GET and POST /error: a request of a client that cannot go on.

It says the same to every request: a text in its address would be a stranger's.
"""

from __future__ import annotations

from typing import NoReturn

from starlette.requests import Request

from watchword.errors import InteractionExpired
from watchword.server.operation import page_operations
from watchword.server.parsing import self_service_of


async def show(request: Request) -> NoReturn:
    self_service_of(request)
    raise InteractionExpired


SHOW, SUBMIT = page_operations("/error", show, show)
