"""What a library raised, as a sentence for the operator instead of a class name.

The libraries' errors are recognised by their names, so no library is imported here.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

_KNOWN: Final = {
    "apsw.NotADBError": "the file is no SQLite database",
    "apsw.CorruptError": "the database is damaged: put back a backup",
    "apsw.CantOpenError": "this user cannot open the file, or its folder is not there",
    "apsw.ReadOnlyError": "this user may not write the file, or the disk is read-only",
    "apsw.PermissionsError": "this user may not use the file",
    "apsw.FullError": "the disk is full",
    "apsw.IOError": "the disk cannot be read or written: it is failing, or full",
    "apsw.BusyError": "another program holds a lock on the file",
    "apsw.LockedError": "another program holds a lock on the file",
    "asyncpg.InvalidPasswordError": "the server refuses this user or password",
    "asyncpg.InvalidAuthorizationSpecificationError": (
        "the server does not let this user in"
    ),
    "asyncpg.InvalidCatalogNameError": "there is no such database: create it first",
    "asyncpg.InsufficientPrivilegeError": (
        "the role lacks a right: grant it, or take another role"
    ),
    "asyncpg.UndefinedObjectError": (
        "the URL has a parameter that the server does not know: leave it out"
    ),
    "asyncpg.TooManyConnectionsError": "the server has no connection left",
    "asyncpg.CannotConnectNowError": "the server is starting or stopping",
    "asyncpg.DiskFullError": "the server's disk is full",
    "asyncpg.ReadOnlySQLTransactionError": "the server takes no writes",
    "asyncpg.TargetServerAttributeNotMatched": "no server of the URL takes writes",
    "asyncpg.ConnectionDoesNotExistError": "the server closed the connection",
    "asyncpg.InterfaceError": "the connection failed",
    "asyncpg.InternalClientError": "what answered there is no PostgreSQL",
    "redis.AuthenticationError": "the server refuses this user or password",
    "redis.NoPermissionError": "the user lacks a right there",
    "redis.BusyLoadingError": "the server is reading its data, and answers later",
    "redis.OutOfMemoryError": "the server's memory is full",
    "redis.ReadOnlyError": "the server takes no writes",
    "redis.InvalidResponse": "what answered there is no Redis",
}
_SYSTEM: Final[tuple[tuple[type[OSError], str], ...]] = (
    (socket.gaierror, "the name of the host is not known, or its name server is away"),
    (ConnectionRefusedError, "nothing listens there"),
    (TimeoutError, "no answer in time"),
)
# The error texts of these libraries are sentences and never contain a password.
_SPEAKS: Final = ("apsw", "asyncpg", "redis")
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")


def reason_of(error: BaseException) -> str:
    """Why it failed: the cause nearest to the origin that has a sentence.

    Returns the sentence without a full stop, or the class name of the first cause. The
    texts of unknown libraries are not repeated: they may contain a URL, and so a
    password.
    """
    chain = list(_causes(error))
    for cause in reversed(chain):
        if found := _of_library(cause) or _of_system(cause):
            return found
    return type(chain[-1]).__name__


def tls_reason(error: BaseException) -> str | None:
    """Why TLS failed, as a sentence; None where the error has another cause."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _of_tls(cause)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, ending with the first one that was raised.

    Also those suppressed by `raise ... from None`: HTTP clients hide TLS errors so.
    """
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _of_library(error: BaseException) -> str:
    text = " ".join(str(error).split())
    library = type(error).__module__.partition(".")[0]
    if library not in _SPEAKS:
        return ""
    for kind in type(error).__mro__:
        known = _KNOWN.get(f"{library}.{kind.__name__}")
        if known is not None:
            return f"{known} ({text})" if text else known
    return text


def _of_system(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    for kind, sentence in _SYSTEM:
        if isinstance(error, kind):
            return sentence
    if not isinstance(error, OSError):
        return ""
    # Where several addresses fail, asyncio raises one error with all their texts and no
    # error number: the number is taken from the text.
    found = _ERRNO.search(str(error))
    number = int(found[1]) if error.errno is None and found else error.errno
    return str(error) if number is None else _in_words(number)


def _in_words(number: int) -> str:
    text = os.strerror(number)
    return text[:1].lower() + text[1:]


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", str(error)).rstrip(".")
        return (
            f"the server's certificate is not accepted: {why}. SSL_CERT_FILE names the "
            "authorities that are trusted"
        )
    why = getattr(error, "reason", None) or str(error)
    return f"TLS failed: {why.replace('_', ' ').lower()}"
