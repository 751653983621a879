"""Operators' lists among a million accounts and ten million events.

Owns what is asked for: each list that the admin API and the console have, at places
drawn by lot, and the kinds that find nothing, which look farthest. Then, what all these
rows cost a refresh: its rate against that beside an empty log.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench import records
from bench.backends import Backend, StoreName, backend
from bench.curves import point
from bench.filling import fill
from bench.measuring import Effort, Refreshing, brief, in_turn, ratios
from bench.records import Amount, sizes
from bench.report import Row
from bench.stores import serving
from watchword.clocks import system_clock
from watchword.core.limits import ADMIN_LIST, ADMIN_LOOK, DAY
from watchword.core.session import STRICT, Alive
from watchword.ports import Stores
from watchword.ports.accounts import AccountPage
from watchword.ports.audit import EventFilter, EventPage, EventType

List: TypeAlias = Callable[[], Awaitable[Any]]

_RARE: Final = frozenset({EventType(records.RARE)})
_UNUSED: Final = frozenset({EventType.MAIL_FAILED})
"""The log has none of these."""
_SEVERAL: Final = frozenset({*_UNUSED, *map(EventType, records.KINDS)})
_SHOWN: Final = 1_000_000
"""Bytes of a table or index from which on its size is told."""
_PAGE: Final[dict[str, Any]] = {"limit": ADMIN_LIST, "look": ADMIN_LOOK}


class _Lists:
    """Each of the lists, by its name."""

    def __init__(self, stores: Stores, amount: Amount) -> None:
        self._stores = stores
        self._amount = amount
        self._drawn = random.Random(7)
        self._now = system_clock()

    def all(self) -> dict[str, List]:
        return {**self._of_events(), **self._of_accounts(), **self._others()}

    def _below(self, most: int) -> int:
        return self._drawn.randrange(most)

    async def _events(
        self,
        *,
        day: bool = False,
        **wanted: Any,  # noqa: ANN401 - the fields of a filter
    ) -> EventPage:
        """From anywhere in the log on, or those of some day."""
        before: int | None = self._below(self._amount.events)
        if day:
            before, since = None, self._now - self._below(records.SPAN)
            wanted |= {"since": since, "until": since + DAY}
        audit = self._stores.audit
        return await audit.search(EventFilter(**wanted), before=before, **_PAGE)

    async def _accounts(
        self,
        prefix: str = "",
        **wanted: Any,  # noqa: ANN401 - a role, or whether disabled
    ) -> AccountPage:
        """From anywhere on, or those that begin so."""
        after = "" if prefix else f"user{self._below(self._amount.accounts):07}"
        search = self._stores.accounts.search
        return await search(prefix, after=after, **wanted, **_PAGE)

    def _address(self) -> str:
        network = self._below(records.NETWORKS)
        return f"10.{network // 62500}.{network // 250 % 250}.{network % 250}"

    def _account(self) -> bytes:
        return records.identifier(self._below(self._amount.accounts))

    def _session(self) -> bytes:
        return records.identifier(self._below(self._amount.events // 2), "s")

    def _of_events(self) -> dict[str, List]:
        events, sign_in = self._events, frozenset({EventType.SIGN_IN})
        busy = partial(events, account_id=records.identifier(1))
        proxy = partial(events, address=records.PROXY)
        return {
            "events": events,
            "of a type": partial(events, types=sign_in),
            "of a rare type": partial(events, types=_RARE),
            "of several types": partial(events, types=_SEVERAL),
            "of an account": lambda: events(account_id=self._account()),
            "of a busy account": busy,
            "of that and a type": partial(busy, types=_UNUSED),
            "of a session": lambda: events(session_id=self._session()),
            "of an address": lambda: events(address=self._address()),
            "of a proxy": proxy,
            "of that one and a type": partial(proxy, types=_UNUSED),
            "of a day": partial(events, day=True),
            "of a day and a type": partial(events, day=True, types=sign_in),
            "of a day and types": partial(events, day=True, types=_SEVERAL),
            "of a day and a proxy": partial(proxy, day=True),
        }

    def _of_accounts(self) -> dict[str, List]:
        found = self._accounts

        def part(word: str) -> str:
            return f"{word}{self._below(self._amount.accounts):07}"[:-2]

        return {
            "accounts": found,
            "by a letter": partial(found, "u"),
            "by name": lambda: found(part("user")),
            "by address": lambda: found(part("mail")),
            "by role": partial(found, role="clerk"),
            "by a rare role": partial(found, role="admin"),
            "by a letter and role": partial(found, "m", role="none"),
            "disabled": partial(found, disabled=True),
            "enabled": partial(found, disabled=False),
        }

    def _others(self) -> dict[str, List]:
        stores, alive = self._stores, Alive.at(self._now, STRICT)

        def sessions(client_id: str | None = None) -> Awaitable[Any]:
            after = (self._now - self._below(6 * DAY)).to_bytes(6) + bytes(10)
            return stores.sessions.list(
                None, alive, after=after, client_id=client_id, **_PAGE
            )

        return {
            "sessions": partial(stores.sessions.list, None, alive, **_PAGE),
            "older sessions": sessions,
            "of a client": partial(sessions, "none"),
            "invitations": lambda: stores.confirmations.invitations(
                before=(records.FIRST + self._below(records.INVITATIONS), b""),
                limit=ADMIN_LIST,
            ),
            "deliveries": lambda: stores.deliveries.list(
                records.identifier(1, "w"),
                before=records.identifier(self._below(records.DELIVERIES), "d"),
                limit=ADMIN_LIST,
            ),
        }


async def _timed(ask: List, times: int) -> list[float]:
    """Milliseconds of each time, in order of size."""
    spent: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        await ask()
        spent.append((time.perf_counter() - started) * 1000)
    return sorted(spent)


async def _ask(one: Backend, amount: Amount, times: int) -> dict[str, list[float]]:
    stores = await one.open()
    try:
        lists = _Lists(stores, amount).all()
        return {name: await _timed(ask, times) for name, ask in lists.items()}
    finally:
        await stores.backend.close()


def _p95(spent: list[float]) -> float:
    return spent[len(spent) * 95 // 100]


def lists(folder: Path, effort: Effort, store: StoreName) -> Row:
    """The slowest list's p95."""
    effort = brief(effort)
    amount = Amount(effort.accounts, effort.events)
    loads: list[Refreshing] = []
    with ExitStack() as stack:
        full, bare = (
            stack.enter_context(backend(store, folder / name))
            for name in ("full", "bare")
        )
        tokens = [fill(one, effort.sizes[-1]) for one in (full, bare)]
        built = records.fill_records(full, amount)
        asked = asyncio.run(_ask(full, amount, effort.asked))
        for one, its_tokens in zip((full, bare), tokens, strict=True):
            server = stack.enter_context(serving(one))
            loads.append(Refreshing(server, its_tokens, effort, database=one))
        in_turn(effort.rounds, loads)
        taken = sizes(full)
    with_log, without = loads
    return Row(
        name=folder.name,
        value=max(map(_p95, asked.values())),
        unit="ms p95, slowest list",
        budget="≤ 100; a refresh ≤ 1.02 of one beside an empty log",
        detail={
            **full.told,
            "refreshes": point(with_log),
            "beside an empty log": point(without),
            "rate, of each round": ratios(with_log.rates(), without.rates()),
            "CPU for one, of each round": ratios(with_log.cpu, without.cpu),
            **{
                name: f"p50 {spent[len(spent) // 2]:.2f} · p95 {_p95(spent):.2f}"
                f" · max {spent[-1]:.2f} ms"
                for name, spent in asked.items()
            },
            **{f"{name} built, s": seconds for name, seconds in built.items()},
            **{
                f"{name}, MB": size / 1e6
                for name, size in sorted(taken.items())
                if size > _SHOWN
            },
        },
    )
