"""Every metric that there is, by its name in a scrape without the prefix."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

PREFIX: Final = "watchword_"
OTHER: Final = "other"
"""The label of what has none of its own, so that there are not too many series."""


class Counter(Enum):
    """What only grows: name in a scrape, labels, help."""

    SIGN_INS = ("sign_ins_total", ("method", "result"), "Sign-ins, by way and outcome.")
    REFRESHES = ("refreshes_total", ("verdict",), "Refreshes, by verdict.")
    SESSIONS_STARTED = ("sessions_started_total", ("client",), "Sessions that began.")
    SESSIONS_ENDED = ("sessions_ended_total", ("reason",), "Sessions that were ended.")
    TOKEN_REUSE = ("token_reuse_total", (), "Spent refresh tokens that came again.")
    HTTP_REQUESTS = (
        "http_requests_total",
        ("route", "method", "status"),
        "Requests that were answered.",
    )
    HASH_SHED = ("hash_shed_total", (), "Passwords refused, for the queue was full.")
    STORE_ERRORS = ("store_errors_total", ("kind",), "Faults of the store.")
    THROTTLED = ("throttled_total", ("kind",), "Attempts that a throttle refused.")
    MAIL = ("mail_total", ("purpose", "result"), "Mails, by outcome.")
    FACTORS = ("factors_total", ("kind", "action"), "What was done with factors.")
    CODES = ("codes_total", ("result",), "Authorization codes that were redeemed.")
    EVENTS = ("events_total", ("type",), "Audit events.")
    PROCESS_CPU = ("process_cpu_seconds_total", (), "Time of the processor.")

    def __init__(self, metric: str, labels: tuple[str, ...], text: str) -> None:
        self.place = len(type(self).__members__)
        self.metric = metric
        self.labels = labels
        self.text = text


class Histogram(Enum):
    """What is measured: name in a scrape, labels, upper bounds, help."""

    REVOCATION_REACH = (
        "revocation_reach_seconds",
        (),
        (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 15),
        "From the end of a session until this process refused it.",
    )
    HTTP_DURATION = (
        "http_request_duration_seconds",
        ("route",),
        (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
        "From the head of a request until its answer was handed over.",
    )
    HASH_DURATION = (
        "hash_duration_seconds",
        (),
        (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        "How long one password took, without its wait.",
    )
    STORE_DURATION = (
        "store_operation_duration_seconds",
        ("op", "store"),
        (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
        "How long an operation of a store took.",
    )
    STORE_BATCH = (
        "store_batch_size",
        (),
        (1, 2, 4, 8, 16, 32, 64, 128, 256),
        "Refreshes that were written in one step.",
    )

    def __init__(
        self,
        metric: str,
        labels: tuple[str, ...],
        bounds: tuple[float, ...],
        text: str,
    ) -> None:
        self.place = len(type(self).__members__)
        self.metric = metric
        self.labels = labels
        self.bounds = bounds
        self.text = text


class Combine(Enum):
    """What a scrape shows of a gauge that each of several processes has."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


class Gauge(Enum):
    """What goes up and down: name in a scrape, labels, how it is combined, help."""

    SESSIONS_LIVE = ("sessions_live", (), Combine.MAX, "Sessions that are alive.")
    FEED_AGE = (
        "feed_age_seconds",
        (),
        Combine.MAX,
        "How old what a process knows of ended sessions is.",
    )
    FEED_FOLLOWERS = ("feed_followers", (), Combine.SUM, "Followers of the feed.")
    HASH_QUEUE = ("hash_queue_length", (), Combine.SUM, "Passwords that wait.")
    OUTBOX_OLDEST = (
        "outbox_oldest_seconds",
        ("kind",),
        Combine.MAX,
        "How long the oldest message has waited.",
    )
    KEY_AGE = (
        "signing_key_age_seconds",
        ("use",),
        Combine.MAX,
        "How old the key that signs is.",
    )
    BUILD_INFO = (
        "build_info",
        ("version", "python"),
        Combine.MAX,
        "The version that runs.",
    )
    PROCESS_MEMORY = (
        "process_resident_memory_bytes",
        (),
        Combine.SUM,
        "Resident memory of all processes.",
    )
    PROCESS_VIRTUAL = (
        "process_virtual_memory_bytes",
        (),
        Combine.SUM,
        "Virtual memory of all processes.",
    )
    PROCESS_FILES = (
        "process_open_fds",
        (),
        Combine.MAX,
        "Open files and connections, of the process that has most.",
    )
    PROCESS_FILES_MAX = (
        "process_max_fds",
        (),
        Combine.MIN,
        "How many files a process may open.",
    )
    PROCESS_START = (
        "process_start_time_seconds",
        (),
        Combine.MAX,
        "When the newest process began, in seconds since 1970.",
    )

    def __init__(
        self, metric: str, labels: tuple[str, ...], combine: Combine, text: str
    ) -> None:
        self.metric = metric
        self.labels = labels
        self.combine = combine
        self.text = text


Metric = Counter | Histogram | Gauge


def full_name(metric: Metric) -> str:
    """The name in a scrape. What each program has is named as in each program."""
    name = metric.metric
    return name if name.startswith("process_") else PREFIX + name


METRICS: Final[Mapping[str, Metric]] = {
    full_name(one): one for kind in (Counter, Histogram, Gauge) for one in kind
}
"""Every metric, by its full name."""
