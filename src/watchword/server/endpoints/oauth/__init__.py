"""What OAuth clients and resource servers call: tokens, revocation, keys, metadata."""

from typing import Final

from watchword.server.endpoints.oauth import (
    introspect,
    jwks,
    metadata,
    revocations,
    revoke,
    token,
    userinfo,
)

ENDPOINTS: Final = (
    token.OPERATION,
    revoke.OPERATION,
    introspect.OPERATION,
    userinfo.SHOW,
    userinfo.POSTED,
    revocations.OPERATION,
    jwks.OPERATION,
    metadata.SERVER,
    metadata.OPENID,
    metadata.RESOURCE,
)
