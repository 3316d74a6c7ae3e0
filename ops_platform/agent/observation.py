"""What the ops database holds, read for the metrics in one short transaction. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops_platform.agent.state import (
    Deliveries,
    ExerciseState,
    FigureState,
    KindReport,
    LedgerState,
    ObjectiveState,
    RequestState,
)
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.requests import ENTERED, REQUEST_TYPES
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import figures

_RUNS = """
    SELECT stanza, requested_kind AS kind, status, count(*) AS runs, min(started_at) AS since
    FROM backup_reports WHERE requested_kind <> 'wal_archive'
    GROUP BY stanza, requested_kind, status
"""
_LAST_RUNS = """
    SELECT DISTINCT ON (stanza, requested_kind) stanza, requested_kind AS kind, status = 'failed' AS failed
    FROM backup_reports WHERE requested_kind <> 'wal_archive' AND status <> 'running'
    ORDER BY stanza, requested_kind, opened_at DESC
"""
_LAST_SETS = """
    SELECT DISTINCT ON (stanza, kind) stanza, kind, duration_ms, size_bytes
    FROM backup_reports WHERE kind <> 'wal_archive' AND status = 'completed'
    ORDER BY stanza, kind, completed_at DESC
"""
_EXERCISES = """
    SELECT w.stanza, w.scenario,
           (SELECT min(completed_at) FROM backup_reports b
            WHERE b.stanza = w.stanza AND status = 'completed' AND kind <> 'wal_archive') AS expected_since,
           last.result <> 'success' AS failed, good.completed_at AS good_at, measured.actual_rto_ms AS rto_ms,
           measured.actual_rpo_ms AS rpo_ms, predicted.seconds AS predicted
    FROM unnest(%(stanzas)s::text[]) AS s (stanza)
    CROSS JOIN unnest(%(scenarios)s::text[]) AS c (scenario)
    CROSS JOIN LATERAL (SELECT s.stanza, c.scenario) AS w
    LEFT JOIN LATERAL (
        SELECT result FROM dr_exercises e WHERE e.stanza = w.stanza AND e.scenario = w.scenario
        AND result IS NOT NULL ORDER BY started_at DESC LIMIT 1) AS last ON true
    LEFT JOIN LATERAL (
        SELECT completed_at FROM dr_exercises e WHERE e.stanza = w.stanza AND e.scenario = w.scenario
        AND result = 'success' ORDER BY started_at DESC LIMIT 1) AS good ON true
    LEFT JOIN LATERAL (
        SELECT actual_rto_ms, actual_rpo_ms FROM dr_exercises e WHERE e.stanza = w.stanza
        AND e.scenario = w.scenario AND actual_rto_ms IS NOT NULL ORDER BY started_at DESC LIMIT 1
    ) AS measured ON true
    LEFT JOIN LATERAL (
        SELECT (verifications #>> '{predicted_rto,numbers,predicted_seconds}')::float AS seconds
        FROM dr_exercises e WHERE e.stanza = w.stanza AND e.scenario = w.scenario
        AND verifications #>> '{predicted_rto,numbers,predicted_seconds}' IS NOT NULL
        ORDER BY started_at DESC LIMIT 1) AS predicted ON true
"""
# The row comparison walks the index in the order in which seals take events.
_LEDGER = """
    WITH newest AS (
        SELECT coalesce(opens, epoch) AS epoch, to_xid, sealed_at FROM audit_seals
        ORDER BY number DESC LIMIT 1
    )
    SELECT count(*) AS unsealed, min(occurred_at) AS oldest, (SELECT sealed_at FROM newest) AS sealed_at
    FROM audit_events
    WHERE (epoch, xid) >= (coalesce((SELECT epoch FROM newest), 0),
                           coalesce((SELECT to_xid FROM newest), '0'::xid8))
"""
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
_EXCLUDED_NOW = """
    SELECT DISTINCT service, slo FROM slo_exclusions
    WHERE now() >= starts_at AND now() < ends_at AND withdrawn_at IS NULL
"""
_NOTIFICATIONS = """
    SELECT coalesce(severity, '') AS severity, status, count(*) AS notifications
    FROM alert_deliveries
    WHERE received_at > now() - interval '1 day' AND alertname <> 'Watchdog'
    GROUP BY 1, 2
"""
_WATCHDOG = (
    "SELECT max(received_at) AS at FROM alert_deliveries WHERE alertname = 'Watchdog' AND status = 'firing'"
)


def one_moment(connection: Connection) -> None:
    """Let the caller's transaction, which begins here, read the database as it is now to its end.

    Each statement would see a moment of its own otherwise: a run that fails between two of them is
    shown as failed and not counted.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def reports(connection: Connection) -> dict[tuple[str, str], KindReport]:
    """By (stanza, kind). Runs count under the kind that was asked for, sizes under what was made."""
    runs: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    fields: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for row in connection.execute(_RUNS):
        key = (row["stanza"], row["kind"])
        if row["status"] == "running":
            fields[key]["running_since"] = row["since"]
        else:
            runs[key][row["status"]] = row["runs"]
    for row in connection.execute(_LAST_RUNS):
        fields[row["stanza"], row["kind"]]["last_run_failed"] = row["failed"]
    for row in connection.execute(_LAST_SETS):
        fields[row["stanza"], row["kind"]] |= {
            "duration_ms": row["duration_ms"],
            "size_bytes": row["size_bytes"],
        }
    # A status that was never reached is a true zero: the whole table was read.
    zero = {"completed": 0, "failed": 0}
    return {key: KindReport({**zero, **runs[key]}, **fields[key]) for key in {*runs, *fields}}


def exercises(
    connection: Connection, stanzas: Sequence[str], scenarios: Sequence[str]
) -> dict[tuple[str, str], ExerciseState]:
    """By (stanza, scenario), also of those that were never exercised."""
    rows = connection.execute(_EXERCISES, {"stanzas": list(stanzas), "scenarios": list(scenarios)})
    return {
        (row["stanza"], row["scenario"]): ExerciseState(
            expected_since=row["expected_since"],
            rto_ms=row["rto_ms"],
            rpo_ms=row["rpo_ms"],
            last_success_at=row["good_at"],
            last_failed=row["failed"],
            predicted_rto_seconds=row["predicted"],
        )
        for row in rows
    }


def objectives(connection: Connection, promised: Sequence[Objective]) -> list[ObjectiveState]:
    """The newest stored figures of what is promised now."""
    rows: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in figures.latest(connection, promised):
        rows[row["service_name"], row["metric_name"]].append(row)
    excluded = {(row["service"], row["slo"]) for row in connection.execute(_EXCLUDED_NOW)}
    return [
        ObjectiveState(
            one.service,
            one.name,
            float(one.target * 100),
            not excluded.isdisjoint({(one.service, one.name), (one.service, None)}),
            str(one.period),
            max((row["measured_at"] for row in rows[one.service, one.name]), default=None),
            tuple(
                FigureState(
                    row["slo_window"],
                    row["state"],
                    row["success_count"],
                    row["sample_count"],
                    _float(row["actual_percentage"]),
                    _float(row["error_budget_remaining"]),
                )
                for row in rows[one.service, one.name]
            ),
        )
        for one in promised
    ]


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def ledger(connection: Connection) -> LedgerState:
    """The events that the newest seal does not cover."""
    row = _only(connection, _LEDGER)
    return LedgerState(row["unsealed"], row["oldest"], row["sealed_at"])


def requests(connection: Connection) -> dict[str, RequestState]:
    """By type, also without a single request: what was never entered is a true zero."""
    entered = {kind: dict.fromkeys(ENTERED, 0) for kind in REQUEST_TYPES}
    for row in connection.execute(_ENTERED):
        if row["request_type"] in entered:
            entered[row["request_type"]][row["status"]] = row["requests"]
    return {
        row["request_type"]: RequestState(
            entered[row["request_type"]], row["oldest"], row["verification_ms"], row["processing_ms"]
        )
        for row in connection.execute(_REQUESTS, {"types": list(REQUEST_TYPES)})
    }


def deliveries(connection: Connection) -> Deliveries:
    """What Alertmanager brought to the agent's receiver."""
    counts = {
        (row["severity"], row["status"]): row["notifications"] for row in connection.execute(_NOTIFICATIONS)
    }
    return Deliveries(counts, _only(connection, _WATCHDOG)["at"])


def newest_beats(connection: Connection, stanzas: Sequence[str]) -> dict[str, datetime]:
    """The newest heartbeat of each stanza whose position was recorded."""
    rows = connection.execute(
        """
        SELECT stanza, at FROM unnest(%s::text[]) AS wanted (stanza)
        CROSS JOIN LATERAL (
            SELECT max(beat_at) AS at FROM heartbeat_positions AS p WHERE p.stanza = wanted.stanza
        ) AS newest
        WHERE at IS NOT NULL
        """,
        (list(stanzas),),
    )
    return {row["stanza"]: row["at"] for row in rows}


def _only(connection: Connection, query: str) -> dict[str, Any]:
    return connection.execute(query).fetchall()[0]
