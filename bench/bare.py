"""The bare handler: what Starlette and msgspec cost before any session layer.

Owns the yardstick: the route, the body and the answer of a refresh, of the same length,
under the same uvicorn settings, with no store, no judging and no signature behind it.
The answer's fields come from a real sign-in, as JSON in `BENCH_ANSWER`.
"""

from __future__ import annotations

import argparse
import os
from typing import Final

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# The shape of an answer where no real one is at hand; an ES256 token of RFC 9068.
SPECIMEN: Final = {
    "accessToken": "a" * 520,
    "tokenType": "Bearer",
    "expiresIn": 120,
    "refreshToken": "ww_rt_" + "r" * 76,
    "refreshExpiresIn": 604800,
    "sessionId": "00000000-0000-0000-0000-000000000000",
}


class RefreshBody(msgspec.Struct, rename="camel"):
    refresh_token: str


class Tokens(msgspec.Struct, rename="camel"):
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: str


def make_app(answer: Tokens) -> Starlette:
    """An app whose POST parses the body and answers with fields of the same length."""
    body_of = msgspec.json.Decoder(RefreshBody).decode
    bytes_of = msgspec.json.Encoder().encode

    async def refresh(request: Request) -> Response:
        body = body_of(await request.body())
        tokens = Tokens(
            access_token=answer.access_token,
            token_type=answer.token_type,
            expires_in=answer.expires_in,
            refresh_token=body.refresh_token,
            refresh_expires_in=answer.refresh_expires_in,
            session_id=answer.session_id,
        )
        headers = {"cache-control": "no-store"}
        return Response(bytes_of(tokens), 200, headers, "application/json")

    async def readyz(_: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    return Starlette(
        routes=[
            Route("/api/auth/refresh", refresh, methods=["POST"]),
            Route("/readyz", readyz),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    specimen = msgspec.json.encode(SPECIMEN).decode()
    raw = os.environ.get("BENCH_ANSWER", specimen)
    app = make_app(msgspec.json.decode(raw, type=Tokens))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        # As server/serve.py has it: the defaults would slow the yardstick down.
        ws="none",
        interface="asgi3",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
