"""What sessions cost in the database file, counted by SQLite itself.

Owns the reading of a data folder while the server runs on it, through `dbstat`. apsw,
not the sqlite3 module: a second, older SQLite must not touch the server's WAL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from bench import servers
from bench.load import Plan
from bench.measuring import Effort
from bench.report import Row
from bench.servers import BenchFailed

TABLE: Final = "sessions"
MAGIC: Final = b"SQLite format 3\0"


class Cost(msgspec.Struct, frozen=True):
    """The sessions table and its indexes: whole pages, and what is used of them.

    `largest` is the longest row's payload in the table; `file` is every page of the
    database, other tables and free pages too.
    """

    rows: int
    pages: int
    used: int
    largest: int
    file: int


def database_in(data: Path) -> Path:
    """The one SQLite file of a data folder."""
    for path in sorted(data.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    return path
    message = f"no SQLite database in {data}"
    raise BenchFailed(message)


def cost(data: Path) -> Cost:
    """Count now. Reads a snapshot; the server may go on writing."""
    connection = apsw.Connection(
        str(database_in(data)), flags=apsw.SQLITE_OPEN_READONLY
    )
    try:
        rows = connection.execute(f"SELECT count(*) FROM {TABLE}").get
        pages, used = connection.execute(
            "SELECT sum(pgsize), sum(pgsize - unused) FROM dbstat"
            " WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
            (TABLE,),
        ).get
        largest = connection.execute(
            "SELECT max(mx_payload) FROM dbstat WHERE name = ?", (TABLE,)
        ).get
        whole = connection.pragma("page_count") * connection.pragma("page_size")
    finally:
        connection.close()
    return Cost(rows, pages, used, largest, whole)


def bytes_per_session(folder: Path, effort: Effort) -> Row:
    """Bytes of the sessions table and its indexes per session, as refreshes add up."""
    data = folder / "data"
    detail: dict[str, Any] = {}

    def count(label: str) -> Cost:
        found = cost(data)
        detail[label] = (
            f"{found.rows} rows · {found.pages / found.rows:.0f} bytes each in"
            f" whole pages · {found.used / found.rows:.0f} used · longest row"
            f" {found.largest} · database {found.file / 1e6:.2f} MB"
        )
        return found

    with servers.watchword(data, core=None) as server:
        tokens = servers.sign_in_many(server, effort.sessions)
        count("after sign-in")

        def refresh(tokens: list[str], times: int) -> list[str]:
            plan = Plan(
                kind="refresh", port=server.port, tokens=tokens, per_token=times
            )
            report = servers.put_load(plan)
            if report.errors:
                detail[f"errors in {times} refreshes"] = report.errors
            return report.tokens

        tokens = refresh(tokens, 1)
        count("after 1 refresh of each")
        tokens = refresh(tokens, effort.refreshes - 1)
        count(f"after {effort.refreshes} refreshes of each")
        refresh(tokens[:1], effort.many_refreshes - effort.refreshes)
        last = count(f"after {effort.many_refreshes:,} refreshes of one")
    return Row(
        name="bytes-per-session",
        value=last.pages / last.rows,
        unit="bytes",
        budget="one row, ≤ 400 bytes",
        detail=detail,
    )
