"""Metrics that the demo product exports; what they count is in ``traffic``.

Every label combination that can occur exists from the start at zero: a series that begins with
its first event looks like one that lost its beginning.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

PUBLISHING_BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds; the objective's threshold of 10 s is one of them."""
TRANSCODING_BUCKETS = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0)
"""Seconds; the objective's threshold of 5 minutes is one of them."""
RESPONSE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""

ROUTES = (
    ("GET", "/feed"),
    ("GET", "/posts/{id}"),
    ("POST", "/posts"),
    ("POST", "/posts/{id}/comments"),
    ("POST", "/media"),
    ("POST", "/sessions"),
    ("POST", "/creators"),
)
ERROR_CODES = ("500", "503")
SUCCESS_CODE = {"GET": "200", "POST": "201"}
TABLES = (
    "creators", "profiles", "posts", "comments", "media", "sessions", "usage_logs", "webhook_deliveries",
    "audit_logs",
)  # fmt: skip


class TrafficMetrics:
    """The metrics of one traffic service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.publishing_seconds = Histogram(
            "product_publishing_duration_seconds",
            "Time from submitting a post until it is published, in seconds; of published posts only.",
            buckets=PUBLISHING_BUCKETS,
            registry=registry,
        )
        self.publishing = Counter(
            "product_publishing_attempts",
            "Attempts to publish a post by result: success or failure.",
            ["result"],
            registry=registry,
        )
        self.transcoding_seconds = Histogram(
            "product_media_transcoding_duration_seconds",
            "Time from the end of an upload until the transcoded media file is ready, in seconds.",
            buckets=TRANSCODING_BUCKETS,
            registry=registry,
        )
        self.responses = Counter(
            "product_api_responses",
            "Responses of the product's API by method, route template and HTTP status code.",
            ["method", "route", "code"],
            registry=registry,
        )
        self.response_seconds = Histogram(
            "product_api_response_duration_seconds",
            "Time from a request until its answer, errors and those who gave up waiting too, in seconds.",
            buckets=RESPONSE_BUCKETS,
            registry=registry,
        )
        self.deliveries = Counter(
            "product_webhook_deliveries",
            "Webhook deliveries by what the receiver said of their signature: valid or invalid.",
            ["signature"],
            registry=registry,
        )
        self.rows = Counter(
            "product_rows_written",
            "Rows that the traffic service committed, by table.",
            ["table"],
            registry=registry,
        )
        self.database_up = Gauge(
            "product_database_up",
            "Whether the last attempt to use the product database succeeded (1) or not (0).",
            registry=registry,
        )
        self.database_losses = Counter(
            "product_database_losses",
            "Times that the traffic service lost its connection to the product database.",
            registry=registry,
        )
        self.failure_modes = Gauge(
            "product_failure_mode",
            "Current setting of each failure mode: ratios from 0 to 1; traffic_factor multiplies the rate.",
            ["mode"],
            registry=registry,
        )
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        for result in ("success", "failure"):
            self.publishing.labels(result)
        for signature in ("valid", "invalid"):
            self.deliveries.labels(signature)
        for method, route in ROUTES:
            for code in (SUCCESS_CODE[method], "404", "409", *ERROR_CODES):
                self.responses.labels(method, route, code)
        for table in TABLES:
            self.rows.labels(table)
