"""`python -m bench [--quick] [--only ROW]…`: measure, print the table, write the JSON.

Owns the options and the order. A row that cannot be measured is named with its reason,
and the exit code is 1; a slow one is only a number.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import measuring, report, rows
from bench.servers import BenchFailed
from watchword.errors import WatchwordError


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: no figures")
    parser.add_argument(
        "--only",
        action="append",
        choices=list(rows.ROWS),
        metavar="ROW",
        help=f"only this row, repeatable: {', '.join(rows.ROWS)}",
    )
    return parser.parse_args()


def main() -> int:
    chosen = options()
    if (os.cpu_count() or 1) < 2:
        print("bench needs two cores: one for the server, one for the load")
        return 1
    # As Ctrl-C does: what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    effort = measuring.QUICK if chosen.quick else measuring.FULL
    measured: list[report.Row] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="watchword-bench-") as parent:
        where = report.machine(Path(parent))
        for name in chosen.only or rows.ROWS:
            folder = Path(parent, name)
            folder.mkdir()
            started = time.perf_counter()
            print(f"{name} …", end=" ", file=sys.stderr, flush=True)
            try:
                measured.append(rows.ROWS[name](folder, effort))
            except (BenchFailed, WatchwordError) as error:
                failed[name] = str(error) or type(error).__name__
            print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    for key, value in where.items():
        print(f"{key:9} {value}")
    print(f"\n{report.table(measured)}")
    for name, reason in failed.items():
        print(f"\n{name}: not measured: {reason}")
    print(f"\n{report.write(measured, failed, where)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
