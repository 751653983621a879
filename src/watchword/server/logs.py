"""The log on standard error: lines of text, or one JSON object in each line.

Neither has a token, a password or a query. What is logged of a request has its id.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

import msgspec

from watchword.server.request_ids import WithRequestId

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_SECOND: Final = "%Y-%m-%dT%H:%M:%S"


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the log as JSON. `error` is a traceback."""

    time: str
    level: str
    logger: str
    message: str
    request_id: str = ""
    error: str = ""


class TextLines(logging.Formatter):
    """Lines for people. The id of a request is in brackets at the end."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line, without the traceback."""
        request_id = getattr(record, "request_id", "")
        said = super().formatMessage(record)
        return f"{said} [{request_id}]" if request_id else said


class JsonLines(logging.Formatter):
    """Lines for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one JSON object."""
        error = ""
        if record.exc_info:
            error = self.formatException(record.exc_info)
        second = time.strftime(_SECOND, time.gmtime(record.created))
        line = Line(
            time=f"{second}.{int(record.msecs):03}Z",
            level=record.levelname.lower(),
            logger=record.name,
            message=record.getMessage(),
            request_id=getattr(record, "request_id", ""),
            error=error,
        )
        return msgspec.json.encode(line).decode()


def log_to_standard_error(log_format: str) -> None:
    """Log there from now on, as `text` or `json`. A second call changes nothing."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(WithRequestId())
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
