"""Contract: figures of each minute, and how many there are of what."""

# ruff: noqa: S101 - a test suite: assertions over literal expectations

from __future__ import annotations

from watchword.core.actor import EndReason
from watchword.core.limits import MINUTE, STATS_KEPT
from watchword.core.session import STRICT, Alive
from watchword.ports import Stores
from watchword.ports.audit import Trail
from watchword.ports.credentials import CredentialKind
from watchword.ports.sessions import ById
from watchword.ports.stats import Stat, Sum, Totals
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, OnAStore
from watchword.testing.store_contract.examples import (
    a_credential,
    a_session,
    an_account,
    an_event,
    put,
    sweep_up,
)

_WRITERS = 4


class Figures(OnAStore):
    """What the charts of operators are drawn from."""

    async def test_counts_add_up_and_of_levels_the_greatest_stays(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Also where processes write those of the same minute at once."""

        async def add(there: Stores) -> None:
            counts = [Stat(START, "refreshes", kind, 2) for kind in ("new", "again")]
            for number in (7, 9, 8):
                levels = [Stat(START, "sessions", "", number)]
                await there.stats.add(counts, levels)
                counts.reverse()
            await there.stats.add([], [])

        await crowd.run([add] * _WRITERS)
        assert await stores.stats.read(START, START + 1) == [
            Stat(START, "refreshes", "again", 6 * _WRITERS),
            Stat(START, "refreshes", "new", 6 * _WRITERS),
            Stat(START, "sessions", "", 9),
        ]

    async def test_figures_are_read_by_time_and_swept_when_old(
        self, stores: Stores
    ) -> None:
        """From the first minute on, and before the last one."""
        rows = [Stat(START + n * MINUTE, "one", "", n) for n in range(5)]
        await stores.stats.add(rows[::-1], [])
        read = stores.stats.read
        assert await read(rows[1].minute, rows[3].minute) == rows[1:3]
        sums = await stores.stats.sums(rows[1].minute, rows[4].minute)
        assert sums == [Sum("one", "", total=1 + 2 + 3, most=3)]
        await sweep_up(stores, rows[2].minute + STATS_KEPT)
        assert await read(0, START + MINUTE * 9) == rows[2:]

    async def test_totals_are_counted(self, stores: Stores) -> None:
        """Accounts, those disabled and with a factor, and sessions that are alive."""
        for number in range(5):
            account = an_account(f"user{number}", number, disabled=number == 0)
            await stores.accounts.add(account, Trail())
        kinds = CredentialKind
        for number, (owner, kind) in enumerate(
            [
                *((1, kinds.TOTP), (1, kinds.PASSKEY), (2, kinds.PASSKEY)),
                *((3, kinds.RECOVERY_CODE), (3, kinds.ENROLMENT)),
            ]
        ):
            row = a_credential(number, kind, account=owner)
            assert await stores.credentials.add([row], Trail())
        rows = [
            *(a_session(number, account=number % 3) for number in range(10)),
            a_session(20, idle_expires_at=START - 1),
            a_session(21, expires_at=START - 1),
        ]
        await put(stores, *rows)
        await stores.sessions.end(ById(rows[0].id), EndReason.LOGOUT, an_event(), 10)
        found = await stores.stats.totals(Alive.at(START, STRICT))
        assert found == Totals(accounts=5, disabled=1, with_factor=2, sessions=9)
