"""The ring of signing keys, and its revision."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event
from watchword.ports.keys import SealedKey
from watchword.stores.sql.rows import key_of
from watchword.stores.sqlite.connections import Connections


class SqliteKeys:
    """Implements `KeyStore`."""

    def __init__(self, file: Connections) -> None:
        self._file = file

    async def load(self) -> tuple[int, list[SealedKey]]:
        try:
            with self._file.loop_reader:  # both reads see one snapshot
                revision = self._file.read_now("key_revision")[0][0]
                rows = self._file.read_now("keys")
        except apsw.Error as error:
            raise StoreUnavailable from error
        return revision, [key_of(row) for row in rows]

    async def swap(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        sql = self._file.sql

        def job(connection: apsw.Connection) -> bool:
            if not list(connection.execute(sql["raise_key_revision"], (revision,))):
                return False
            connection.execute(sql["drop_keys"])
            rows = [msgspec.structs.astuple(key) for key in keys]
            connection.executemany(sql["add_key"], rows)
            self._file.record(connection, [event])
            return True

        return await self._file.writer.do(job)
