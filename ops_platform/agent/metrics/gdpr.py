"""Metrics of data subjects' requests: their states, their ages and how long they took.

The requests themselves are in ``gdpr``; the metrics of their HTTP API are in ``api``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, counter, gauge, known_sample
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.requests import REQUEST_TYPES, TRANSITIONS

_TYPE = ("request_type",)

METRICS = (
    counter(
        "gdpr_requests_total",
        "Requests of data subjects that entered a status, counted in the ops database.",
        (*_TYPE, "status"),
    ),
    gauge(
        "gdpr_oldest_pending_seconds",
        "Time since the oldest open request was confirmed; 0 without one.",
        _TYPE,
    ),
    gauge(
        "gdpr_verification_duration_ms",
        "From the request to its confirmation, of the newest one confirmed.",
        _TYPE,
    ),
    gauge(
        "gdpr_processing_duration_ms",
        "From the confirmation to the end of the work, of the newest one completed.",
        _TYPE,
    ),
)

_ENTERED = """
    SELECT details ->> 'request_type' AS request_type, substr(step, length('status:') + 1) AS status,
           count(*) AS requests
    FROM gdpr_lineage WHERE step LIKE 'status:%' GROUP BY step, details ->> 'request_type'
"""
_REQUESTS = """
    SELECT wanted.request_type,
           (SELECT min(verified_at) FROM gdpr_requests AS r
            WHERE r.request_type = wanted.request_type AND status IN ('pending', 'processing')) AS oldest,
           (SELECT 1000 * extract(epoch FROM verified_at - created_at)::float FROM gdpr_requests AS r
            WHERE r.request_type = wanted.request_type AND verified_at IS NOT NULL
            ORDER BY verified_at DESC LIMIT 1) AS verification_ms,
           (SELECT 1000 * extract(epoch FROM completed_at - verified_at)::float FROM gdpr_requests AS r
            WHERE r.request_type = wanted.request_type AND status = 'completed'
            ORDER BY completed_at DESC LIMIT 1) AS processing_ms
    FROM unnest(%(types)s::text[]) AS wanted (request_type)
"""


@dataclass(frozen=True)
class RequestState:
    """Requests of one type; ``entered`` counts by status, all of them. None is absent."""

    entered: Mapping[str, int]
    oldest_verified_at: datetime | None = None
    """Confirmation of the oldest open request."""
    verification_ms: float | None = None
    processing_ms: float | None = None


class GdprMetrics:
    """States of the requests by type, kept for ``good_for`` seconds after each read."""

    def __init__(self, good_for: float) -> None:
        self.requests: ExpiringValue[Mapping[str, RequestState]] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.requests.put(requests(connection))

    def samples(self, now: float) -> Iterator[Sample]:
        """Yield what is known at ``now`` (Unix seconds), of every type and status from the start."""
        for request_type, state in (self.requests.get() or {}).items():
            labels = (request_type,)
            for status, count in state.entered.items():
                yield Sample("gdpr_requests_total", (*labels, status), count)
            oldest = state.oldest_verified_at
            waiting = 0.0 if oldest is None else max(0.0, now - oldest.timestamp())
            yield Sample("gdpr_oldest_pending_seconds", labels, waiting)
            yield from known_sample("gdpr_verification_duration_ms", labels, state.verification_ms)
            yield from known_sample("gdpr_processing_duration_ms", labels, state.processing_ms)


def requests(connection: Connection) -> dict[str, RequestState]:
    """Read the requests by type, also without a single one: what was never entered is a true zero."""
    entered = {request_type: dict.fromkeys(TRANSITIONS, 0) for request_type in REQUEST_TYPES}
    for row in connection.execute(_ENTERED):
        if row["request_type"] in entered:
            entered[row["request_type"]][row["status"]] = row["requests"]
    return {
        row["request_type"]: RequestState(
            entered[row["request_type"]], row["oldest"], row["verification_ms"], row["processing_ms"]
        )
        for row in connection.execute(_REQUESTS, {"types": list(REQUEST_TYPES)})
    }
