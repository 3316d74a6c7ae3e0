"""State of a stanza for people and programs: sets, chains, gaps, recoverable window, RPO.

It works with Dagster stopped and with the stanza's server down. Without the ops database the RPO is
unknown, since the archive is measured by the heartbeat positions stored there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from ops_platform.backup.monitoring import accounts, archiver
from ops_platform.backup.monitoring.accounts import Accounts
from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.proof import read_store
from ops_platform.backup.recovery_point import RecoveryPoint
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import BackupContext, Stanza
from ops_platform.backup.taking import preflight
from ops_platform.backup.wal import format_lsn
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.errors import CheckFailed, OpsError

NAMED_FAULTS = 20


def stanza_status(ctx: BackupContext, now: datetime | None = None) -> dict[str, Any]:
    """Make the JSON of one stanza in ``ops-platform backups --json``; times in ISO 8601, None is unknown.

    Raises PgBackRestError or Unavailable when the repository cannot be read.
    """
    preflight.reach_endpoint(ctx)
    asked = archiver.ask(ctx)
    drawn_up = accounts.draw_up(ctx, archiver.written(asked, datetime.now(UTC)))
    observation, now = drawn_up.observation, now or datetime.now(UTC)
    notes: list[str] = []
    point = _recovery_point(ctx, observation, now, notes)
    end = None if point is None else point.heartbeat_at
    restorable = {backup_set.label for backup_set in observation.restorable()}
    notes += notes_on(drawn_up, restorable)
    if drawn_up.is_short(end, now):
        notes.append("the recoverable window is shorter than promised: see the runbook of BackupWindowShort")
    verified, unverified_bytes = _readings(ctx, observation, notes)
    return {
        "stanza": ctx.stanza.name,
        "repository": ctx.config.repository.name,
        "rpo_seconds": None if point is None else point.rpo_seconds,
        "rpo_target_seconds": ctx.stanza.rpo_target_seconds,
        "wal_gap_segments": observation.gap_segments,
        "recoverable_from": _recoverable_from(drawn_up),
        "recoverable_to": _recoverable_to(drawn_up, end),
        "recoverable_seconds": drawn_up.window.seconds(end),
        "recoverable_expected_seconds": drawn_up.expected(end, now),
        "window_is_short": drawn_up.is_short(end, now),
        "lost_sets": None if drawn_up.lost is None else list(drawn_up.lost),
        "encrypted": observation.repository.encrypted,
        "archive": _archive(observation),
        "unverified_bytes": unverified_bytes,
        "sets": [
            {
                **_set(observation, backup_set, backup_set.label in restorable),
                "verified_at": verified.get(backup_set.label),
            }
            for backup_set in observation.repository.sets
        ],
        "notes": notes,
    }


def unread(stanza: Stanza, repository: str, error: OpsError) -> dict[str, Any]:
    """Make the same of a repository (its name) that cannot be read: nothing is known of it but why."""
    return {
        "stanza": stanza.name,
        "repository": repository,
        "rpo_seconds": None,
        "rpo_target_seconds": stanza.rpo_target_seconds,
        "wal_gap_segments": None,
        "recoverable_from": None,
        "recoverable_to": None,
        "recoverable_seconds": None,
        "recoverable_expected_seconds": None,
        "window_is_short": None,
        "lost_sets": None,
        "encrypted": None,
        "archive": None,
        "unverified_bytes": None,
        "sets": [],
        "notes": [f"the repository {repository} cannot be read: {error}"],
    }


def _recovery_point(
    ctx: BackupContext, observation: Observation, now: datetime, notes: list[str]
) -> RecoveryPoint | None:
    try:
        with postgres.session(ctx.ops_url, application="ops-platform backups") as connection:
            point = observation.recovery_point(connection, now)
    except OpsError as error:
        notes.append(f"RPO is unknown: {error}")
        return None
    except psycopg.Error as error:
        notes.append(f"RPO is unknown: {describe(error)}")
        return None
    if point is None and observation.best is not None:
        notes.append("RPO is unknown: no heartbeat lies in the archive; start the agent")
    return point


def _readings(
    ctx: BackupContext, observation: Observation, notes: list[str]
) -> tuple[dict[str, str | None], int | None]:
    """Tell since when each set is proven by its bytes, and how many bytes are not; None is unknown."""
    folders = {database.id: database.archive_id for database in observation.repository.databases}
    sets = observation.repository.sets
    try:
        with postgres.session(ctx.ops_url, application="ops-platform backups") as connection:
            verified = read_store.verified_at(
                connection,
                ctx.stanza.name,
                sets,
                {backup_set.label: folders.get(backup_set.database_id, "") for backup_set in sets},
            )
            summary = read_store.summary(connection, ctx.stanza.name)
    except (OpsError, psycopg.Error) as error:
        notes.append(f"when the sets were last read is unknown: {describe(error)}")
        return {}, None
    known = None if summary.due_at is None else summary.unverified_bytes
    return {label: None if at is None else at.isoformat() for label, at in verified.items()}, known


def notes_on(drawn_up: Accounts, restorable: set[str]) -> list[str]:
    """Say what a person has to know of the sets and the archive; ``restorable``: labels of such sets."""
    observation, notes = drawn_up.observation, [] if drawn_up.loss is None else [drawn_up.loss]
    notes += [
        f"set {label} counts for nothing: it was taken by hand of a stopped server (--no-online), and no WAL "
        "leads on from it"
        for label in observation.repository.offline
    ]
    if drawn_up.lost is None:
        notes.append(f"whether recorded sets are missing is unknown: {drawn_up.unknown}")
    if not observation.repository.sets:
        if drawn_up.lost == ():
            notes.append("there is no backup yet: run 'ops-platform backup full'")
        return notes
    if not restorable:
        notes.append("no set can be restored: take a full backup now")
    for backup_set in observation.repository.sets:
        if observation.archive is not None and observation.is_abandoned(backup_set):
            left = observation.archive.lineage.why_abandoned(backup_set.timeline)
            notes.append(f"set {backup_set.label} counts for nothing: {left}")
        elif backup_set.label not in restorable:
            reason = _why_not_restorable(observation, backup_set)
            notes.append(f"set {backup_set.label} cannot be restored: {reason}")
    if observation.archive is not None:
        faults = observation.archive.faults().items()
        notes += [f"segment {name} counts as missing: {fault}" for name, fault in list(faults)[:NAMED_FAULTS]]
    if observation.gap_segments:
        notes.append("WAL is missing: moments between a gap and the end of the next set cannot be recovered")
    return notes


def _why_not_restorable(observation: Observation, backup_set: BackupSet) -> str:
    try:
        damaged = [member.label for member in observation.repository.chain(backup_set.label) if member.error]
    except CheckFailed as error:
        return str(error)
    if damaged:
        return f"{', '.join(damaged)} holds pages with wrong checksums"
    if backup_set.damage is not None:
        return backup_set.damage
    if observation.repository.current is None or backup_set.database_id != observation.repository.current.id:
        return "it is of an earlier cluster of this stanza, and is not checked"
    return "WAL from its start to its stop is missing"


def _recoverable_from(drawn_up: Accounts) -> str | None:
    """Tell since when every moment can be restored: from the set on that no gap follows."""
    first = drawn_up.window.first
    return None if first is None else first.completed_at.isoformat()


def _recoverable_to(drawn_up: Accounts, point: datetime | None) -> str | None:
    """Tell the newest moment known to be recoverable: a heartbeat, or at least the end of the best set."""
    end = drawn_up.window.until
    return None if end is None else max(end, point or end).isoformat()


def _archive(observation: Observation) -> dict[str, Any] | None:
    if observation.archive is None or observation.from_oldest is None:
        return None
    geometry, state = observation.archive.geometry, observation.from_oldest
    newest_at = observation.archive.newest_at()
    end = observation.best[1].contiguous_end if observation.best else None
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


def _set(observation: Observation, backup_set: BackupSet, restorable: bool) -> dict[str, Any]:
    try:
        chain = [member.label for member in observation.repository.chain(backup_set.label)]
    except CheckFailed:
        chain = []
    return {
        "label": backup_set.label,
        "kind": backup_set.kind,
        "prior": backup_set.prior,
        "chain": chain,
        "restorable": restorable,
        "started_at": backup_set.started_at.isoformat(),
        "completed_at": backup_set.completed_at.isoformat(),
        "size_bytes": backup_set.size_bytes,
        "delta_bytes": backup_set.delta_bytes,
        "repo_size_bytes": backup_set.repo_size_bytes,
        "repo_delta_bytes": backup_set.repo_delta_bytes,
        "timeline": backup_set.timeline,
        "abandoned": observation.is_abandoned(backup_set),
        "lsn_start": backup_set.lsn_start,
        "lsn_stop": backup_set.lsn_stop,
        "wal_start": backup_set.wal_start,
        "wal_stop": backup_set.wal_stop,
        "error": backup_set.error,
        "damage": backup_set.damage,
        "requested_kind": backup_set.annotations.get("requested_kind"),
        "root_run_id": backup_set.annotations.get("root_run_id"),
    }
