"""Tells an account's owner that its sign-in is used from a network for the first time.

A copy of the cookie would be used from elsewhere. A browser that travels is used from
elsewhere too, so its session goes on.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from functools import partial
from typing import Final

from watchword.background import Background, wait_briefly
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.network import network_of
from watchword.core.session import Session
from watchword.core.throttle import Cost
from watchword.mail.message import MailPurpose
from watchword.notices import Notices
from watchword.ports.accounts import AccountStore
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.once import ReplayCache
from watchword.ports.outbox import Outbox
from watchword.ports.throttle import Throttle

_KEPT: Final = 10_000


class NewNetworks:
    """Knows from which networks each session was used, and tells of new ones."""

    def __init__(
        self,
        *,
        once: ReplayCache,
        throttle: Throttle,
        audit: AuditLog,
        accounts: AccountStore,
        outbox: Outbox,
        notices: Notices,
        background: Background,
        clock: Clock,
    ) -> None:
        self._once = once
        self._throttle = throttle
        self._audit = audit
        self._accounts = accounts
        self._outbox = outbox
        self._notices = notices
        self._background = background
        self._clock = clock
        # What this process has looked up: a browser with two addresses alternates.
        self._known: OrderedDict[tuple[bytes, str], None] = OrderedDict()

    async def note(
        self, session: Session, last: str, address: str, user_agent: str
    ) -> None:
        """Note a use of the session from `address`; `last` is where it was seen before.

        Writes an event and a mail where no use came from that network before. Raises
        StoreUnavailable.
        """
        before, network = network_of(last), network_of(address)
        if before is None or network is None or before == network:
            return
        known = (session.id, network)
        if known in self._known:
            self._known.move_to_end(known)
            return
        rate = limits.NEW_NETWORK_BURST, limits.NEW_NETWORK_INTERVAL
        # By account: a user may begin any number of sessions, and each mail goes before
        # those that wait to be sent to others.
        costs = [Cost(f"new-network:{session.account_id.hex()}", *rate)]
        if await self._throttle.take(costs, self._clock()):
            return  # told of later, if it is still used from there
        is_new = await self._learn(session, before, network)
        self._known[known] = None
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        if not is_new:
            await self._throttle.give_back(costs)
            return
        tell = partial(self._tell, session, address, user_agent)
        what = "telling of a new network"
        await wait_briefly(self._background.start(tell, what))

    async def signed_in_at(self, session: Session, last: str, address: str) -> None:
        """Note that the user signed in anew at `address`: nothing is told of it.

        Raises StoreUnavailable.
        """
        before, network = network_of(last), network_of(address)
        if before is not None and network is not None and before != network:
            await self._learn(session, before, network)

    async def _learn(self, session: Session, before: str, network: str) -> bool:
        """Whether this is the session's first use from `network`, of all processes."""
        keys = [_key(session, one) for one in (before, network)]
        uses = [(key, session.expires_at) for key in keys]
        return (await self._once.use_once(uses))[1]

    async def _tell(self, session: Session, address: str, user_agent: str) -> None:
        """Write the event, and a mail to each address of the account."""
        now = self._clock()
        account = await self._accounts.by_id(session.account_id)
        if account is None:
            return
        shown = user_agent[: limits.USER_AGENT_MAX]
        by = By(Actor.USER).detail(user_agent=shown)
        event = Event.about(EventType.NEW_NETWORK, session, address, now, **by)
        await self._audit.record(event)
        purpose = MailPurpose.NEW_NETWORK
        mails = await self._notices.of(account, purpose, network=address)
        await self._outbox.add(mails)


def _key(session: Session, network: str) -> bytes:
    """What names a network of a session among the keys that are used once."""
    return hashlib.sha256(b"network" + session.id + network.encode()).digest()
