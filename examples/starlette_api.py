import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from watchword.integrations.starlette import ResourceServer

auth = ResourceServer(
    "https://auth.example",
    audience="api",
    feed=("orders-api", os.environ["FEED_SECRET"]),
)


@auth.requires()
async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"hello": request.user.identity})


@auth.requires(scope=["orders"])
async def orders(request: Request) -> JSONResponse:
    return JSONResponse(["order 1"])


routes = [Route("/hello", hello), Route("/orders", orders)]
app = Starlette(routes=routes, lifespan=auth.lifespan)
auth.mount(app)
