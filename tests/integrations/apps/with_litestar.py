"""Litestar, for uvicorn."""

from litestar import Litestar

from tests.integrations.apps.people import check
from watchword.integrations.litestar import Auth

app = Litestar(plugins=[Auth("sqlite:///app.db", authenticate=check)])
