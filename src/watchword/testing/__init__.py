"""For tests of and with Watchword: a clock and entropy that tests control.

    fakes           the clock and the entropy
    plugin          the fixtures of the pytest plugin, and what they are made of:
    in_memory       a Watchword in memory
    login_as        sessions without a password and without a request
    runner_thread   a thread with an event loop
    store_contract  a pytest suite of the promises in `ports/`, for any store

Only `store_contract` needs the extra `store-contract`.
"""

from __future__ import annotations

from watchword.testing.fakes import ManualClock, SeededEntropy

__all__ = ["ManualClock", "SeededEntropy"]
