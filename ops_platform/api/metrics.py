"""The API's own metrics, served on a port of their own, never beside the public endpoints."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

OPERATIONS = (
    "request",
    "cancel",
    "describe",
    "verify",
    "status",
    "requests",
    "download",
    "received",
    "certificate",
    "sign-in",
    "session",
    "page",
    "other",
)
STATUSES = (200, 202, 204, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 503)
REASONS = (
    "connections",
    "connections-of-address",
    "slow-handshake",
    "slow-head",
    "slow-body",
    "unread-answer",
    "head-too-large",
    "malformed",
)


class ApiMetrics:
    """Metrics of one process; every series that an alert needs exists from the start, with zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.responses = Counter(
            "gdpr_api_responses_total",
            "Answers of the data subjects' API, by operation and HTTP status.",
            ("operation", "status"),
            registry=self.registry,
        )
        self.wrong_tokens = Counter(
            "gdpr_api_wrong_tokens_total",
            "Verification tokens that fitted no request: typing errors, or guesses.",
            registry=self.registry,
        )
        self.refused_connections = Counter(
            "gdpr_api_refused_connections_total",
            "Connections refused or cut before the API itself saw a request, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "gdpr_api_response_seconds",
            "Time to the answer.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self.registry,
        )
        for operation in OPERATIONS:
            for status in STATUSES:
                self.responses.labels(operation, str(status))
        for reason in REASONS:
            self.refused_connections.labels(reason)

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """Count an answer and its duration."""
        self.responses.labels(operation, str(status)).inc()
        self.seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a connection that was refused or cut."""
        self.refused_connections.labels(reason).inc()
