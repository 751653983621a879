"""Every metric that there is, by its name in a scrape without the prefix."""

from __future__ import annotations

from enum import Enum
from typing import Final

PREFIX: Final = "watchword_"


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

    def __init__(self, metric: str, labels: tuple[str, ...], text: str) -> None:
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
        self.metric = metric
        self.labels = labels
        self.bounds = bounds
        self.text = text
