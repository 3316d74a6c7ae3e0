"""The state of a stanza for people and programs: sets, chains, gaps, recoverable window, RPO.

Works with Dagster stopped and with the stanza's server down. Without the ops database the RPO is
unknown: its heartbeat positions are what the archive is measured by.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from ops_platform.backup.monitoring.observation import Observation, observe
from ops_platform.backup.recovery_point import RecoveryPoint
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.taking import preflight
from ops_platform.backup.wal import format_lsn
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import CheckFailed, OpsError


def stanza_status(ctx: BackupContext, now: datetime | None = None) -> dict[str, Any]:
    """The JSON of one stanza in ``ops-platform backups --json``; times in ISO 8601, None is unknown.

    Raises PgBackRestError or Unavailable when the repository cannot be read.
    """
    preflight.reach_endpoint(ctx)
    seen = observe(ctx)
    notes: list[str] = []
    point = _recovery_point(ctx, seen, now or datetime.now(UTC), notes)
    restorable = {one.label for one in seen.restorable()}
    notes += _notes(seen, restorable)
    return {
        "stanza": ctx.stanza.name,
        "rpo_seconds": None if point is None else point.rpo_seconds,
        "rpo_target_seconds": ctx.stanza.rpo_target_seconds,
        "wal_gap_segments": seen.gap_segments,
        "recoverable_from": _recoverable_from(seen),
        "recoverable_to": _recoverable_to(seen, point),
        "encrypted": seen.repository.encrypted,
        "archive": _archive(seen),
        "sets": [_set(seen, one, one.label in restorable) for one in seen.repository.sets],
        "notes": notes,
    }


def _recovery_point(
    ctx: BackupContext, seen: Observation, now: datetime, notes: list[str]
) -> RecoveryPoint | None:
    try:
        with postgres.session(ctx.ops_url, application="ops-platform backups") as connection:
            point = seen.recovery_point(connection, now)
    except OpsError as error:
        notes.append(f"RPO is unknown: {error}")
        return None
    except psycopg.Error as error:
        notes.append(f"RPO is unknown: {describe(error)}")
        return None
    if point is None and seen.best is not None:
        notes.append("RPO is unknown: no heartbeat lies in the archive; start the agent")
    return point


def _notes(seen: Observation, restorable: set[str]) -> list[str]:
    if not seen.repository.sets:
        return ["there is no backup yet: run 'ops-platform backup full'"]
    notes = []
    if not restorable:
        notes.append("no set can be restored: take a full backup now")
    for one in seen.repository.sets:
        if one.label not in restorable:
            notes.append(f"set {one.label} cannot be restored: {_why(seen, one)}")
    if seen.gap_segments:
        notes.append("WAL is missing: moments between a gap and the end of the next set cannot be recovered")
    return notes


def _why(seen: Observation, one: BackupSet) -> str:
    try:
        damaged = [member.label for member in seen.repository.chain(one.label) if member.error]
    except CheckFailed as error:
        return str(error)
    if damaged:
        return f"{', '.join(damaged)} holds pages with wrong checksums"
    if seen.repository.current is None or one.database_id != seen.repository.current.id:
        return "it is of an earlier cluster of this stanza, and is not checked"
    return "WAL from its start to its stop is missing"


def _recoverable_from(seen: Observation) -> str | None:
    oldest = next(iter(seen.restorable()), None)
    return None if oldest is None else oldest.completed_at.isoformat()


def _recoverable_to(seen: Observation, point: RecoveryPoint | None) -> str | None:
    """The newest moment known to be recoverable: a heartbeat, or at least the end of the best set."""
    if seen.best is None:
        return None
    end = seen.best[0].completed_at
    return max(end, point.beat_at if point else end).isoformat()


def _archive(seen: Observation) -> dict[str, Any] | None:
    if seen.archive is None or seen.from_oldest is None:
        return None
    geometry, state = seen.archive.geometry, seen.from_oldest
    newest_at = seen.archive.newest_at()
    end = seen.best[1].contiguous_end if seen.best else None
    return {
        "timeline": state.history.timeline,
        "segment_bytes": geometry.size,
        "newest_segment": geometry.name(state.newest) if state.newest else None,
        "newest_at": newest_at.isoformat() if newest_at else None,
        "contiguous_to_lsn": None if end is None else format_lsn(end),
        "gaps": [
            {
                "first": geometry.name(gap.first),
                "last": geometry.name(gap.last),
                "segments": gap.segments,
            }
            for gap in state.gaps
        ],
    }


def _set(seen: Observation, one: BackupSet, restorable: bool) -> dict[str, Any]:
    try:
        chain = [member.label for member in seen.repository.chain(one.label)]
    except CheckFailed:
        chain = []
    return {
        "label": one.label,
        "kind": one.kind,
        "prior": one.prior,
        "chain": chain,
        "restorable": restorable,
        "started_at": one.started_at.isoformat(),
        "completed_at": one.completed_at.isoformat(),
        "size_bytes": one.size_bytes,
        "delta_bytes": one.delta_bytes,
        "repo_size_bytes": one.repo_size_bytes,
        "repo_delta_bytes": one.repo_delta_bytes,
        "timeline": one.timeline,
        "lsn_start": one.lsn_start,
        "lsn_stop": one.lsn_stop,
        "wal_start": one.wal_start,
        "wal_stop": one.wal_stop,
        "error": one.error,
        "requested_kind": one.annotations.get("requested_kind"),
        "root_run_id": one.annotations.get("root_run_id"),
    }
