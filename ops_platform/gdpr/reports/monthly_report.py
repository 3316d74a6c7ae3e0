"""The monthly report on data subjects' requests: how many, whether in time, which proof. Numbers only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ops_platform.audit import JSON, AuditEvent, append
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.requests import FINISH_WITHIN, REQUEST_TYPES, TRANSITIONS

_ENTERED = """
    SELECT details ->> 'request_type' AS request_type, substr(step, length('status:') + 1) AS status,
           count(*) AS n
    FROM gdpr_lineage
    WHERE step LIKE 'status:%%' AND recorded_at >= %(start)s AND recorded_at < %(end)s GROUP BY 1, 2
"""
_TIMES = """
    SELECT request_type, count(*) AS completed,
           count(*) FILTER (WHERE completed_at > confirmed_at + %(within)s) AS late,
           count(*) FILTER (WHERE confirmed_at IS NULL) AS term_unknown,
           percentile_cont(0.5) WITHIN GROUP (
               ORDER BY extract(epoch FROM completed_at - confirmed_at)) AS median,
           max(extract(epoch FROM completed_at - confirmed_at)) AS longest
    FROM (
        SELECT r.request_type, r.completed_at, CASE WHEN c.request_id IS NULL THEN r.verified_at END
            AS confirmed_at
        FROM gdpr_requests AS r LEFT JOIN gdpr_certificates AS c
            ON c.request_id = r.request_id AND c.document::jsonb -> 'confirmed_at' = 'null'
        WHERE r.status = 'completed' AND r.completed_at >= %(start)s AND r.completed_at < %(end)s
    ) AS done GROUP BY 1
"""
_OVERDUE = """
    SELECT request_type, count(*) AS n FROM gdpr_requests
    WHERE verified_at + %(within)s < %(end)s
      AND (status IN ('pending', 'processing') OR (status = 'failed' AND outcome = 'error')) GROUP BY 1
"""
_EFFECTS = """
    SELECT store, details ->> 'action' AS action, sum(affected)::bigint AS changed,
           count(DISTINCT request_id) AS requests
    FROM gdpr_lineage
    WHERE store IS NOT NULL AND recorded_at >= %(start)s AND recorded_at < %(end)s GROUP BY 1, 2 ORDER BY 1, 2
"""
_PROOF = """
    SELECT
      (SELECT count(*) FROM gdpr_certificates
       WHERE issued_at >= %(start)s AND issued_at < %(end)s) AS certificates,
      (SELECT count(*) FROM gdpr_requests WHERE request_type = 'erasure' AND status = 'completed'
       AND completed_at >= %(start)s AND completed_at < %(end)s
       AND request_id NOT IN (SELECT request_id FROM gdpr_certificates)) AS without_certificate,
      (SELECT count(*) FROM erasure_tombstones) AS tombstones,
      (SELECT count(*) FROM erasure_tombstones WHERE copied_at IS NULL) AS uncopied_tombstones,
      (SELECT count(*) FROM gdpr_legal_holds WHERE released_at IS NULL) AS legal_holds,
      (SELECT count(*) FROM gdpr_exports
       WHERE expires_at < %(end)s AND deleted_at IS NULL) AS exports_not_deleted,
      (SELECT count(*) FROM gdpr_downloads WHERE at >= %(start)s AND at < %(end)s) AS downloads
"""


@dataclass(frozen=True)
class RequestTypeCounts:
    """One type of request in the period. Hours run from the confirmation; None when none was completed."""

    request_type: str
    entered: dict[str, int]
    completed: int
    late: int
    overdue: int
    """Confirmed, past the deadline at the end of the period and not done."""
    median_hours: float | None
    longest_hours: float | None
    term_unknown: int
    """Completed, and a restore has lost when they were confirmed: in none of the figures of time."""


@dataclass(frozen=True)
class Report:
    """The report; ``effects``: store, action, places changed, requests. ``proof``: counts by name."""

    start: datetime
    end: datetime
    types: tuple[RequestTypeCounts, ...]
    effects: tuple[tuple[str, str, int, int], ...]
    proof: dict[str, int]

    @property
    def findings(self) -> list[str]:
        """Breaches of the promises made to data subjects, one line each."""
        findings = []
        for counts in self.types:
            if counts.late:
                findings.append(
                    f"{counts.late} of {counts.completed} {counts.request_type} requests were completed late"
                )
            if counts.term_unknown:
                findings.append(
                    f"whether {counts.term_unknown} of {counts.completed} {counts.request_type} requests "
                    "were completed in time is not known: a restore has lost when they were confirmed"
                )
            if counts.overdue:
                findings.append(
                    f"{counts.overdue} {counts.request_type} requests are past their deadline and not done"
                )
        for name, problem in (
            ("without_certificate", "completed erasures have no certificate"),
            ("uncopied_tombstones", "tombstones have no locked copy"),
            ("exports_not_deleted", "exports are past their term and not deleted"),
        ):
            if self.proof[name]:
                findings.append(f"{self.proof[name]} {problem}")
        return findings

    def as_json(self) -> dict[str, JSON]:
        """Return the report as the audit ledger stores it; times in ISO 8601."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "types": [asdict(counts) for counts in self.types],
            "effects": [
                {"store": store, "action": action, "changed": changed, "requests": requests}
                for store, action, changed, requests in self.effects
            ],
            "proof": dict(self.proof),
            "findings": list(self.findings),
        }


def report(connection: Connection, start: datetime, end: datetime) -> Report:
    """Report on what happened from ``start`` until before ``end``. Raises what psycopg raises."""
    values = {"start": start, "end": end, "within": FINISH_WITHIN}
    entered = {kind: dict.fromkeys(TRANSITIONS, 0) for kind in REQUEST_TYPES}
    for row in connection.execute(_ENTERED, values):
        entered[row["request_type"]][row["status"]] = row["n"]
    times = {row["request_type"]: row for row in connection.execute(_TIMES, values)}
    overdue = {row["request_type"]: row["n"] for row in connection.execute(_OVERDUE, values)}
    effects = tuple(
        (row["store"], row["action"], row["changed"], row["requests"])
        for row in connection.execute(_EFFECTS, values)
    )
    proof = one_row(connection, _PROOF, values)
    types = tuple(
        RequestTypeCounts(
            kind,
            entered[kind],
            times[kind]["completed"] if kind in times else 0,
            times[kind]["late"] if kind in times else 0,
            overdue.get(kind, 0),
            _hours(times.get(kind), "median"),
            _hours(times.get(kind), "longest"),
            times[kind]["term_unknown"] if kind in times else 0,
        )
        for kind in REQUEST_TYPES
    )
    return Report(start, end, types, effects, dict(proof))


def record(connection: Connection, monthly: Report, run_id: str) -> None:
    """Append the report to the audit ledger, where it is sealed. In the caller's transaction."""
    period = f"{monthly.start:%Y-%m-%d}/{monthly.end:%Y-%m-%d}"
    append(
        connection,
        AuditEvent(
            "gdpr.report", "event", period, f"report/{period}", f"dagster:{run_id}", None, monthly.as_json()
        ),
    )


def month_before(now: datetime) -> tuple[datetime, datetime]:
    """Return start and end of the last calendar month that is over; ``now`` is in UTC."""
    end = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = end.replace(year=end.year - 1, month=12) if end.month == 1 else end.replace(month=end.month - 1)
    return start, end


def _hours(row: dict[str, Any] | None, name: str) -> float | None:
    return None if row is None or row[name] is None else round(float(row[name]) / 3600, 2)
