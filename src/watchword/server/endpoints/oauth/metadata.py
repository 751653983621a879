"""The metadata that clients and resource servers read (RFC 8414, RFC 9728)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET
from msgspec import UnsetType as Unset
from starlette.requests import Request
from starlette.responses import Response

from watchword.clients.rules import GrantType
from watchword.config import Settings
from watchword.core.limits import JWKS_MAX_AGE
from watchword.core.scopes import ALWAYS
from watchword.core.session import AAL1, AAL2
from watchword.errors import NotFound
from watchword.ports.keys import ID_TOKEN_USES
from watchword.server.endpoints.oauth import (
    authorize,
    introspect,
    jwks,
    logout,
    par,
    revocations,
    revoke,
    token,
    userinfo,
)
from watchword.server.operation import BASE, Operation
from watchword.server.pages.language import LOCALES
from watchword.server.parsing import engine_of
from watchword.server.responses import cached
from watchword.tokens.dpop import DPOP_ALGORITHMS
from watchword.tokens.headers import url_of

SERVER_PATH: Final = "/.well-known/oauth-authorization-server"
OPENID_PATH: Final = "/.well-known/openid-configuration"
RESOURCE_PATH: Final = "/.well-known/oauth-protected-resource"
# The issuer's path comes after the well-known one (RFC 8414 §3.1, RFC 9728 §3.1).
_ISSUER_PATH: Final = "/{path:path}"
_SECRETS: Final = ["client_secret_basic", "client_secret_post"]
_CLAIMS: Final = [
    *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid"),
    *("at_hash", "preferred_username", "updated_at", "email", "email_verified"),
    *("roles", "groups"),
]


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The server (RFC 8414 §2, OpenID Connect Discovery §3, and others).

    An application without our pages, or with users of its own, has no authorization
    endpoint. It publishes nothing of what would belong to it: an empty list may not be
    published (§3.2), and any other would not be true. The two members about ID tokens
    stay. They are read by libraries that verify access tokens as they would ID tokens:
    by the algorithms in the first.
    """

    issuer: str
    authorization_endpoint: str | Unset = UNSET
    token_endpoint: str
    pushed_authorization_request_endpoint: str | Unset = UNSET
    userinfo_endpoint: str | Unset = UNSET
    end_session_endpoint: str | Unset = UNSET
    jwks_uri: str
    revocation_endpoint: str
    introspection_endpoint: str
    response_types_supported: list[str] | Unset = UNSET
    response_modes_supported: list[str] | Unset = UNSET
    grant_types_supported: list[str]
    code_challenge_methods_supported: list[str] | Unset = UNSET
    scopes_supported: list[str] | Unset = UNSET
    claims_supported: list[str] | Unset = UNSET
    acr_values_supported: list[str] | Unset = UNSET
    prompt_values_supported: list[str] | Unset = UNSET
    ui_locales_supported: list[str] | Unset = UNSET
    authorization_response_iss_parameter_supported: bool | Unset = UNSET
    request_parameter_supported: bool | Unset = UNSET
    request_uri_parameter_supported: bool | Unset = UNSET
    claims_parameter_supported: bool | Unset = UNSET
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
    introspection_signing_alg_values_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
    id_token_signing_alg_values_supported: list[str]
    subject_types_supported: list[str]
    # Our own, of no standard: where verifiers follow the sessions that ended. The tests
    # of OpenID Connect know members of standards alone: its document does not have it.
    watchword_revocations_endpoint: str | Unset = UNSET


class ResourceMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The API of this server as a protected resource (RFC 9728 §2)."""

    resource: str
    authorization_servers: list[str]
    bearer_methods_supported: list[str]
    dpop_signing_alg_values_supported: list[str]


def resource_metadata_url(settings: Settings) -> str:
    """The URL in the challenge of a 401: it says which issuer to get tokens from.

    The well-known part goes between host and path (RFC 9728 §3.1, §5.1).
    """
    issuer = settings.effective_issuer
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(issuer))
    return f"{origin}{RESOURCE_PATH}{_path_of(issuer)}{BASE}"


async def server(request: Request) -> Response:
    engine = engine_of(request)
    issuer, algorithms = engine.issuer, tuple(engine.keys.algorithms)
    # The request's path ends with the issuer's path, or a proxy has cut that off.
    if _behind(request) not in ("", _path_of(issuer)):
        raise NotFound
    pages = None if engine.oauth is None else request.scope["state"]["pages"]
    is_openid = request.scope["path"].startswith(OPENID_PATH)
    body = _of_server(issuer, algorithms, pages, is_openid=is_openid)
    return _published(request, body)


SERVER = Operation(
    method="GET",
    path=SERVER_PATH,
    more_paths=(f"{SERVER_PATH}{_ISSUER_PATH}",),
    handler=server,
    summary="Where everything is (RFC 8414)",
    tag="operation",
    response=Metadata,
)

OPENID = Operation(
    method="GET",
    path=OPENID_PATH,
    more_paths=(f"{OPENID_PATH}{_ISSUER_PATH}",),
    handler=server,
    summary="The same, where OpenID Connect libraries look, without our own member",
    tag="operation",
    response=Metadata,
)


# A process has one issuer; tests have many.
@lru_cache(maxsize=16)
def _of_server(
    issuer: str, algorithms: tuple[str, ...], pages: str | None, *, is_openid: bool
) -> bytes:
    """The document. `pages` is what their paths begin with; None without them."""
    by_code = {} if pages is None else _by_code(issuer, pages)
    document = Metadata(
        **by_code,
        issuer=issuer,
        token_endpoint=url_of(issuer, token.OPERATION.path),
        jwks_uri=url_of(issuer, jwks.OPERATION.path),
        revocation_endpoint=url_of(issuer, revoke.OPERATION.path),
        introspection_endpoint=url_of(issuer, introspect.OPERATION.path),
        grant_types_supported=[
            one for one in GrantType if by_code or one != GrantType.AUTHORIZATION_CODE
        ],
        token_endpoint_auth_methods_supported=[*_SECRETS, "none"],
        revocation_endpoint_auth_methods_supported=[*_SECRETS, "none"],
        introspection_endpoint_auth_methods_supported=_SECRETS,
        introspection_signing_alg_values_supported=list(algorithms),
        dpop_signing_alg_values_supported=list(DPOP_ALGORITHMS),
        id_token_signing_alg_values_supported=list(
            ID_TOKEN_USES if by_code else algorithms
        ),
        subject_types_supported=["public"],
        watchword_revocations_endpoint=(
            UNSET if is_openid else url_of(issuer, revocations.OPERATION.path)
        ),
    )
    return msgspec.json.encode(document)


def _by_code(issuer: str, pages: str) -> dict[str, Any]:
    """What goes with an authorization endpoint. Its path begins with `pages`."""
    return {
        "authorization_endpoint": url_of(issuer, pages + authorize.SHOW.path),
        "pushed_authorization_request_endpoint": url_of(issuer, par.OPERATION.path),
        "userinfo_endpoint": url_of(issuer, userinfo.SHOW.path),
        "end_session_endpoint": url_of(issuer, pages + logout.SHOW.path),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        # Those that every client may ask for. A client may have more of its own.
        "scopes_supported": list(ALWAYS),
        "claims_supported": _CLAIMS,
        "acr_values_supported": [AAL1, AAL2],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": list(LOCALES),
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


async def resource(request: Request) -> Response:
    issuer = engine_of(request).issuer
    # Each path behind the well-known part names a resource of its own.
    path = _behind(request).removeprefix(_path_of(issuer))
    if path not in ("", BASE):
        raise NotFound
    return _published(request, _of_resource(issuer, path))


RESOURCE = Operation(
    method="GET",
    path=RESOURCE_PATH + BASE,
    more_paths=(f"{RESOURCE_PATH}{_ISSUER_PATH}", RESOURCE_PATH),
    handler=resource,
    summary="This API as a protected resource (RFC 9728)",
    tag="operation",
    response=ResourceMetadata,
)


@lru_cache(maxsize=16)
def _of_resource(issuer: str, path: str) -> bytes:
    document = ResourceMetadata(
        resource=url_of(issuer, path) if path else issuer,
        authorization_servers=[issuer],
        bearer_methods_supported=["header"],
        dpop_signing_alg_values_supported=list(DPOP_ALGORITHMS),
    )
    return msgspec.json.encode(document)


def _behind(request: Request) -> str:
    """The part of the request's path that follows the well-known part."""
    path: str = request.scope["path"]
    known = (SERVER_PATH, OPENID_PATH, RESOURCE_PATH)
    return next(path.removeprefix(part) for part in known if path.startswith(part))


def _path_of(issuer: str) -> str:
    return urlsplit(issuer).path.rstrip("/")


def _published(request: Request, body: bytes) -> Response:
    return cached(
        request,
        body,
        "application/json",
        {
            "cache-control": f"public, max-age={JWKS_MAX_AGE // 1000}",
            "access-control-allow-origin": "*",
        },
    )
