import os

from litestar import Litestar, get
from litestar.di import NamedDependency

from watchword.integrations.litestar import ResourceServer
from watchword.verify import Claims

auth = ResourceServer(
    "https://auth.example",
    audience="api",
    feed=("orders-api", os.environ["FEED_SECRET"]),
)


@get("/hello")
async def hello(session: NamedDependency[Claims]) -> dict[str, str]:
    return {"hello": session.sub}


@get("/orders", guards=[auth.requires(scope=["orders"])])
async def orders() -> list[str]:
    return ["order 1"]


app = Litestar([hello, orders], plugins=[auth])
