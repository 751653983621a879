"""`python -m demo [--port PORT]`: fill a folder of its own anew, and serve it."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from demo.filling import ADMIN, fill
from watchword.clocks import system_clock
from watchword.config import load_settings

FOLDER: Final = Path("watchword-demo")
_MARK: Final = FOLDER / "made-by-make-demo"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port: int = parser.parse_args().port
    if FOLDER.exists() and not _MARK.exists():
        sys.exit(f"{FOLDER} is not a folder that this program made: move it away")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(mode=0o700)
    _MARK.touch()
    # No setting of another server must lead this one to another store.
    for name in [one for one in os.environ if one.startswith("WATCHWORD_")]:
        del os.environ[name]
    origin = f"http://localhost:{port}"
    os.environ["WATCHWORD_DATA"] = str(FOLDER)
    os.environ["WATCHWORD_ISSUER"] = origin
    os.environ["WATCHWORD_SERVICE_NAME"] = "Harbour Works"
    os.environ["WATCHWORD_REGISTRATION"] = "invited"
    begun, password = time.perf_counter(), secrets.token_urlsafe(15)
    print("Filling a folder with 10,000 accounts and a week of events ...", flush=True)
    asyncio.run(fill(load_settings(), password, system_clock()))
    print(f"... done in {time.perf_counter() - begun:.0f} s, in {FOLDER}/", flush=True)
    print(
        f"\n  {origin}/console\n  name      {ADMIN}\n  password  {password}\n",
        flush=True,
    )
    program = str(Path(sys.executable).with_name("watchword"))
    os.execv(program, [program, "serve", "--port", str(port)])  # noqa: S606


if __name__ == "__main__":
    main()
