"""For tests of and with Watchword: a clock and entropy that tests control.

`watchword.testing.store_contract` is a pytest suite of the promises in `ports`, for
any store. Only this suite needs the extra `store-contract`.
"""

from __future__ import annotations

from watchword.testing.fakes import ManualClock, SeededEntropy

__all__ = ["ManualClock", "SeededEntropy"]
