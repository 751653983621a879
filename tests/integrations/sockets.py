"""The same websockets in three frameworks: a session's echo, and one for clerks.

The echo tells the subject, then answers each fresh access token with its `exp`. Without
an `Auth` these are apps for uvicorn, with a database in the current folder.
"""

from typing import Annotated, Any

import fastapi
from litestar import Litestar, websocket
from litestar.connection import WebSocket as LitestarSocket
from litestar.di import NamedDependency
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.apps.people import check
from watchword.integrations import fastapi as for_fastapi
from watchword.integrations import litestar as for_litestar
from watchword.integrations import starlette as for_starlette
from watchword.verify import Claims


def by_fastapi(auth: Any = None) -> Any:
    auth = auth or for_fastapi.Auth("sqlite:///app.db", authenticate=check)
    app = fastapi.FastAPI(lifespan=auth.lifespan)
    auth.mount(app)
    depends = fastapi.Depends

    @app.websocket("/ws")
    async def echo(
        websocket: fastapi.WebSocket, session: Annotated[Claims, depends(auth.session)]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(session.sub)
        async with auth.alive(session) as alive:
            async for text in websocket.iter_text():
                fresh = await alive.renew(text)
                await websocket.send_text(str(fresh.exp))

    clerk = depends(auth.requires(roles=["clerk"]))

    @app.websocket("/clerks", dependencies=[clerk])
    async def clerks(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("clerk")

    return app


def by_starlette(given: Any = None) -> Any:
    auth: for_starlette.Auth = given or for_starlette.Auth(
        "sqlite:///app.db", authenticate=check
    )

    @auth.requires()
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.identity)
        async with auth.alive(websocket.user.claims) as alive:
            async for text in websocket.iter_text():
                fresh = await alive.renew(text)
                await websocket.send_text(str(fresh.exp))

    class Clerks(WebSocketEndpoint):
        encoding = "text"

        @auth.requires(roles=["clerk"])
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text("clerk")

    @requires("authenticated")
    async def theirs(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.display_name)

    routes = [
        WebSocketRoute("/ws", echo),
        WebSocketRoute("/clerks", Clerks),
        WebSocketRoute("/theirs", theirs),
    ]
    app = Starlette(routes=routes, lifespan=auth.lifespan)
    auth.mount(app)
    return app


def by_litestar(auth: Any = None) -> Any:
    auth = auth or for_litestar.Auth("sqlite:///app.db", authenticate=check)

    @websocket("/ws")
    async def echo(
        socket: LitestarSocket[Any, Any, Any], session: NamedDependency[Claims]
    ) -> None:
        await socket.accept()
        await socket.send_text(session.sub)
        async with auth.alive(session) as alive:
            async for text in socket.iter_data(mode="text"):
                fresh = await alive.renew(str(text))
                await socket.send_text(str(fresh.exp))

    @websocket("/clerks", guards=[auth.requires(roles=["clerk"])])
    async def clerks(socket: LitestarSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.send_text("clerk")

    return Litestar([echo, clerks], plugins=[auth])
