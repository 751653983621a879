"""What a library raises reaches the operator as a sentence, never as a class name."""

from __future__ import annotations

import errno
import inspect
import socket
import ssl
from collections.abc import Iterator
from types import ModuleType

import apsw
import asyncpg
import pytest
from redis import exceptions as redis

from tests.rows import in_one
from watchword.reasons import reason_of

SENTENCES = [
    (apsw.NotADBError("file is not a database"), "the file is no SQLite database"),
    (apsw.FullError("database or disk is full"), "the disk is full"),
    (apsw.ReadOnlyError("x"), "this user may not write the file, or the disk is read"),
    (apsw.CantOpenError("x"), "this user cannot open the file, or its folder is not"),
    (apsw.BusyError("x"), "another program holds a lock on the file"),
    (apsw.CorruptError("x"), "the database is damaged: put back a backup"),
    (apsw.SQLError("no such table: t"), "no such table: t"),
    (asyncpg.InvalidPasswordError("x"), "the server refuses this user or password"),
    (asyncpg.InvalidCatalogNameError("x"), "there is no such database: create it"),
    (asyncpg.InsufficientPrivilegeError("x"), "the role lacks a right: grant it, or"),
    (asyncpg.DiskFullError("x"), "the server's disk is full"),
    (asyncpg.ReadOnlySQLTransactionError("x"), "the server takes no writes"),
    (asyncpg.TooManyConnectionsError("x"), "the server has no connection left"),
    (asyncpg.SyntaxOrAccessError("what the server said"), "what the server said"),
    (redis.AuthenticationError("x"), "the server refuses this user or password"),
    (redis.ResponseError("MISCONF cannot persist"), "MISCONF cannot persist"),
    (OSError(errno.ENOSPC, "x"), "no space left on device"),
    (OSError(errno.EROFS, "x"), "read-only file system"),
    (PermissionError(errno.EACCES, "x"), "permission denied"),
    (socket.gaierror(socket.EAI_NONAME, "x"), "the name of the host is not known"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "nothing listens there"),
    (TimeoutError(), "no answer in time"),
    (OSError("Multiple exceptions: [Errno 113] a, [Errno 113] b"), "no route to host"),
    (OSError('server at "h:1" rejected SSL upgrade'), 'server at "h:1" rejected SSL'),
    (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), "TLS failed: "),
]


@in_one(("error", "sentence"), SENTENCES)
def test_a_fault_is_a_sentence(error: Exception, sentence: str) -> None:
    assert reason_of(error).startswith(sentence)
    wrapped = RuntimeError("not this")
    wrapped.__cause__ = error
    assert reason_of(wrapped) == reason_of(error)


def kinds(module: ModuleType) -> Iterator[type[Exception]]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, Exception) and not issubclass(kind, Warning | OSError):
            yield kind


@pytest.mark.parametrize("module", [apsw, asyncpg.exceptions, redis])
def test_no_fault_of_a_library_is_told_by_its_class(module: ModuleType) -> None:
    for kind in kinds(module):
        try:
            error = kind("it said so")
        except (TypeError, ValueError):  # more is needed to make one
            continue
        assert kind.__name__ not in reason_of(error)
        assert "said so" in reason_of(error)


def test_the_text_of_an_unknown_library_may_hold_a_secret() -> None:
    assert reason_of(ValueError("https://user:password@host")) == "ValueError"
