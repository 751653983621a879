from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from watchword.integrations.starlette import Auth

auth = Auth("sqlite:///app.db")


@auth.requires()
async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"hello": request.user.identity})


app = Starlette(routes=[Route("/hello", hello)], lifespan=auth.lifespan)
auth.mount(app)
