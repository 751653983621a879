"""The result: a row, the machine it was measured on, the table and the JSON file.

Owns the shape of `results/latest.json`. Measures nothing but the disk's fsync, because
a refresh rate means nothing without it.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

RESULTS: Final = Path(__file__).parent / "results"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table; `ratio` is value to baseline, the median of the rounds."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    compared_with: str = ""
    ratio: float | None = None
    budget: str = ""
    detail: dict[str, float | str | list[float] | dict[str, int]] = {}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def filesystem(path: Path) -> str:
    """The type of the file system that holds `path`."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if path.is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def fsync_ms(folder: Path, times: int = 50) -> float:
    """The median of appending 4 KiB and waiting for the disk."""
    spent: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            started = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            spent.append(time.perf_counter() - started)
    return statistics.median(spent) * 1000


def machine(folder: Path) -> dict[str, str]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    packages = (
        *("uvicorn", "starlette", "msgspec", "uvloop", "cryptography"),
        *("apsw", "asyncpg", "redis"),
    )
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GB",
        "kernel": platform.release(),
        "disk": f"{filesystem(folder)}, fdatasync {fsync_ms(folder):.2f} ms",
        "python": platform.python_version(),
        "packages": " ".join(f"{name} {metadata.version(name)}" for name in packages),
    }


def amount(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def table(rows: list[Row]) -> str:
    """The rows as aligned text, each followed by what else it measured."""
    head = ("row", "measured", "compared with", "ratio", "budget")
    lines = [head]
    lines += [
        (
            row.name,
            f"{amount(row.value)} {row.unit}",
            f"{amount(row.baseline)} {row.compared_with}".strip(),
            "" if row.ratio is None else f"{row.ratio:.3f}",
            row.budget,
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out: list[str] = []
    for number, line in enumerate(lines):
        cells = zip(line, widths, strict=True)
        out.append("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
        if number:
            out += [
                f"    {key}: {shown(v)}" for key, v in rows[number - 1].detail.items()
            ]
    return "\n".join(out)


def shown(value: float | str | list[float] | dict[str, int]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{count} x {name}" for name, count in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(
            f"{entry:,.3g}" if entry < 100 else amount(entry) for entry in value
        )
    return amount(value)


def write(rows: list[Row], failed: dict[str, str], where: dict[str, str]) -> Path:
    """Write the JSON file; its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    content = {"machine": where, "rows": rows, "failed": failed}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
    return path
