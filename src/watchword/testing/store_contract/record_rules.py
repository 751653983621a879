"""Contract: random calls about records that belong to no account, and the sweep."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from watchword.core import limits
from watchword.errors import NameTaken
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.ports.clients import Client
from watchword.ports.keys import KeyState, KeyUse
from watchword.testing.store_contract.backend import Place
from watchword.testing.store_contract.differential import Pair
from watchword.testing.store_contract.examples import (
    OPTIONS,
    a_client,
    a_cost,
    a_key,
    an_event,
    sweep_up,
)

_picks = st.integers(0, 1000)
_names = st.sampled_from(["ada", "bob", "cyd"])
_keys = st.sampled_from(["name:ada", "address:203.0.113.7"])
_once = st.sampled_from([b"", b"one", b"two"])


class RecordRules(Pair):
    """Clients, throttle, keys used once, signing keys, audit; and the sweep.

    The sweep is here because it decides which used keys may be used again.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.clients: list[Client] = []
        self.used: dict[bytes, int] = {}

    @rule(retention=st.booleans())
    def sweep(self, retention: bool) -> None:  # noqa: FBT001
        """Sweep until nothing is left to delete."""
        if retention:
            self.clock.advance(limits.AUDIT_RETENTION)
        now = self.clock()
        self.same(lambda stores: sweep_up(stores, now))
        self.used = {key: until for key, until in self.used.items() if until > now}

    @rule(name=_names, public=st.booleans())
    def add_client(self, name: str, public: bool) -> None:  # noqa: FBT001
        """A registration of a client. The id may be taken."""
        client = a_client(name, created_at=self.clock())
        if public:
            client = msgspec.structs.replace(client, secret_hash=None)
        event = an_event(EventType.CLIENT_CREATED, at=self.clock())

        async def add(stores: Stores) -> bool:
            try:
                await stores.clients.add(client, event)
            except NameTaken:
                return False
            return True

        if self.same(add):
            self.clients.append(client)

    @precondition(lambda self: self.clients)
    @rule(number=_picks, full=st.booleans())
    def swap_client(self, number: int, full: bool) -> None:  # noqa: FBT001
        """A change of a client. The version may be a stale one."""
        before = self.clients[number % len(self.clients)]
        after = msgspec.structs.replace(
            before,
            scope=OPTIONS.scope if full else (),
            audience=OPTIONS.audience if full else (),
            access_ttl=limits.MINUTE if full else None,
            dpop=full,
            checks_dpop=full,
            grace=limits.MINUTE if full else 0,
            name="The shop" if full else "",
            redirect_uris=OPTIONS.audience if full else (),
            post_logout_redirect_uris=OPTIONS.audience[1:] if full else (),
            id_token_alg="EdDSA" if full else "RS256",
            trusted=full,
            pkce=not full,
            par=full,
            disabled=not before.disabled,
            version=before.version + 1,
        )
        event = an_event(EventType.CLIENT_CHANGED, at=self.clock())
        if self.same(lambda stores: stores.clients.swap(before, after, event)):
            self.clients.append(after)

    @rule(key=_once, life=st.integers(1, 2 * limits.SECOND))
    def use_once(self, key: bytes, life: int) -> None:
        """A proof is used, for the first time or again."""
        until = self.used.setdefault(key, self.clock() + life)
        if until > self.clock():  # after that a store may have forgotten it or not
            uses = [(key, self.clock() + life)]
            self.same(lambda stores: stores.once.use_once(uses))

    @rule(keys=st.lists(_keys, min_size=1, unique=True))
    def take(self, keys: list[str]) -> None:
        """An attempt to sign in."""
        costs = [a_cost(key) for key in keys]
        self.same(lambda stores: stores.throttle.take(costs, self.clock()))

    @rule(keys=st.lists(_keys, unique=True), forget=st.lists(_keys, max_size=2))
    def give_back(self, keys: list[str], forget: list[str]) -> None:
        """An attempt that succeeded, or was not carried out, is given back."""
        costs = [a_cost(key) for key in keys]
        self.same(lambda stores: stores.throttle.give_back(costs, forget=forget))

    @rule(stale=st.booleans(), size=st.integers(0, 3))
    def swap_keys(self, stale: bool, size: int) -> None:  # noqa: FBT001
        """A change of the key ring, of the revision that was read or of a stale one."""
        revision, _ = self.same(lambda stores: stores.keys.load())
        uses = list(KeyUse)
        keys = [
            a_key(n, KeyState.RETIRED, now=self.clock() + n, use=uses[n % 2])
            for n in range(size)
        ]
        event = an_event(EventType.KEY_CHANGED, at=self.clock())
        expected = revision - 1 if stale else revision
        self.same(lambda stores: stores.keys.swap(expected, keys, event))

    @rule(kind=st.sampled_from(EventType), flag=st.booleans())
    def record(self, kind: EventType, flag: bool) -> None:  # noqa: FBT001
        """An event on its own."""
        event = an_event(kind, at=self.clock(), flag=flag)
        self.same(lambda stores: stores.audit.record(event))
