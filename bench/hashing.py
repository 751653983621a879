"""The bare argon2id rate: what a sign-in would cost if it were nothing but its hash.

Owns one process that verifies one password on a number of threads; prints hashes/s.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Final

from argon2 import PasswordHasher

# Design, section 7: 19 MiB, t=2, p=1.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
PASSWORD: Final = "correct-horse-battery-staple-41"


def verify_until(encoded: str, deadline: float) -> int:
    done = 0
    while time.perf_counter() < deadline:
        HASHER.verify(encoded, PASSWORD)
        done += 1
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    encoded = HASHER.hash(PASSWORD)
    with ThreadPoolExecutor(options.threads) as pool:
        started = time.perf_counter()
        deadline = started + options.seconds
        counts = pool.map(
            verify_until, repeat(encoded, options.threads), repeat(deadline)
        )
        print(sum(counts) / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
