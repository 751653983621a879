"""What measures the engine, wired: where it has a page of metrics."""

from __future__ import annotations

from collections.abc import Iterator

from watchword.bootstrap.foundation import Foundation
from watchword.core import limits
from watchword.core.policies import Policies
from watchword.keys.ring import KeyRing
from watchword.metrics.catalog import Gauge
from watchword.metrics.figures import Figures
from watchword.metrics.levels import Level, Levels
from watchword.metrics.measured import Measured
from watchword.metrics.pages import Page
from watchword.passwords import PasswordHasher
from watchword.ports.keys import KeyState
from watchword.revocation.log import RevocationLog
from watchword.revocation.tracker import RevocationTracker


def measured_of(
    base: Foundation,
    *,
    revocations: RevocationTracker,
    revocation_log: RevocationLog,
    hasher: PasswordHasher,
    keys: KeyRing,
    policies: Policies,
) -> Measured | None:
    """What measures these parts; None where nothing shows it."""
    page = base.metrics
    if not isinstance(page, Page):
        return None

    def levels() -> Iterator[Level]:
        if (age := revocations.age) is not None:
            yield Gauge.FEED_AGE, age / limits.SECOND, ()
        yield Gauge.FEED_FOLLOWERS, revocation_log.followers, ()
        yield Gauge.HASH_QUEUE, hasher.waiting, ()
        for row in keys.rows:
            if row.state is KeyState.ACTIVE:
                age = base.clock() - row.changed_at
                yield Gauge.KEY_AGE, age / limits.SECOND, (row.use,)

    stores = base.stores
    return Measured(
        Levels(page, [levels], base.clock),
        Figures(
            page,
            stats=stores.stats,
            once=stores.once,
            outbox=stores.outbox,
            webhooks=stores.webhooks,
            deliveries=stores.deliveries,
            alive=policies.maybe_alive,
            queue=hasher.most_waiting,
            clock=base.clock,
        ),
    )
