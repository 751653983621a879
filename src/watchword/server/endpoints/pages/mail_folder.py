"""Where a developer finds a message that is kept instead of sent."""

from __future__ import annotations

from starlette.requests import Request

from watchword.mail.url import OUTBOX
from watchword.server.local import is_local_only
from watchword.server.parsing import engine_of


def folder_for(request: Request) -> str:
    """The folder of kept messages, for a browser on this machine alone; else ""."""
    settings = engine_of(request).settings
    kept = settings.effective_mail_url == OUTBOX and is_local_only(request)
    return str(settings.outbox_folder) if kept else ""
