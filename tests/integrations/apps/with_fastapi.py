"""FastAPI, for uvicorn."""

from fastapi import FastAPI

from tests.integrations.apps.people import check
from watchword.integrations.fastapi import Auth

auth = Auth("sqlite:///app.db", authenticate=check)
app = FastAPI(lifespan=auth.lifespan)
auth.mount(app)
