"""FastAPI: a call that wants a recent second factor, and a page that makes it."""

from __future__ import annotations

import sys
import uuid

from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

from watchword.integrations.fastapi import Auth

PORT = sys.argv[sys.argv.index("--port") + 1]
# Passkeys belong to a name, never to an address.
auth = Auth("sqlite:///app.db", issuer=f"http://localhost:{PORT}")
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)

STRONG = auth.requires(acr_values=["aal2"], max_age=300)


@app.post("/transfer", dependencies=[Depends(STRONG)])
async def transfer() -> str:
    return "sent"


@app.get("/page")
async def page() -> HTMLResponse:
    return HTMLResponse("<!doctype html><title>a page</title><input id=name>")


@app.post("/register/{name}")
async def register(name: str) -> str:
    await auth.register(name, "four words make a phrase")
    return name


@app.post("/demand/{name}")
async def demand(name: str) -> str:
    """As an operator does. Returns the token that enrols."""
    account = await auth.accounts.get(name)
    subject = uuid.UUID(bytes=account.id)
    await auth.require_factor(subject)
    return await auth.enrol_code(subject)
