"""The thread that writes: what waits together is committed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from watchword.errors import NameTaken, Overloaded, StoreUnavailable
from watchword.stores.sqlite import writer as module
from watchword.stores.sqlite.writer import Job, Writer


class Gate:
    """A job that holds the writer up, so that others come together behind it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()

    def __call__(self, connection: apsw.Connection) -> None:
        self.reached.set()
        self.open.wait()

    async def close(self, writer: Writer) -> asyncio.Task[None]:
        task = asyncio.create_task(writer.do(self))
        await asyncio.to_thread(self.reached.wait)
        return task


@pytest.fixture
def path(tmp_path: Path) -> Path:
    connection = apsw.Connection(str(tmp_path / "it.db"))
    connection.execute("CREATE TABLE notes (text TEXT NOT NULL UNIQUE)")
    connection.close()
    return tmp_path / "it.db"


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    writer = Writer(apsw.Connection(str(path)))
    yield writer
    await writer.close()


def note(text: str) -> Job:
    """Write a line; its number comes back."""

    def job(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))
        return connection.last_insert_rowid()

    return job


def notes(path: Path) -> list[str]:
    connection = apsw.Connection(str(path))
    try:
        return [text for (text,) in connection.execute("SELECT text FROM notes")]
    finally:
        connection.close()


async def behind_a_gate(writer: Writer, *jobs: Job) -> list[object]:
    """The outcomes of jobs that made one batch."""
    gate = Gate()
    first = await gate.close(writer)
    waiting = [asyncio.create_task(writer.do(job)) for job in jobs]
    await asyncio.sleep(0)
    gate.open.set()
    await first
    outcomes: list[object] = await asyncio.gather(*waiting, return_exceptions=True)
    return outcomes


async def test_what_waits_together_is_one_transaction(
    writer: Writer, path: Path
) -> None:
    """Twenty jobs that came together are committed once, each with its own answer."""
    statements: list[str] = []

    def trace(cursor: object, statement: str, values: object) -> bool:
        statements.append(statement)
        return True

    writer._connection.exec_trace = trace
    outcomes = await behind_a_gate(writer, *(note(f"{n:02}") for n in range(20)))
    assert outcomes == list(range(1, 21))
    assert statements.count("COMMIT") == 2  # the gate's, and theirs
    assert notes(path) == [f"{n:02}" for n in range(20)]


async def test_bad_job_does_not_fail_its_neighbours(writer: Writer, path: Path) -> None:
    """A batch that fails is repeated one by one: only the job at fault fails."""

    def refuses(connection: apsw.Connection) -> None:
        note("never")(connection)
        raise NameTaken

    def breaks(connection: apsw.Connection) -> None:
        note("neither")(connection)
        raise ZeroDivisionError

    jobs = [note("one"), refuses, note("two"), breaks, note("one"), note("three")]
    one, refused, two, broken, twice, three = await behind_a_gate(writer, *jobs)
    assert (one, two, three) == (1, 2, 3)
    assert isinstance(refused, NameTaken)
    assert isinstance(broken, StoreUnavailable)
    assert isinstance(broken.__cause__, ZeroDivisionError)
    assert isinstance(twice, StoreUnavailable)
    assert isinstance(twice.__cause__, apsw.ConstraintError)
    assert notes(path) == ["one", "two", "three"]


async def test_transaction_that_ended_by_itself_stops_nobody(
    writer: Writer, path: Path
) -> None:
    """Where SQLite rolled back by itself, as on a full disk, the others go on."""

    def ends_it(connection: apsw.Connection) -> None:
        connection.execute("ROLLBACK")
        raise apsw.FullError

    outcomes = await behind_a_gate(writer, note("a"), ends_it, note("b"))
    assert isinstance(outcomes[1], StoreUnavailable)
    assert notes(path) == ["a", "b"]


async def test_failing_rollback_does_not_end_the_thread(
    writer: Writer, path: Path
) -> None:
    """Everyone is answered though a rollback fails, and served once it does not."""
    failing = True
    writer._connection.exec_trace = lambda cursor, sql, values: (
        not (failing and sql == "ROLLBACK")
    )

    def breaks(connection: apsw.Connection) -> None:
        raise apsw.IOError

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await writer.do(breaks)
    failing = False
    with pytest.raises(StoreUnavailable):  # finds the old transaction, and ends it
        await writer.do(note("a"))
    await writer.do(note("b"))
    assert notes(path) == ["b"]


async def test_full_queue_sheds_and_keeps_room_for_revocations(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordinary writes are shed first; urgent ones find the room reserved for them."""
    monkeypatch.setattr(module, "QUEUE_MAX", 10)
    monkeypatch.setattr(module, "RESERVED", 4)
    gate = Gate()
    tasks = [await gate.close(writer)]

    async def outcomes(count: int, *, urgent: bool) -> list[bool]:
        new = [
            asyncio.create_task(writer.do(lambda _: None, urgent=urgent))
            for _ in range(count)
        ]
        tasks.extend(new)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [task.done() for task in new]

    assert await outcomes(8, urgent=False) == [False] * 6 + [True] * 2
    assert await outcomes(6, urgent=True) == [False] * 4 + [True] * 2
    gate.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    shed = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(shed) == 4
    await writer.do(lambda _: None)


async def test_cancelled_caller_disturbs_nobody(writer: Writer, path: Path) -> None:
    """What was handed over is written, though nobody waits for it any more."""
    gate = Gate()
    first = await gate.close(writer)
    gone = asyncio.create_task(writer.do(note("gone")))
    stays = asyncio.create_task(writer.do(note("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    gate.open.set()
    await first
    assert await stays == 2
    assert gone.cancelled()
    assert notes(path) == ["gone", "stays"]


async def test_close_commits_what_was_accepted(path: Path) -> None:
    """Jobs that wait when the writer is closed are committed; later ones refused."""
    writer = Writer(apsw.Connection(str(path)))
    gate = Gate()
    first = await gate.close(writer)
    waiting = [asyncio.create_task(writer.do(note(f"{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await writer.do(note("late"))
    gate.open.set()
    await closing
    await first
    assert await asyncio.gather(*waiting) == [1, 2, 3, 4, 5]
    assert notes(path) == ["0", "1", "2", "3", "4"]
    assert not writer._thread.is_alive()
