"""Evidence that a scheduled duty was done: what its work left in the ops database.

Dagster's word that a run succeeded is none: the rows and events of the work itself are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops_platform.clients.postgres import Connection, one_row

SCENARIOS = ["latest", "pitr", "integrity", "performance"]
"""What one exercise consists of; the oldest of their newest successes is the time of the exercise."""


@dataclass(frozen=True)
class Evidence:
    """A query of one row, ``at`` (NULL: never), and in words what it looks for.

    ``per_stanza``: it is asked, and must be there, for each.
    """

    query: str
    looks_for: str
    per_stanza: bool = False

    def newest(self, connection: Connection, values: Mapping[str, Any]) -> datetime | None:
        """Return when the duty was done last; None: never. Raises psycopg.Error."""
        at: datetime | None = one_row(connection, self.query, values)["at"]
        return at


# Exercises by the clock of the host that made them; what claims to come from the future is no evidence.
_RESTORED = """
    SELECT CASE WHEN count(*) = cardinality(%(scenarios)s::text[]) THEN min(newest) END AS at
    FROM (SELECT scenario, max(completed_at) AS newest FROM dr_exercises
          WHERE stanza = %(stanza)s AND scenario = ANY (%(scenarios)s::text[])
            AND result = 'success' AND success_criteria_met AND completed_at <= %(now)s
          GROUP BY scenario) AS succeeded
"""
# By exact objects, for which the ledger has an index; a report of a month is an event of that month's object.
_PERFORMED = """
    SELECT max(occurred_at) AS at FROM audit_events
    WHERE object = %(object)s AND action = 'duty.performed' AND occurred_at <= %(now)s
"""
_REPORTED = """
    SELECT max(occurred_at) AS at FROM audit_events
    WHERE action = 'gdpr.report' AND occurred_at <= %(now)s AND object IN (
        SELECT format('report/%%s/%%s', to_char(month - interval '1 month', 'YYYY-MM-DD'),
                      to_char(month, 'YYYY-MM-DD'))
        FROM generate_series(date_trunc('month', %(now)s AT TIME ZONE 'UTC') - interval '11 months',
                             date_trunc('month', %(now)s AT TIME ZONE 'UTC'), interval '1 month') AS month)
"""

EVIDENCE: Mapping[str, Evidence] = {
    "watchdog": Evidence(
        "SELECT max(received_at) AS at FROM alert_deliveries "
        "WHERE alertname = 'Watchdog' AND status = 'firing' AND received_at <= %(now)s",
        "the alert `Watchdog`, which has gone through Prometheus and Alertmanager and arrived",
    ),
    "ledger_verification": Evidence(
        "SELECT max(completed_at) AS at FROM audit_verifications "
        "WHERE findings = 0 AND seal IS NOT NULL AND completed_at <= %(now)s",
        "a verification of the ledger without findings",
    ),
    "full_ledger_verification": Evidence(
        "SELECT max(completed_at) AS at FROM audit_verifications "
        "WHERE findings = 0 AND seal IS NOT NULL AND since = 0 AND completed_at <= %(now)s",
        "a verification of the ledger from its first event on, without findings",
    ),
    "restore_check": Evidence(
        _RESTORED.replace("%(scenarios)s", "'{restore_check}'"),
        "a restore check of the stanza that succeeded",
        per_stanza=True,
    ),
    "exercises": Evidence(
        _RESTORED, "a success of each scenario of the exercise of the stanza, in its time", per_stanza=True
    ),
    "backup_cleanup": Evidence(_PERFORMED, "the cleanup's event in the ledger", per_stanza=True),
    "request_review": Evidence(_PERFORMED, "the review's event in the ledger"),
    "compliance_report": Evidence(_REPORTED, "the report itself, an event of the ledger"),
    "data_audit": Evidence(_PERFORMED, "the audit's event in the ledger"),
}
"""Each evidence by its name in ``calendar.yaml``."""
