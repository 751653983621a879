"""An app's own claims: asked for at each access token; a fault of the app is a 503."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from watchword.core.access_token import RESERVED
from watchword.core.session import Session
from watchword.errors import StoreUnavailable

ClaimsHook = Callable[[Session], Awaitable[Mapping[str, Any]]]
"""Returns an app's own claims for an access token.

If it raises, the answer is 503 and no token is spent.
"""

NONE: Final[Mapping[str, Any]] = {}
_log = logging.getLogger("watchword.claims")


async def claims_from(hook: ClaimsHook | None, session: Session) -> Mapping[str, Any]:
    """The claims that the app adds for the session, without those reserved to us.

    Raises StoreUnavailable if the hook raises.
    """
    if hook is None:
        return NONE
    try:
        claims = dict(await hook(session))
    except Exception as error:
        _log.exception("the claims hook failed")
        message = "The claims of this session cannot be read: try again shortly."
        raise StoreUnavailable(message) from error
    return {name: claims[name] for name in claims if name not in RESERVED}
