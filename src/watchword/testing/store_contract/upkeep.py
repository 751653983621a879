"""Contract: the ports of a store, and what concerns its backend as a whole."""

# ruff: noqa: S101, PLR2004, ANN401 - a test suite: assertions over literal expectations

from __future__ import annotations

from typing import Any, Final, get_type_hints

from watchword.core.actor import EndReason
from watchword.core.limits import AUDIT_RETENTION, SWEEP_AFTER
from watchword.ports import Stores
from watchword.ports.sessions import ById
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_cost,
    a_session,
    an_event,
    fed,
    put,
    sign_in,
    sweep_up,
)

_VERBS_MAX: Final = 8


def _public(thing: Any) -> set[str]:
    """The names of a port, or of an object that implements one."""
    names = {*dir(thing), *getattr(thing, "__annotations__", {})}
    return {name for name in names if not name.startswith("_")}


class Upkeep(OnAStore):
    """The names of the ports, the check and the sweep."""

    async def test_each_port_has_its_own_names_and_no_other(
        self, stores: Stores
    ) -> None:
        """In each field there is an object with what its port has, a page at most."""
        for field, port in get_type_hints(Stores).items():
            assert _public(getattr(stores, field)) == _public(port), field
            assert len(_public(port)) <= _VERBS_MAX, field

    async def test_check_finds_a_working_store(self, stores: Stores) -> None:
        """`check` raises nothing on a store that works."""
        await stores.backend.check()

    async def test_sweep_deletes_what_is_over_and_nothing_live(
        self, stores: Stores
    ) -> None:
        """A session is deleted SWEEP_AFTER after its idle deadline, revoked or not."""
        now = START + 100 * SWEEP_AFTER
        edge = now - SWEEP_AFTER
        live = a_session(1, idle_expires_at=now + 1)
        lately = a_session(2, idle_expires_at=edge)
        over = a_session(3, idle_expires_at=edge - 1)
        ended = a_session(4, idle_expires_at=edge - 1)
        await put(stores, over, live, ended, lately)
        await stores.sessions.end(
            ById(ended.id), EndReason.LOGOUT, an_event(at=now), 10
        )
        assert await sweep_up(stores, now) >= 2
        rows = await stores.sessions.load([live.id, lately.id, over.id, ended.id])
        assert rows == [live, lately, None, None]
        assert len(await fed(stores, now)) == 1

    async def test_sweep_goes_in_steps(self, stores: Stores) -> None:
        """No step deletes more sessions than its limit; the steps delete them all."""
        old = START - 2 * SWEEP_AFTER
        rows = [a_session(number, idle_expires_at=old) for number in range(10)]
        await put(stores, *rows)
        left = [10]
        while left[-1]:
            await stores.backend.sweep(START, 3)
            loaded = await stores.sessions.load([row.id for row in rows])
            left.append(sum(row is not None for row in loaded))
            assert left[-2] - left[-1] <= 3
            assert len(left) < 20

    async def test_sweep_empties_feed_throttle_and_audit(self, stores: Stores) -> None:
        """Feed entries past `until`, and records past their retention, are deleted."""
        row, kept = a_session(1), a_session(2)
        await put(stores, row)
        await stores.sessions.end(
            ById(row.id), EndReason.LOGOUT, an_event(at=START), 10
        )
        await stores.throttle.take([a_cost()], START)
        until = row.ended(EndReason.LOGOUT, START).feed_entry().until
        await sweep_up(stores, until - 1)
        assert len(await fed(stores, until - 1)) == 1
        await sweep_up(stores, until)
        assert await fed(stores, until) == []
        later = START + AUDIT_RETENTION
        await sweep_up(stores, later)
        assert len(await stores.audit.read(0, 10)) == 2
        await sweep_up(stores, later + 1)
        assert await stores.audit.read(0, 10) == []
        # A sequence number is never used twice, so a follower misses no entry.
        await put(stores, kept)
        assert await stores.audit.last() == 3
        assert await stores.audit.read(2, 10) == [(3, sign_in(kept))]
