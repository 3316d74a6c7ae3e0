"""The store of retention in the ops database: runs, and what the newest look at each table said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from ops_platform.audit import AuditEvent, append
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.lineage import Effect, lineage_store
from ops_platform.gdpr.retention.outcome import Report


@dataclass(frozen=True)
class Look:
    """The newest look at a table of a stanza's product.

    ``overdue``: rows; None where it could not be looked at.
    ``looked_at``: when one last succeeded; None: never.
    """

    stanza: str
    table: str
    overdue: int | None
    looked_at: datetime | None


def begin(ops: Connection, stanza: str, map_version: str) -> str:
    """Begin a run, or go on with one that was not finished; return its id. In autocommit mode."""
    row = ops.execute(
        "SELECT run_id FROM gdpr_retention_runs WHERE stanza = %s AND finished_at IS NULL", (stanza,)
    ).fetchone()
    if row is not None:
        return str(row["run_id"])
    run_id = f"retention-{uuid4()}"
    ops.execute(
        "INSERT INTO gdpr_retention_runs (run_id, stanza, map_version) VALUES (%s, %s, %s)",
        (run_id, stanza, map_version),
    )
    return run_id


def finish(
    ops: Connection,
    stanza: str,
    report: Report,
    effects: Sequence[Effect],
    actor: str,
    dagster_run: str | None,
) -> None:
    """Put the run of ``stanza`` on record, all in one transaction: lineage, audit event, the newest looks."""
    run_id = report.run_id
    if run_id is None:
        raise ValueError("a dry run is not put on record")
    with ops.transaction():
        lineage_store.record(
            ops, run_id, "retention", effects, run_id=dagster_run, map_version=report.map_version
        )
        append(
            ops,
            AuditEvent(
                "gdpr.retention",
                "event",
                run_id,
                f"retention/{run_id}",
                actor,
                "failed" if report.problems else "success",
                report.as_json(),
            ),
        )
        ops.execute(
            "UPDATE gdpr_retention_runs SET finished_at = clock_timestamp(), problems = %s, map_version = %s "
            "WHERE run_id = %s",
            (len(report.problems), report.map_version, run_id),
        )
        ops.execute(
            "DELETE FROM gdpr_retention_looks WHERE stanza = %s AND NOT table_name = ANY (%s)",
            (stanza, [table.table for table in report.tables]),
        )
        for table in report.tables:
            counts = table.counts
            ops.execute(
                """
                INSERT INTO gdpr_retention_looks AS l
                    (stanza, table_name, term, action, changed, due, held, overdue, looked_at, problem)
                VALUES (%(stanza)s, %(table)s, %(term)s, %(action)s, %(changed)s, %(due)s, %(held)s,
                        %(overdue)s, CASE WHEN %(looked)s THEN clock_timestamp() END, %(problem)s)
                ON CONFLICT (stanza, table_name) DO UPDATE SET
                    term = excluded.term, action = excluded.action, changed = excluded.changed,
                    due = excluded.due, held = excluded.held, overdue = excluded.overdue,
                    looked_at = coalesce(excluded.looked_at, l.looked_at), problem = excluded.problem
                """,
                {
                    "stanza": stanza,
                    "table": table.table,
                    "term": table.term,
                    "action": table.action,
                    "changed": table.changed,
                    "due": None if counts is None else counts.due,
                    "held": None if counts is None else counts.held,
                    "overdue": None if counts is None else counts.overdue,
                    "looked": counts is not None,
                    "problem": table.problem,
                },
            )


def forget_looks(ops: Connection, stanza: str) -> None:
    """Delete what was said of the tables of ``stanza``, when none has a term any more."""
    ops.execute("DELETE FROM gdpr_retention_looks WHERE stanza = %s", (stanza,))


def looks(ops: Connection) -> list[Look]:
    """Read the newest look at each table of every stanza. Raises what psycopg raises."""
    rows = ops.execute(
        "SELECT stanza, table_name, overdue, looked_at FROM gdpr_retention_looks ORDER BY stanza, table_name"
    )
    return [Look(row["stanza"], row["table_name"], row["overdue"], row["looked_at"]) for row in rows]
