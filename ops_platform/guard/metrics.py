"""The guard's own metrics, served at ``/guard/metrics`` to whoever may look."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from ops_platform.guard.permissions import MUTATIONS
from ops_platform.guard.refusal import CODES


class GuardMetrics:
    """Metrics of one process; every series exists from the start, with zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refused_requests = Counter(
            "guard_refused_requests_total",
            "Requests to Dagster that the guard refused, by the kind of refusal.",
            ("code",),
            registry=self.registry,
        )
        self.changes = Counter(
            "guard_changes_total",
            "Changes in Dagster that went into the ledger and on, by kind and outcome.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.lost_outcomes = Counter(
            "guard_lost_outcomes_total",
            "Changes whose intent is in the ledger, and whose outcome could not be written.",
            registry=self.registry,
        )
        self.refused_connections = Counter(
            "guard_refused_connections_total",
            "Connections refused or cut before a request was complete, by reason.",
            ("reason",),
            registry=self.registry,
        )
        for code in CODES:
            self.refused_requests.labels(code)
        for kind in {permission.kind for permission in MUTATIONS.values() if permission.is_recorded}:
            for outcome in ("success", "failed"):
                self.changes.labels(kind, outcome)
