"""The platform's memory of backup runs: rows of backup_reports, opened, finished, read.

A row is finished by record_backup_completion() only. What happened is told to the audit ledger
in the same transaction. How a backup is taken is in ``execution``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.audit import AuditEvent, ledger
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import locks
from ops_platform.backup.taking.report import BackupReport, BackupRequest
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row

ACTION = "backup.run"
Status = Literal["running", "completed", "failed"]


def open_report(connection: Connection, request: BackupRequest) -> bool:
    """Insert the running row and the audit intent; False when this run has its row already."""
    inserted = connection.execute(
        """
        INSERT INTO backup_reports (backup_id, kind, started_at, stanza, requested_kind, run_id, root_run_id,
                                    launched_by, worker_host, worker_pid)
        VALUES (%s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (backup_id) DO NOTHING
        """,
        (
            request.backup_id,
            request.kind,
            request.stanza,
            request.kind,
            request.run_id,
            request.root_run_id,
            request.launched_by,
            socket.gethostname(),
            os.getpid(),
        ),
    ).rowcount
    if inserted:
        _audit(connection, request, "intent", {"kind": request.kind, "root_run_id": request.root_run_id})
    return bool(inserted)


def complete(
    connection: Connection, request: BackupRequest, made: BackupSet, repository_uri: str, *, adopted: bool
) -> BackupReport:
    """Finish the run's row with the facts of its set, and tell the ledger; both in this transaction."""
    open_report(connection, request)
    throughput = made.delta_bytes / made.seconds if made.seconds > 0 else None
    already = _status(connection, request.backup_id) == "completed"
    row = _finish(
        connection,
        p_backup_id=request.backup_id,
        p_status="completed",
        p_completed_at=made.completed_at,
        p_kind=made.kind,
        p_started_at=made.started_at,
        p_size_bytes=made.size_bytes,
        p_label=made.label,
        p_prior_label=made.prior,
        p_timeline=made.timeline,
        p_lsn_start=made.lsn_start,
        p_lsn_stop=made.lsn_stop,
        p_wal_start=made.wal_start,
        p_wal_stop=made.wal_stop,
        p_delta_bytes=made.delta_bytes,
        p_repo_size_bytes=made.repo_size_bytes,
        p_repo_delta_bytes=made.repo_delta_bytes,
        p_repository_uri=repository_uri,
        p_throughput=throughput,
        p_adopted=adopted,
    )
    if not already:
        details: dict[str, ledger.JSON] = {
            "label": made.label,
            "kind": made.kind,
            "requested_kind": request.kind,
            "adopted": adopted,
        }
        _audit(connection, request, "outcome", details, "success")
    return BackupReport(
        backup_id=request.backup_id,
        stanza=request.stanza,
        requested_kind=request.kind,
        run_id=request.run_id,
        root_run_id=request.root_run_id,
        adopted=bool(row["adopted"]),
        duration_ms=int(row["duration_ms"]),
        repository_uri=repository_uri,
        throughput_bytes_per_second=throughput,
        backup_set=made,
    )


def fail(connection: Connection, request: BackupRequest, reason: str) -> None:
    """Finish the run's row as failed, opening it first if it never got that far. A completed row stays."""
    open_report(connection, request)
    if _status(connection, request.backup_id) == "running":
        _give_up(connection, request, reason, reconciled=False)


def reconcile(connection: Connection, stanza: str, *, but: str | None = None) -> list[str]:
    """Finish the rows of runs that died without a word, except that of the run ``but``; their ids.

    Only whoever holds the stanza's lock may: then nothing of it can still be running.
    """
    rows = connection.execute(
        """
        SELECT stanza, requested_kind, run_id, root_run_id, launched_by, backup_id, worker_host, worker_pid,
               opened_at
        FROM backup_reports
        WHERE stanza = %s AND status = 'running' AND kind <> 'wal_archive'
          AND backup_id IS DISTINCT FROM %s
        ORDER BY id
        """,
        (stanza, but),
    ).fetchall()
    for row in rows:
        dead = BackupRequest(
            row["stanza"], row["requested_kind"], row["run_id"], row["root_run_id"], row["launched_by"]
        )
        reason = (
            f"the worker {row['worker_host']}:{row['worker_pid']} died without a word after "
            f"{row['opened_at']:%Y-%m-%d %H:%M:%S} UTC; its backup was given up"
        )
        _give_up(connection, dead, reason, reconciled=True)
    return [row["backup_id"] for row in rows]


def reconcile_dead(ops_url: str, stanza: str) -> list[str]:
    """Reconcile if no backup of the stanza runs; nothing is done while one does. For the agent."""
    with postgres.session(ops_url, application=f"ops-platform reconcile {stanza}") as connection:
        # Of this transaction, so that it cannot outlive the work.
        taken = postgres.try_transaction_lock(connection, locks.backup_lock_name(stanza))
        return reconcile(connection, stanza) if taken else []


def running(connection: Connection, stanza: str) -> list[dict[str, Any]]:
    """Rows of runs that have not finished, oldest first."""
    return connection.execute(
        """
        SELECT * FROM backup_reports WHERE stanza = %s AND status = 'running' AND kind <> 'wal_archive'
        ORDER BY id
        """,
        (stanza,),
    ).fetchall()


def record_wal_hour(
    connection: Connection,
    stanza: str,
    hour: datetime,
    *,
    segments: int,
    size_bytes: int,
    lag_seconds: float | None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """The ``wal_archive`` row of a finished hour (UTC): what arrived, and the archive's lag at its end.

    ``lag_seconds`` None: it could not be told. Repeating an hour changes nothing.
    """
    start = hour.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    backup_id = f"{stanza}:wal:{start:%Y-%m-%dT%H}"
    run_id = f"wal:{start:%Y-%m-%dT%H}"
    connection.execute(
        """
        INSERT INTO backup_reports (backup_id, kind, started_at, stanza, requested_kind, run_id, root_run_id,
                                    launched_by, worker_host, worker_pid)
        VALUES (%s, 'wal_archive', %s, %s, 'wal_archive', %s, %s, 'agent', %s, %s)
        ON CONFLICT (backup_id) DO NOTHING
        """,
        (backup_id, start, stanza, run_id, run_id, socket.gethostname(), os.getpid()),
    )
    _finish(
        connection,
        p_backup_id=backup_id,
        p_status="completed",
        p_completed_at=start + timedelta(hours=1),
        p_size_bytes=size_bytes,
        p_wal_segments=segments,
        p_wal_lag_seconds=lag_seconds,
        p_details=Jsonb(dict(details or {})),
    )


def newest_wal_hour(connection: Connection, stanza: str) -> datetime | None:
    """The newest hour that has its ``wal_archive`` row."""
    row = one_row(
        connection,
        """
        SELECT max(started_at) AS hour FROM backup_reports
        WHERE stanza = %s AND kind = 'wal_archive' AND status = 'completed'
        """,
        (stanza,),
    )
    found: datetime | None = row["hour"]
    return found


def _give_up(connection: Connection, request: BackupRequest, reason: str, *, reconciled: bool) -> None:
    _finish(
        connection,
        p_backup_id=request.backup_id,
        p_status="failed",
        p_completed_at=datetime.now(UTC),
        p_error_reason=reason,
        p_reconciled=reconciled,
    )
    details: dict[str, ledger.JSON] = {"kind": request.kind, "reason": reason[: ledger.REASON_CHARACTERS]}
    _audit(connection, request, "outcome", details, "failed")


def _status(connection: Connection, backup_id: str) -> Status | None:
    row = connection.execute(
        "SELECT status FROM backup_reports WHERE backup_id = %s", (backup_id,)
    ).fetchone()
    return row["status"] if row else None


def _finish(connection: Connection, **facts: object) -> dict[str, Any]:
    """Call record_backup_completion() with named arguments."""
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), _typed(name)) for name in facts
    )
    call = sql.SQL("SELECT * FROM record_backup_completion({})").format(arguments)
    return one_row(connection, call, facts)


def _typed(name: str) -> sql.Composable:
    # LSNs travel as text; the function's parameter is pg_lsn.
    cast = sql.SQL("::pg_lsn") if name in ("p_lsn_start", "p_lsn_stop") else sql.SQL("")
    return sql.Placeholder(name) + cast


def _audit(
    connection: Connection,
    request: BackupRequest,
    phase: ledger.Phase,
    details: Mapping[str, ledger.JSON],
    outcome: ledger.Outcome | None = None,
) -> None:
    ledger.append(
        connection,
        AuditEvent(ACTION, phase, request.run_id, request.object, request.launched_by, outcome, details),
    )
