"""Serves as `watchword serve` does, with shorter deadlines where a test says so.

    python runner.py SECONDS_TO_SEND FLAGS…

A deadline of ten seconds is tested with one of half a second, and a password costs as
little as it can.
"""

from __future__ import annotations

import sys

from watchword.bootstrap import open_watchword
from watchword.cli import main
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.server import protocol

if __name__ == "__main__":
    if float(sys.argv[1]):
        protocol.SECONDS_TO_SEND = float(sys.argv[1])  # type: ignore[misc,assignment]
    wrapped = open_watchword.__wrapped__  # type: ignore[attr-defined]
    wrapped.__kwdefaults__["hashing"] = INSECURE_FOR_TESTS
    sys.argv = ["watchword", "serve", *sys.argv[2:]]
    main()
