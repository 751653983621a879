"""`watchword user import`: makes accounts from JSON lines, many in one commit."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from watchword.errors import InvalidRequest, TryAgain, WatchwordError
from watchword.text import trimmed

if TYPE_CHECKING:
    from watchword.accounts.registry import Accounts
    from watchword.core.actor import By

# Far below what a store accepts at once, and enough to make a commit's cost per account
# small.
_BATCH: Final = 512


class _Row(NamedTuple):
    """The account that a line describes, with the number of the line."""

    line: int
    name: str
    hashed: str
    roles: list[str]
    subject: uuid.UUID | None


class Import:
    """One run: the number of accounts made, and the faults of the lines refused.

    The accounts of a batch are made at the same time: SQLite commits them together,
    PostgreSQL uses all its connections. Lines with the same name or subject are never
    in one batch, so that the first of them counts.
    """

    def __init__(self, accounts: Accounts, by: By) -> None:
        self._accounts = accounts
        self._by = by
        self._batch: list[_Row] = []
        self._taken: set[str | uuid.UUID | None] = set()
        self._made = 0
        self._faults: list[dict[str, Any]] = []

    async def read(
        self, lines: Iterable[bytes], tell_bytes: Callable[[int], None]
    ) -> tuple[int, list[dict[str, Any]]]:
        """Make the accounts. Returns how many, and a fault for each line refused.

        Raises TryAgain if the store fails; accounts that were made before that stay.
        """
        for number, line in enumerate(lines, 1):
            if line.strip():
                await self._take(number, line)
            tell_bytes(len(line))
        await self._flush()
        return self._made, sorted(self._faults, key=itemgetter("line"))

    async def _take(self, number: int, line: bytes) -> None:
        try:
            row = _parsed(number, line)
        except WatchwordError as error:
            self._refuse(number, error)
            return
        wanted: set[str | uuid.UUID | None] = {row.name, row.subject} - {None}
        if len(self._batch) == _BATCH or wanted & self._taken:
            await self._flush()
        self._batch.append(row)
        self._taken |= wanted

    async def _flush(self) -> None:
        rows, self._batch, self._taken = self._batch, [], set()
        makings = [
            self._accounts.import_hash(
                row.name,
                row.hashed,
                roles=row.roles,
                subject=row.subject,
                by=self._by,
            )
            for row in rows
        ]
        outcomes = await asyncio.gather(*makings, return_exceptions=True)
        for row, outcome in zip(rows, outcomes, strict=True):
            if not isinstance(outcome, BaseException):
                self._made += 1
            elif _is_of_its_line(outcome):
                self._refuse(row.line, outcome)
            else:
                raise outcome

    def _refuse(self, line: int, error: BaseException) -> None:
        code = getattr(error, "code", "error")
        self._faults.append({"line": line, "code": code, "message": str(error)})


def _is_of_its_line(error: BaseException) -> bool:
    return isinstance(error, WatchwordError) and not isinstance(error, TryAgain)


def _parsed(number: int, line: bytes) -> _Row:
    """The account of a line. Raises InvalidRequest.

    No fault repeats the line, because it has a password hash.
    """
    from watchword.accounts.names import normalise_name

    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise InvalidRequest("this is no JSON in UTF-8") from None
    if not isinstance(row, dict):
        raise InvalidRequest('expected {"username": ..., "passwordHash": ...}')
    name, hashed, roles = map(row.get, ("username", "passwordHash", "roles"))
    if not isinstance(name, str) or not isinstance(hashed, str):
        raise InvalidRequest('"username" and "passwordHash" must be there, and be text')
    roles = [] if roles is None else roles
    if not isinstance(roles, list) or not all(isinstance(one, str) for one in roles):
        raise InvalidRequest('"roles" must be a list of text, or null')
    given = row.get("subject")
    subject = None if given is None else _subject(given)
    return _Row(number, normalise_name(name), trimmed(hashed), roles, subject)


def _subject(given: object) -> uuid.UUID:
    try:
        if isinstance(given, int) and not isinstance(given, bool):
            return uuid.UUID(int=given)
        if isinstance(given, str):
            return uuid.UUID(trimmed(given))
    except ValueError:
        pass
    raise InvalidRequest("subject is a UUID, or a number of 0 to 128 bits")
