"""What operators look at: `/console`. A file is one screen."""

from typing import Final

from watchword.server.operation import Operation

ENDPOINTS: Final[tuple[Operation, ...]] = ()
