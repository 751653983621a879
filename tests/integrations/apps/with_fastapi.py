"""FastAPI, for uvicorn."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

from tests.integrations.apps.people import check
from watchword.integrations.fastapi import Auth

auth = Auth("sqlite:///app.db", authenticate=check)
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)


@app.middleware("http")
async def look(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """As a middleware does that logs bodies."""
    if "X-Look" in request.headers:
        await request.body()
    return await call_next(request)
