"""Authorization codes: sealed at `/oauth/authorize`, read at `/oauth/token`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.code import CodeGrant, mark_of
from watchword.core.session import Authenticated, Session, time_ordered_id
from watchword.core.throttle import Cost, take
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import CodeInvalid

_KEPT: Final = 10_000


class Codes:
    """Makes and reads codes.

    `life` (ms) is the absolute life of a session: for so long a code that comes a
    second time ends the session that it has made.
    """

    def __init__(
        self, tickets: Tickets, *, life: int, clock: Clock, entropy: Entropy
    ) -> None:
        self._tickets = tickets
        self._life = life
        self._clock = clock
        self._entropy = entropy
        self._counters: dict[str, int] = {}

    def has_room(self, root: bytes) -> bool:
        """Whether a browser may have another code now, by its sign-in; counts it.

        It counts in this process alone, and forgets all when there are too many.
        """
        cost = Cost(root.hex(), limits.CODES_BURST, limits.CODES_INTERVAL)
        counters, wait = take(self._counters, [cost], self._clock())
        if len(self._counters) >= _KEPT:
            self._counters.clear()
        self._counters |= counters
        return not wait

    def make(
        self,
        authenticated: Authenticated,
        *,
        root: Session,
        client_id: str,
        redirect_uri: str,
        challenge: str,
        nonce: str,
        scope: Sequence[str],
        resources: Sequence[str],
        jkt: str,
    ) -> str:
        """A code of this instant, with the id of the session that it will make.

        `authenticated` is what the browser's sign-in, `root`, has proved. Its epoch
        MUST have been read before the root was last seen alive. Its roles are left out.
        `redirect_uri` is that of the request. `challenge`, `nonce` and `jkt` are ""
        where the request had none. Raises ValueError for more than a ticket holds.
        """
        now = self._clock()
        grant = CodeGrant(
            session_id=time_ordered_id(now, self._entropy(10)),
            seed=self._entropy(limits.SECRET_BYTES),
            at=now,
            authenticated=msgspec.structs.replace(authenticated, roles=()),
            root=root.id,
            root_mark=mark_of(root),
            client_id=client_id,
            redirect_hash=hashlib.sha256(redirect_uri.encode()).digest(),
            challenge=challenge,
            nonce=nonce,
            scope=tuple(scope),
            resources=tuple(resources),
            jkt=jkt,
        )
        return self._tickets.seal(TicketPurpose.CODE, grant, life=self._life)

    def read(self, text: str) -> CodeGrant:
        """What a code says. Raises CodeInvalid."""
        try:
            return self._tickets.open(TicketPurpose.CODE, text, CodeGrant)
        except TicketInvalid:
            raise CodeInvalid from None
