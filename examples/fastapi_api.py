import os
from typing import Annotated

from fastapi import Depends, FastAPI

from watchword.integrations.fastapi import ResourceServer
from watchword.verify import Claims

auth = ResourceServer(
    "https://auth.example",
    audience="api",
    feed=("orders-api", os.environ["FEED_SECRET"]),
)
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)


@app.get("/hello")
async def hello(session: Annotated[Claims, Depends(auth.session)]) -> dict[str, str]:
    return {"hello": session.sub}


@app.get("/orders", dependencies=[Depends(auth.requires(scope=["orders"]))])
async def orders() -> list[str]:
    return ["order 1"]
