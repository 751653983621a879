"""What users see of the server: pages, and the files that they need."""

from typing import Final

from watchword.server.endpoints.pages import files

ENDPOINTS: Final = (files.OPERATION,)
