"""Rows of dr_exercises: opened, finished, reconciled, read.

A row is finished by record_exercise_completion() only, and the audit ledger gets its event in the
same transaction. The exercise itself is in ``exercise.runner``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.audit import AuditEvent, ledger
from ops_platform.backup.stanza import locks
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.exercise.report import ExerciseRequest, Outcome
from ops_platform.dr.exercise.rto_forecast import Measured
from ops_platform.dr.inspection import Verification

ACTION = "dr.exercise"
REASON_CHARACTERS = 2000


def lock_name(stanza: str) -> str:
    """Return the name of the lock of a stanza's exercises.

    Only one runs at a time, since they share the host's disk.
    """
    return f"dr/{stanza}"


def open_exercise(
    connection: Connection, request: ExerciseRequest, started_at: datetime | None = None
) -> bool:
    """Insert the running row and the audit intent; return False when this run has its row already."""
    inserted = connection.execute(
        """
        INSERT INTO dr_exercises (exercise_id, exercise_type, scenario, started_at, target_rto_ms,
                                  target_rpo_ms, stanza, run_id, root_run_id, worker_host, worker_pid)
        VALUES (%s, %s, %s, coalesce(%s, clock_timestamp()), %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (exercise_id) DO NOTHING
        """,
        (
            request.exercise_id,
            request.exercise_type,
            request.scenario,
            started_at,
            request.target_rto_ms,
            request.target_rpo_ms,
            request.stanza,
            request.run_id,
            request.root_run_id,
            socket.gethostname(),
            os.getpid(),
        ),
    ).rowcount
    if inserted:
        _audit(connection, request, "intent", {"type": request.exercise_type})
    return bool(inserted)


def finish(
    connection: Connection, request: ExerciseRequest, outcome: Outcome, *, reconciled: bool = False
) -> None:
    """Finish the row, opening it first if it is not there yet, and tell the ledger; in one transaction."""
    open_exercise(connection, request)
    before = _result(connection, request.exercise_id)
    connection.execute(
        """
        SELECT record_exercise_completion(
            p_exercise_id => %(exercise_id)s, p_result => %(result)s, p_completed_at => clock_timestamp(),
            p_reason => %(reason)s, p_t0 => %(t0)s, p_rto_ms => %(rto_ms)s, p_rpo_ms => %(rpo_ms)s,
            p_assurance_ms => %(assurance_ms)s, p_backup_label => %(label)s, p_recovery_target => %(target)s,
            p_phases => %(phases)s, p_copy_bytes => %(copy_bytes)s, p_copy_seconds => %(copy_seconds)s,
            p_replay_bytes => %(replay_bytes)s, p_replay_seconds => %(replay_seconds)s,
            p_copy_rate => %(copy_rate)s, p_replay_rate => %(replay_rate)s,
            p_verifications => %(verifications)s, p_reconciled => %(reconciled)s)
        """,
        {
            "exercise_id": request.exercise_id,
            "result": outcome.result,
            "reason": None if outcome.reason is None else outcome.reason[:REASON_CHARACTERS],
            "t0": outcome.t0,
            "rto_ms": outcome.rto_ms,
            "rpo_ms": outcome.rpo_ms,
            "assurance_ms": outcome.assurance_ms,
            "label": outcome.backup_label,
            "target": outcome.recovery_target,
            "phases": Jsonb({name: round(seconds, 3) for name, seconds in outcome.phases.items()}),
            "copy_bytes": outcome.copy_bytes,
            "copy_seconds": outcome.copy_seconds,
            "replay_bytes": outcome.replay_bytes,
            "replay_seconds": outcome.replay_seconds,
            "copy_rate": outcome.copy_rate,
            "replay_rate": outcome.replay_rate,
            "verifications": Jsonb({result.name: _as_json(result) for result in outcome.verifications}),
            "reconciled": reconciled,
        },
    )
    if before == outcome.result:
        return
    details: dict[str, ledger.JSON] = {
        "result": outcome.result,
        "label": outcome.backup_label,
        "rto_ms": outcome.rto_ms,
        "rpo_ms": outcome.rpo_ms,
        "not_passed": [result.name for result in outcome.verifications if not result.passed],
    }
    if outcome.reason is not None:
        details["reason"] = outcome.reason[: ledger.REASON_CHARACTERS]
    _audit(connection, request, "outcome", details, "success" if outcome.result == "success" else "failed")


def reconcile(connection: Connection, stanza: str, *, but: str | None = None) -> list[str]:
    """Finish as failed the rows of runs that died, except the exercise ``but``; return their ids.

    The caller must hold the stanza's exercise lock: then none of them can still be running.
    """
    rows = connection.execute(
        """
        SELECT exercise_id, exercise_type, scenario, stanza, run_id, root_run_id, target_rto_ms,
               target_rpo_ms, started_at, worker_host, worker_pid
        FROM dr_exercises
        WHERE stanza = %s AND result IS NULL AND exercise_id IS DISTINCT FROM %s AND run_id IS NOT NULL
        ORDER BY id
        """,
        (stanza, but),
    ).fetchall()
    for row in rows:
        reason = (
            f"the worker {row['worker_host']}:{row['worker_pid']} died without a word after "
            f"{row['started_at']:%Y-%m-%d %H:%M:%S} UTC"
        )
        finish(connection, _request(row), Outcome("failed", row["started_at"], reason), reconciled=True)
    return [row["exercise_id"] for row in rows]


def reconcile_dead(ops_url: str, stanza: str) -> list[str]:
    """Reconcile the stanza's rows, unless an exercise of it runs; return their ids."""
    with postgres.session(ops_url, application=f"ops-platform reconcile {stanza}") as connection:
        # A lock of this transaction, so that it cannot outlive the work.
        taken = postgres.try_transaction_lock(connection, lock_name(stanza))
        return reconcile(connection, stanza) if taken else []


def abandoned(connection: Connection, stanzas: Collection[str]) -> list[str]:
    """Find exercises of ``stanzas`` without a result whose runs died: nobody holds the lock. Only reads.

    Returns their ids.
    """
    rows = connection.execute(
        """
        SELECT exercise_id, stanza FROM dr_exercises
        WHERE result IS NULL AND run_id IS NOT NULL AND stanza = ANY(%s) ORDER BY id
        """,
        (list(stanzas),),
    ).fetchall()
    return [row["exercise_id"] for row in rows if locks.is_free(connection, lock_name(row["stanza"]))]


def find_success(
    connection: Connection, root_run_id: str, stanza: str, scenario: str
) -> dict[str, Any] | None:
    """Find the row of a success of this scenario by this run, or by an earlier one of the same root."""
    return connection.execute(
        """
        SELECT * FROM dr_exercises
        WHERE root_run_id = %s AND stanza = %s AND scenario = %s AND result = 'success'
        ORDER BY id DESC LIMIT 1
        """,
        (root_run_id, stanza, scenario),
    ).fetchone()


def history(connection: Connection, stanza: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Read the rows of the newest exercises, newest first; ``stanza`` None: of all."""
    return connection.execute(
        """
        SELECT * FROM dr_exercises WHERE %s::text IS NULL OR stanza = %s
        ORDER BY started_at DESC, id DESC LIMIT %s
        """,
        (stanza, stanza, limit),
    ).fetchall()


def measured(connection: Connection, stanza: str, limit: int = 5) -> list[Measured]:
    """Read the measurements of a stanza's newest successful exercises, newest first."""
    rows = connection.execute(
        """
        SELECT copy_bytes, copy_rate, replay_bytes, replay_rate, actual_rto_ms FROM dr_exercises
        WHERE stanza = %s AND result = 'success' AND exercise_type <> 'emergency'
          AND copy_rate > 0 AND replay_rate > 0 AND actual_rto_ms IS NOT NULL
        ORDER BY started_at DESC LIMIT %s
        """,
        (stanza, limit),
    ).fetchall()
    return [
        Measured(
            row["copy_bytes"],
            row["copy_rate"],
            row["replay_bytes"],
            row["replay_rate"],
            row["actual_rto_ms"] / 1000,
        )
        for row in rows
    ]


def wal_per_hour(connection: Connection, stanza: str, segment_bytes: int) -> int:
    """Return the most WAL that was written in an hour of the last week, in bytes; 0: no hour is known."""
    row = one_row(
        connection,
        """
        SELECT max(wal_segments) AS segments FROM backup_reports
        WHERE stanza = %s AND kind = 'wal_archive' AND started_at > now() - interval '7 days'
        """,
        (stanza,),
    )
    return int(row["segments"] or 0) * segment_bytes


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    """Read a finished row as the outcome it was made of."""
    return Outcome(
        result=row["result"],
        t0=row["t0"],
        reason=row["reason"],
        backup_label=row["backup_label"],
        recovery_target=row["recovery_target"],
        rto_ms=row["actual_rto_ms"],
        rpo_ms=row["actual_rpo_ms"],
        assurance_ms=row["assurance_ms"],
        phases=row["phases"],
        copy_bytes=row["copy_bytes"],
        copy_seconds=row["copy_seconds"],
        replay_bytes=row["replay_bytes"],
        replay_seconds=row["replay_seconds"],
        copy_rate=row["copy_rate"],
        replay_rate=row["replay_rate"],
        verifications=tuple(
            Verification(name, result["result"], result["detail"], result["numbers"])
            for name, result in row["verifications"].items()
        ),
    )


def _as_json(result: Verification) -> dict[str, Any]:
    return {
        "result": result.result,
        "passed": result.passed,
        "detail": result.summary,
        "numbers": dict(result.numbers),
    }


def failure(error: BaseException, t0: datetime | None = None) -> Outcome:
    """Make the outcome of an exercise that ended by an exception; ``t0`` None: now."""
    reason = ledger.reason(error)
    return Outcome("failed", t0 or datetime.now(UTC), reason if " " in reason else f"ended by {reason}")


def _request(row: Mapping[str, Any]) -> ExerciseRequest:
    return ExerciseRequest(
        row["exercise_type"],
        row["stanza"],
        row["scenario"],
        row["run_id"],
        row["root_run_id"] or row["run_id"],
        row["target_rto_ms"],
        row["target_rpo_ms"],
    )


def _result(connection: Connection, exercise_id: str) -> str | None:
    row = connection.execute(
        "SELECT result FROM dr_exercises WHERE exercise_id = %s", (exercise_id,)
    ).fetchone()
    return row["result"] if row else None


def _audit(
    connection: Connection,
    request: ExerciseRequest,
    phase: ledger.Phase,
    details: Mapping[str, ledger.JSON],
    outcome: ledger.Outcome | None = None,
) -> None:
    ledger.append(
        connection,
        AuditEvent(ACTION, phase, request.exercise_id, request.object, "platform", outcome, details),
    )
