"""The exchange of an authorization code for tokens, with and without an ID token.

Owns the rows of `/oauth/token` with `authorization_code`. Codes are made by an engine
in this process, on the server's folder: each for another browser's sign-in, as those
of many users are, and in the round that redeems them, since they are good for a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import servers
from bench.load import REDIRECT, VERIFIER, Plan, Report
from bench.measuring import (
    CONNECTIONS,
    Effort,
    Refreshing,
    errors_of,
    in_turn,
    latency,
    median,
    ratios,
)
from bench.report import Row
from bench.servers import Server
from watchword import load_settings, open_watchword
from watchword.bootstrap import Watchword
from watchword.core.actor import SYSTEM
from watchword.core.session import Authenticated, Session

CLIENT: Final = "bench"
SCOPES: Final[dict[bool, Sequence[str]]] = {
    False: ("profile",),
    True: ("openid", "profile"),
}
# As many sign-ins as codes in a round: a browser has few sessions of one client.
ROOTS: Final = 2000
PER_SECOND: Final = 50


class Browsers:
    """Browsers that are signed in at the server, and the codes that they bring."""

    def __init__(self, engine: Watchword, roots: Sequence[Session]) -> None:
        assert engine.oauth is not None
        self._codes = engine.oauth.codes
        self._roots = roots
        digest = hashlib.sha256(VERIFIER.encode()).digest()
        self._challenge = urlsafe_b64encode(digest).decode().rstrip("=")

    def codes(self, *, openid: bool, count: int | None = None) -> list[str]:
        """A code for each of them, or for the first `count`."""
        return [
            self._codes.make(
                Authenticated(
                    root.account_id, (), 0, root.amr, root.acr, root.auth_time
                ),
                root=root,
                client_id=CLIENT,
                redirect_uri=REDIRECT,
                challenge=self._challenge,
                nonce="n",
                scope=SCOPES[openid],
                resources=(),
                jkt="",
            )
            for root in self._roots[:count]
        ]


class Exchanging(Refreshing):
    """Exchanges round after round: of other codes each time."""

    def __init__(
        self, server: Server, browsers: Browsers, effort: Effort, *, openid: bool
    ) -> None:
        super().__init__(server, [], effort, kind="exchange")
        self._browsers = browsers
        self._openid = openid

    def round(self) -> Report:
        codes = self._browsers.codes(openid=self._openid)
        self.plan = msgspec.structs.replace(self.plan, tokens=codes, per_token=1)
        return super().round()


def exchange(folder: Path, effort: Effort, *, openid: bool) -> Row:
    """An exchange against a native refresh, by the CPU time of the server."""
    name = folder.name
    with _world(folder, effort) as (server, browsers):
        ours = Exchanging(server, browsers, effort, openid=openid)
        native = Refreshing(server, _tokens(server), effort)
        in_turn(min(effort.rounds, 5), [native, ours])
    each = ratios(ours.cpu, native.cpu)
    return Row(
        name=name,
        value=median(ours.cpu),
        unit="µs of CPU",
        baseline=median(native.cpu),
        compared_with="µs for a refresh",
        ratio=median(each),
        budget="" if openid else "≤ 3",
        detail={
            "CPU ratio of each round": each,
            "exchanges /s": median(ours.rates()),
            "refreshes /s": median(native.rates()),
            **latency(name, ours.reports),
        },
    )


def exchange_storm(folder: Path, effort: Effort) -> Row:
    """The p99 of refreshes beside exchanges with ID tokens, and without."""
    beside: dict[bool, list[Report]] = {True: [], False: []}
    exchanges: list[Report] = []
    alone: list[Report] = []
    with _world(folder, effort) as (server, browsers):
        load = Refreshing(server, _tokens(server), effort)
        for number in range(effort.rounds):
            alone.append(load.round())
            # Whatever the one leaves behind for the other, or a drift, evens out.
            for openid in (True, False) if number % 2 else (False, True):
                process = servers.start_load(_paced(server, browsers, effort, openid))
                beside[openid].append(load.round())
                exchanges.append(servers.finish_load(process))
    with_openid = [report.p99 for report in beside[True]]
    without = [report.p99 for report in beside[False]]
    return Row(
        name=folder.name,
        value=median(with_openid),
        unit="ms p99",
        baseline=median(without),
        compared_with="ms p99 without openid",
        ratio=median(ratios(with_openid, without)),
        budget="≤ 1.1",
        detail={
            "exchanges /s meanwhile": median([one.rate for one in exchanges]),
            "exchange errors": errors_of(exchanges),
            **latency("refresh alone", alone),
            **latency("refresh beside openid", beside[True]),
            **latency("refresh beside no openid", beside[False]),
        },
    )


def _paced(server: Server, browsers: Browsers, effort: Effort, openid: bool) -> Plan:  # noqa: FBT001 - as in the loop
    """So many exchanges each second, for longer than a round of refreshes."""
    connections = 5
    count = int((effort.seconds + effort.warmup + 1.5) * PER_SECOND)
    return Plan(
        kind="exchange",
        port=server.port,
        tokens=browsers.codes(openid=openid, count=count),
        connections=connections,
        per_token=1,
        pause=connections / PER_SECOND,
    )


def _tokens(server: Server) -> list[str]:
    return servers.sign_in_many(server, CONNECTIONS)


@contextlib.contextmanager
def _world(folder: Path, effort: Effort) -> Iterator[tuple[Server, Browsers]]:
    """A server with a client, and browsers that are signed in there."""
    data = folder / "data"
    with servers.watchword(data):
        pass  # the first start
    settings = load_settings(data=data)
    roots = ROOTS if effort.rounds > 1 else 200
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        opened = open_watchword(settings, background=False)
        engine = runner.run(opened.__aenter__())
        stack.callback(lambda: runner.run(opened.__aexit__(None, None, None)))
        browsers = Browsers(engine, runner.run(_signed_in(engine, roots)))
        yield stack.enter_context(servers.watchword(data)), browsers


async def _signed_in(engine: Watchword, count: int) -> list[Session]:
    """The client, and as many sign-ins, each of another account."""
    assert engine.self_service is not None
    assert engine.oauth is not None
    browser = engine.self_service.browser
    client, _ = await engine.clients.add(
        CLIENT, confidential=False, redirect_uris=[REDIRECT], trusted=True
    )
    await engine.oauth.id_tokens.prepare(client)

    async def sign_in(number: int) -> Session:
        # As an import makes them: nothing is hashed.
        account = await engine.accounts.import_hash(f"u-{number}", "!", by=SYSTEM)
        proof = Authenticated.by_password(account.id, at=engine.clock())
        begun = await browser.begin(proof, address="127.0.0.1", user_agent="bench")
        return begun.session

    return [
        session
        for first in range(0, count, 100)
        for session in await asyncio.gather(
            *(sign_in(number) for number in range(first, min(first + 100, count)))
        )
    ]
