"""What tests of and with Watchword need: a clock and entropy that tests control.

`watchword.testing.store_contract` is the page of `ports.py` as a pytest suite for any
store; it alone needs the extra `store-contract`.
"""

from __future__ import annotations

from watchword.testing.stand_ins import ManualClock, SeededEntropy

__all__ = ["ManualClock", "SeededEntropy"]
