"""What OAuth clients and resource servers call: tokens, revocation, keys, metadata."""

from typing import Final

from watchword.server.endpoints.oauth import (
    introspect,
    jwks,
    metadata,
    revocations,
    revoke,
    token,
)

ENDPOINTS: Final = (
    token.OPERATION,
    revoke.OPERATION,
    introspect.OPERATION,
    revocations.OPERATION,
    jwks.OPERATION,
    metadata.SERVER,
    metadata.OPENID,
    metadata.RESOURCE,
)
