"""Whether each job fails: the newest failure and success of its runs, by the stanza or request they are for.

Dagster tells of the end of a run once. That the job fails is true until it succeeds, whatever restarts in
between; so it is kept here. Times are the ends of runs: they may be told of in any order, and more than once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from ops_platform.audit import JSON, AuditEvent, append
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError

RETRY_WITHIN = timedelta(minutes=15)
"""A retry that Dagster promised and that has not ended by then is no reason to keep silent."""
SHORTEST_REASON = 10
LONGEST_CAUSE = 300
# A request that ended otherwise, cancelled or finished by hand, asks for nothing any more.
_FAILING = """
    SELECT o.job_name, o.stanza, o.request_id, o.duty, o.failed_at, o.first_failed_at, o.failures, o.run_id,
           o.cause, o.acknowledged_by, o.acknowledged_because, o.acknowledged_at
    FROM job_outcomes AS o LEFT JOIN gdpr_requests AS r ON r.request_id = o.request_id
    WHERE o.fails AND (r.request_id IS NULL OR r.status IN ('pending', 'processing'))
      AND NOT (o.retry_expected AND o.failed_at > clock_timestamp() - %(retry)s)
    ORDER BY o.first_failed_at, o.job_name, o.stanza, o.request_id
"""


@dataclass(frozen=True)
class Work:
    """What runs are for: a job, for a stanza, for a request, or as a whole."""

    job_name: str
    stanza: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        of = self.stanza or self.request_id
        return f"{self.job_name} of {of}" if of else self.job_name


@dataclass(frozen=True)
class Failing:
    """Work whose newest run failed; ``failures`` in a row since ``since``."""

    work: Work
    duty: str
    since: datetime
    failed_at: datetime
    failures: int
    run_id: str
    cause: str
    acknowledged_by: str | None = None
    acknowledged_because: str | None = None


def record_failure(
    connection: Connection,
    work: Work,
    duty: str,
    run_id: str,
    failed_at: datetime,
    cause: str,
    *,
    retry_expected: bool,
) -> None:
    """Record the end of a failed run; again, or after a newer one of the same work, it changes nothing."""
    connection.execute(
        """
        INSERT INTO job_outcomes AS o (job_name, stanza, request_id, duty, failed_at, first_failed_at,
                                       failures, run_id, cause, retry_expected)
        VALUES (%(job)s, %(stanza)s, %(request)s, %(duty)s, %(at)s, %(at)s, 1, %(run)s, %(cause)s, %(retry)s)
        ON CONFLICT (job_name, stanza, request_id) DO UPDATE SET
            duty = excluded.duty, failed_at = excluded.failed_at, run_id = excluded.run_id,
            cause = excluded.cause, retry_expected = excluded.retry_expected,
            first_failed_at = CASE WHEN o.fails THEN o.first_failed_at ELSE excluded.failed_at END,
            failures = CASE WHEN o.fails THEN o.failures + 1 ELSE 1 END,
            acknowledged_by = NULL, acknowledged_because = NULL, acknowledged_at = NULL
        WHERE o.run_id IS DISTINCT FROM excluded.run_id
          AND (o.failed_at IS NULL OR excluded.failed_at > o.failed_at)
        """,
        {
            "job": work.job_name,
            "stanza": work.stanza,
            "request": work.request_id,
            "duty": duty,
            "at": failed_at,
            "run": run_id,
            "cause": cause[:LONGEST_CAUSE],
            "retry": retry_expected,
        },
    )


def record_success(connection: Connection, work: Work, duty: str, succeeded_at: datetime) -> None:
    """Record the end of a run that succeeded. Of a request, only where a failure is on record."""
    values = {
        "job": work.job_name,
        "stanza": work.stanza,
        "request": work.request_id,
        "duty": duty,
        "at": succeeded_at,
    }
    if work.request_id:
        # A row for each request that ever was would be kept for nothing.
        connection.execute(
            "DELETE FROM job_outcomes WHERE job_name = %(job)s AND stanza = %(stanza)s "
            "AND request_id = %(request)s AND failed_at <= %(at)s",
            values,
        )
        return
    connection.execute(
        """
        INSERT INTO job_outcomes AS o (job_name, stanza, request_id, duty, succeeded_at)
        VALUES (%(job)s, %(stanza)s, %(request)s, %(duty)s, %(at)s)
        ON CONFLICT (job_name, stanza, request_id) DO UPDATE SET
            succeeded_at = greatest(o.succeeded_at, excluded.succeeded_at),
            failures = CASE WHEN excluded.succeeded_at BETWEEN o.first_failed_at AND o.failed_at
                            THEN 1 ELSE o.failures END,
            first_failed_at = CASE WHEN excluded.succeeded_at BETWEEN o.first_failed_at AND o.failed_at
                                   THEN o.failed_at ELSE o.first_failed_at END
        """,
        values,
    )


def failing(connection: Connection, *, acknowledged: bool = False) -> list[Failing]:
    """List what fails now, the longest first; with ``acknowledged``, also what somebody takes care of."""
    rows = connection.execute(_FAILING, {"retry": RETRY_WITHIN}).fetchall()
    return [
        Failing(
            Work(row["job_name"], row["stanza"], row["request_id"]),
            row["duty"],
            row["first_failed_at"],
            row["failed_at"],
            row["failures"],
            row["run_id"],
            row["cause"],
            row["acknowledged_by"],
            row["acknowledged_because"],
        )
        for row in rows
        if acknowledged or row["acknowledged_at"] is None
    ]


def acknowledge(connection: Connection, work: Work, by: str, because: str) -> Failing:
    """Have somebody take care of the newest failure: it is told no more until the work fails again.

    It is in the ledger in the same transaction. Raises ConfigurationError for a name or reason that says
    nothing, CheckFailed when the work does not fail.
    """
    if not by.strip():
        raise ConfigurationError("an acknowledgement names the person who takes care: --by NAME")
    if len(because.strip()) < SHORTEST_REASON:
        raise ConfigurationError(f"an acknowledgement says why, in at least {SHORTEST_REASON} characters")
    with connection.transaction():
        found = [one for one in failing(connection, acknowledged=True) if one.work == work]
        if not found:
            raise CheckFailed(f"{work} does not fail: 'ops-platform failures' lists what does")
        details: dict[str, JSON] = {
            "run_id": found[0].run_id,
            "because": because,
            "failures": found[0].failures,
        }
        append(
            connection,
            AuditEvent(
                "run_failure.acknowledged",
                "event",
                str(uuid4()),
                f"job/{work}"[:500],
                f"person:{by}",
                None,
                details,
            ),
        )
        connection.execute(
            "UPDATE job_outcomes SET acknowledged_by = %s, acknowledged_because = %s, "
            "acknowledged_at = clock_timestamp() "
            "WHERE job_name = %s AND stanza = %s AND request_id = %s AND run_id = %s",
            (by, because, work.job_name, work.stanza, work.request_id, found[0].run_id),
        )
    return found[0]


def forget_ended_requests(connection: Connection, before: datetime) -> int:
    """Delete what is on record of requests that ended before ``before``; return how many rows."""
    return connection.execute(
        """
        DELETE FROM job_outcomes AS o USING gdpr_requests AS r
        WHERE r.request_id = o.request_id AND r.status IN ('completed', 'failed') AND o.failed_at < %s
        """,
        (before,),
    ).rowcount
