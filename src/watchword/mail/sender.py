"""The sender: leases what is due in the outbox, and sends it, again if need be.

Every process has one. A message is leased by one sender at a time, and its Message-ID
is always the same, so one that was sent twice is shown once. Messages go out side by
side: a mailbox that does not answer delays no other.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.throttle import Cost
from watchword.errors import MailNotSent, TryAgain, WatchwordError
from watchword.keys.sealing import Sealing
from watchword.mail.addresses import folded
from watchword.mail.message import NOTICES, Mail, MailPurpose, open_mail
from watchword.metrics import NO_METRICS, Metrics
from watchword.metrics.catalog import OTHER
from watchword.metrics.catalog import Counter as Counted
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.outbox import Lane, LeasedMessage, Message, MessageKind, Outbox
from watchword.ports.throttle import Throttle
from watchword.reasons import reason_of

if TYPE_CHECKING:
    from watchword.mail.composing import Composer
    from watchword.mail.transports import Transport


class Decided(msgspec.Struct, frozen=True):
    """The mail to be sent, with its address, and the lane in which it is sent.

    `write` writes what the mail needs, such as the hash of its token. It is called when
    the mail's turn has come, at each try; False: there is nothing to be sent any more.
    """

    mail: Mail
    lane: Lane
    write: Callable[[], Awaitable[bool]] | None = None


class Replaced(msgspec.Struct, frozen=True):
    """Another message takes the place of the mail, for what it grants with it.

    `mail` is what was asked for: it is counted for its address. `write` writes the
    message, due at the instant (ms) that it is given, and returns it.
    """

    mail: Mail
    write: Callable[[int], Awaitable[Message]]


Decide = Callable[[Mail], Awaitable[Decided | Replaced | None]]
"""What becomes of a mail of the outbox; None: nothing is sent, and its row is deleted.

A request does not look accounts up; this does. It is called at each try, and MUST write
nothing: the mail may still be dropped, because its address has had too many.
"""

_CLOSING: Final = 2.0
# Messages that wait for a place among those to unknown addresses: how many of them are
# looked at each MAIL_POLL.
_PLACE: Final = limits.MAIL_POLL // limits.MAIL_PARALLEL_UNKNOWN
_LANE_MAX: Final = {
    Lane.CONFIRMED: limits.MAIL_PARALLEL,
    Lane.UNKNOWN: limits.MAIL_PARALLEL_UNKNOWN,
}
_OUTCOMES: Final = ("tried_again", "given_up")
_log = logging.getLogger("watchword.mail")


class MailSender:
    """Sends the mail of the outbox, at most `rate` a minute over all processes.

    `composer` and `transport` are made for the first mail.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        throttle: Throttle,
        audit: AuditLog,
        sealing: Sealing,
        decide: Decide,
        composer: Callable[[], Composer],
        transport: Callable[[], Transport],
        rate: int,
        clock: Clock,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._metrics = metrics
        self._outbox = outbox
        self._throttle = throttle
        self._audit = audit
        self._sealing = sealing
        self._decide = decide
        self._composer, self._transport = cache(composer), cache(transport)
        self._rates = _rates(rate)
        self._clock = clock
        self._sending: set[asyncio.Task[None]] = set()
        self._in_lane: Counter[Lane] = Counter()
        self._postponed: Counter[Lane] = Counter()

    def compose_by(self, composer: Callable[[], Composer]) -> None:
        """Use that composer from now on."""
        self._composer = cache(composer)

    async def send_due(self) -> None:
        """Begin to send all that is due. Returns when nothing of it is left.

        Called once every MAIL_POLL. Raises StoreUnavailable.
        """
        self._postponed.clear()
        while True:
            now = self._clock()
            free = limits.MAIL_PARALLEL - len(self._sending)
            until = now + limits.MAIL_LEASE
            leased = await self._outbox.lease(MessageKind.MAIL, now, until, free)
            if not leased:
                return
            for one in leased:
                task = asyncio.create_task(self._attend(one))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            if len(leased) == free:
                await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Wait a moment for what is being sent, then leave it to a later lease."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=_CLOSING)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _attend(self, leased: LeasedMessage) -> None:
        """Bring one message one step further. Without the store its lease runs out."""
        try:
            await self._try(leased)
        except TryAgain:
            said = "the store is away: mail is sent when its lease has run out"
            _log.warning(said)

    async def _try(self, leased: LeasedMessage) -> None:
        decided: Decided | Replaced | None = None
        try:
            mail = open_mail(leased.message, self._sealing)
            decided = await self._decide(mail)
            if isinstance(decided, Replaced):
                await self._replace(leased, decided)
                return
            if decided is not None and not await self._send(leased, decided):
                return
        except TryAgain:
            raise
        except Exception as error:  # noqa: BLE001 - no fault may keep others waiting
            await self._failed(leased, decided, error)
            return
        await self._outbox.done([leased.message.id])

    async def _replace(self, leased: LeasedMessage, replaced: Replaced) -> None:
        """Send the message that takes the place of this one.

        It is due once a lease would have run out: if this process dies, another one
        sends it then.
        """
        other: Message | None = None
        if not await self._is_too_many(leased, replaced.mail):
            other = await replaced.write(self._clock() + limits.MAIL_LEASE)
        await self._outbox.done([leased.message.id])
        if other is not None:
            await self._try(LeasedMessage(other, 0))

    async def _send(self, leased: LeasedMessage, decided: Decided) -> bool:
        """Send the mail, or postpone it: whether its row is to be deleted."""
        lane = decided.lane
        # Mail servers that do not answer must leave room for confirmed addresses.
        if self._in_lane[lane] >= _LANE_MAX[lane]:
            await self._postpone(leased, lane, limits.MAIL_POLL, _PLACE)
            return False
        self._in_lane[lane] += 1
        try:
            return await self._send_in_turn(leased, decided)
        finally:
            self._in_lane[lane] -= 1

    async def _is_too_many(self, leased: LeasedMessage, mail: Mail) -> bool:
        """Count the mail for its address: whether there were too many before it.

        Then it is dropped silently: the caller that asked for it must not learn what
        came of it.
        """
        if not _is_counted(leased, mail):
            return False
        return await self._throttle.take([_of_address(mail)], self._clock()) > 0

    async def _send_in_turn(self, leased: LeasedMessage, decided: Decided) -> bool:
        mail, lane = decided.mail, decided.lane
        if await self._is_too_many(leased, mail):
            self._count(mail, "dropped")
            return True
        wait = await self._throttle.take(self._rates[lane], self._clock())
        if wait:
            if _is_counted(leased, mail):  # it is counted when it is sent
                await self._throttle.give_back([_of_address(mail)])
            await self._postpone(leased, lane, wait, self._rates[lane][-1].interval)
            return False
        if decided.write is None or await decided.write():
            message = self._composer().compose(mail, leased.message.id)
            await self._transport().send(message)
            self._count(mail, "sent")
        return True

    def _count(self, mail: Mail, result: str) -> None:
        self._metrics.count(Counted.MAIL, mail.purpose, result)

    async def _postpone(
        self, leased: LeasedMessage, lane: Lane, wait: int, pace: int
    ) -> None:
        """Postpone a message behind those that this turn has postponed before it.

        Otherwise all that wait would be leased again for each one that is sent.
        """
        due = self._clock() + wait + self._postponed[lane] * pace
        self._postponed[lane] += 1
        await self._outbox.postpone(leased.message.id, due, leased.attempts)

    async def _failed(
        self,
        leased: LeasedMessage,
        decided: Decided | Replaced | None,
        error: Exception,
    ) -> None:
        message, attempts = leased.message, leased.attempts + 1
        now = self._clock()
        name, reason = message.id.hex(), _reason_of(error)
        unknown = not isinstance(error, WatchwordError)
        last = attempts >= limits.MAIL_TRIES
        purpose = OTHER if decided is None else decided.mail.purpose
        self._metrics.count(Counted.MAIL, purpose, _OUTCOMES[last])
        _log.warning("mail %s, try %d: %s", name, attempts, reason, exc_info=unknown)
        if not last:
            await self._outbox.postpone(message.id, now + _backoff(attempts), attempts)
            return
        detail = {"message": name, "reason": reason}
        if decided is not None:
            detail["purpose"] = decided.mail.purpose
        event = Event(
            type=EventType.MAIL_FAILED,
            at=now,
            account_id=message.account_id,
            detail=detail,
        )
        await self._audit.record(event)
        await self._outbox.done([message.id])


def _reason_of(error: Exception) -> str:
    if isinstance(error, MailNotSent):
        return error.reason
    return str(error) if isinstance(error, WatchwordError) else reason_of(error)


def _backoff(attempts: int) -> int:
    """How long a message waits after so many failures, in milliseconds."""
    grown: int = limits.MAIL_BACKOFF * limits.MAIL_BACKOFF_FACTOR ** (attempts - 1)
    return min(grown, limits.MAIL_BACKOFF_MAX)


def _rates(rate: int) -> dict[Lane, list[Cost]]:
    """What a mail of each lane counts against.

    Mails to unknown addresses have a share of the rate; the rest is left for confirmed
    ones. A sixth of a minute's mails may go out at once.
    """
    share = limits.MAIL_UNKNOWN_SHARE
    interval = limits.MINUTE // rate
    burst = max(rate // 6, 1)
    every = Cost("mail", burst, interval)
    unknown = Cost("mail:unknown", max(burst // share, 1), interval * share)
    return {Lane.CONFIRMED: [every], Lane.UNKNOWN: [every, unknown]}


def _is_counted(leased: LeasedMessage, mail: Mail) -> bool:
    """Whether the mail is counted for its address: at its first try.

    Not a notice, nor a token that was granted to an account, of which it has few at a
    time: those no caller can cause at will.
    """
    granted = {MailPurpose.RESET, MailPurpose.ENROL}
    is_granted = mail.purpose in granted and mail.account_id is not None
    return leased.attempts == 0 and mail.purpose not in NOTICES and not is_granted


def _of_address(mail: Mail) -> Cost:
    """What a mail counts against, with others to the same address.

    Resets have a count of their own, by the one address: else a stranger could register
    an address, or spellings of it, so that its owner gets no reset.
    """
    kind, address = "mail", folded(mail.to.lower())
    if mail.purpose is MailPurpose.RESET:
        kind, address = "reset", mail.to.lower()
    spelled = hashlib.sha256(address.encode()).hexdigest()[:32]
    return Cost(
        f"{kind}:{spelled}", limits.MAIL_ADDRESS_BURST, limits.MAIL_ADDRESS_INTERVAL
    )
