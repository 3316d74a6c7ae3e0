"""Store of backup runs: rows of backup_reports are opened, finished and read here.

Only record_backup_completion() finishes a row. The audit ledger gets its event in the same
transaction. How a backup is taken is in ``execution``.
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
from ops_platform.backup.stanza import cluster_of, locks
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
    connection: Connection,
    request: BackupRequest,
    backup_set: BackupSet,
    repository_uri: str,
    *,
    adopted: bool,
) -> BackupReport:
    """Finish the run's row with the facts of its set and tell the ledger, in the caller's transaction."""
    open_report(connection, request)
    throughput = backup_set.delta_bytes / backup_set.seconds if backup_set.seconds > 0 else None
    already_completed = _status(connection, request.backup_id) == "completed"
    row = _finish(
        connection,
        p_backup_id=request.backup_id,
        p_status="completed",
        p_completed_at=backup_set.completed_at,
        p_kind=backup_set.kind,
        p_started_at=backup_set.started_at,
        p_size_bytes=backup_set.size_bytes,
        p_label=backup_set.label,
        p_prior_label=backup_set.prior,
        p_timeline=backup_set.timeline,
        p_lsn_start=backup_set.lsn_start,
        p_lsn_stop=backup_set.lsn_stop,
        p_wal_start=backup_set.wal_start,
        p_wal_stop=backup_set.wal_stop,
        p_delta_bytes=backup_set.delta_bytes,
        p_repo_size_bytes=backup_set.repo_size_bytes,
        p_repo_delta_bytes=backup_set.repo_delta_bytes,
        p_repository_uri=repository_uri,
        p_throughput=throughput,
        p_adopted=adopted,
    )
    if not already_completed:
        details: dict[str, ledger.JSON] = {
            "label": backup_set.label,
            "kind": backup_set.kind,
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
        backup_set=backup_set,
    )


def fail(connection: Connection, request: BackupRequest, reason: str) -> None:
    """Finish the run's row as failed, opening it first where needed. A completed row stays."""
    open_report(connection, request)
    if _status(connection, request.backup_id) == "running":
        _give_up(connection, request, reason, reconciled=False)


def reconcile(connection: Connection, stanza: str, *, but: str | None = None) -> list[str]:
    """Finish the rows of runs that died without a word, except the one of ``but``; return their backup ids.

    Those of the stanza's cluster in any repository. Only the holder of the stanza's lock may call this: then
    none of its runs can still be running.
    """
    rows = connection.execute(
        """
        SELECT stanza, requested_kind, run_id, root_run_id, launched_by, backup_id, worker_host, worker_pid,
               opened_at
        FROM backup_reports
        WHERE split_part(stanza, '@', 1) = %s AND status = 'running' AND kind <> 'wal_archive'
          AND backup_id IS DISTINCT FROM %s
        ORDER BY id
        """,
        (cluster_of(stanza), but),
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
    """Reconcile unless a backup of the stanza runs now. For the agent."""
    with postgres.session(ops_url, application=f"ops-platform reconcile {stanza}") as connection:
        # A lock of this transaction cannot outlive the work.
        locked = postgres.try_transaction_lock(connection, locks.backup_lock_name(stanza))
        return reconcile(connection, stanza) if locked else []


def running(connection: Connection, stanza: str) -> list[dict[str, Any]]:
    """Read the rows of runs of the stanza's cluster that have not finished, oldest first."""
    return connection.execute(
        """
        SELECT * FROM backup_reports
        WHERE split_part(stanza, '@', 1) = %s AND status = 'running' AND kind <> 'wal_archive'
        ORDER BY id
        """,
        (cluster_of(stanza),),
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
    """Record the ``wal_archive`` row of a finished hour (UTC): what arrived, and the lag at its end.

    ``lag_seconds`` is None when it is not known. Repeating an hour changes nothing.
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
    """Find the newest hour that has its ``wal_archive`` row; None before the first."""
    row = one_row(
        connection,
        """
        SELECT max(started_at) AS hour FROM backup_reports
        WHERE stanza = %s AND kind = 'wal_archive' AND status = 'completed'
        """,
        (stanza,),
    )
    hour: datetime | None = row["hour"]
    return hour


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
