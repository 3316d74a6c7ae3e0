"""Metrics of jobs whose newest run failed. What counts as failing is in ``housekeeping.job_outcomes``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.agent.metrics.definition import Sample, gauge
from ops_platform.clients.postgres import Connection
from ops_platform.housekeeping import job_outcomes
from ops_platform.housekeeping.job_outcomes import Failing

_WORK = ("job_name", "stanza", "request")

METRICS = (
    gauge("dagster_job_outcomes_known", "1 when it could be read which jobs fail."),
    gauge("dagster_job_failures", "Failed runs in a row of a job that fails now.", (*_WORK, "duty")),
    gauge(
        "dagster_job_failing_since_timestamp_seconds",
        "End of the first failed run of a job that fails now.",
        (*_WORK, "duty"),
    ),
    gauge(
        "dagster_job_failure_info",
        "Always 1: the newest failed run and its cause.",
        (*_WORK, "run_id", "cause"),
    ),
)


class JobFailureMetrics:
    """The jobs that fail, kept for ``good_for`` seconds after each read."""

    def __init__(self, good_for: float) -> None:
        self.failing: ExpiringValue[Sequence[Failing]] = ExpiringValue(good_for)

    def read(self, connection: Connection) -> None:
        """Read the ops database. Raises psycopg.Error."""
        self.failing.put(job_outcomes.failing(connection))

    def samples(self, _now: float) -> Iterator[Sample]:
        """Yield what fails and is not taken care of."""
        known = self.failing.get()
        if known is None:
            return
        yield Sample("dagster_job_outcomes_known", (), 1)
        for one in known:
            work = (one.work.job_name, one.work.stanza, one.work.request_id)
            yield Sample("dagster_job_failures", (*work, one.duty), one.failures)
            yield Sample(
                "dagster_job_failing_since_timestamp_seconds", (*work, one.duty), one.since.timestamp()
            )
            yield Sample("dagster_job_failure_info", (*work, one.run_id, one.cause), 1)
