"""What OAuth clients and resource servers call: tokens, revocation, keys, metadata."""

from typing import Final

from watchword.server.endpoints.oauth import (
    authorize,
    introspect,
    jwks,
    logout,
    metadata,
    par,
    revocations,
    revoke,
    token,
    userinfo,
)

ENDPOINTS: Final = (
    authorize.SHOW,
    authorize.SUBMIT,
    par.OPERATION,
    token.OPERATION,
    revoke.OPERATION,
    introspect.OPERATION,
    userinfo.SHOW,
    userinfo.POSTED,
    revocations.OPERATION,
    jwks.OPERATION,
    *(logout.SHOW, logout.SUBMIT),
    metadata.SERVER,
    metadata.OPENID,
    metadata.RESOURCE,
)
